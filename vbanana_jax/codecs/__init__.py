"""Labels to colours and back: pure jnp, RGB in [0, 1]; jit, vmap, grad safe."""

from vbanana_jax.codecs import (
  colormaps,
  depth,
  instances,
  masks,
  normals,
  palettes,
)

__all__ = ['colormaps', 'depth', 'instances', 'masks', 'normals', 'palettes']
