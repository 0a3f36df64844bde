"""A page to play with: pictures in, painted and decoded answers out.

`asking` holds the model and its limits, `shown` turns an answer into what the
browser gets, `viewers/` is what runs there. Only `page` and `server` know the
framework.
"""
