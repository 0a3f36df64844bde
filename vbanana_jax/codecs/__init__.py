"""Labels to colors and back: pure jnp, RGB in [0, 1]; jit, vmap, grad safe."""

from vbanana_jax.codecs import (
  colormaps,
  components,
  depth,
  flood,
  instances,
  masks,
  normals,
  palettes,
  regions,
)

__all__ = [
  'colormaps',
  'components',
  'depth',
  'flood',
  'instances',
  'masks',
  'normals',
  'palettes',
  'regions',
]
