"""vbanana_jax: an image generator, lightly tuned, as a vision generalist."""

__version__ = '0.1.0'
