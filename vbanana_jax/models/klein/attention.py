"""Attention of klein's networks: the library's, wherever it runs.

`models.attention` bounds the logits on a CPU, which the gains of a trained
network may exceed.
"""

import jax
from jaxtyping import Array, Bool, Float

from vbanana_jax.models import blocked, numerics


def attend(
  q: Float[Array, 'b n k e'],
  k: Float[Array, 'b m g e'],
  v: Float[Array, 'b m g e'],
  precision: numerics.Precision,
  mask: Bool[Array, 'b 1 n m'] | None = None,
  seen: Bool[Array, 'b m'] | None = None,
) -> Float[Array, 'b n d']:
  """Attention with a float32 softmax and logits over the root of e.

  Args:
    q: queries.
    k: keys; each of the g heads serves k / g neighboring heads of `q`.
    v: values.
    precision: the type of operands and of the result.
    mask: True where a query may see a key; everywhere if not given.
    seen: True at keys that every query may see; likewise, and not with a mask.

  Returns:
    the heads side by side, d = k e.
  """
  q, k, v = (x.astype(precision.matmul_dtype) for x in (q, k, v))
  if mask is None and blocked.suits(precision.blocked, q, k):
    out = precision.blocked(q, k, v, *([] if seen is None else [seen]))
  else:
    if seen is not None:
      mask = seen[:, None, None]
    out = jax.nn.dot_product_attention(q, k, v, mask=mask)
  return out.reshape(*out.shape[:2], -1).astype(precision.activation_dtype)
