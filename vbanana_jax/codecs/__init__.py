"""Labels to colours and back: pure jnp, RGB in [0, 1]; jit, vmap, grad safe."""

from vbanana_jax.codecs import depth, instances, normals, palettes

__all__ = ['depth', 'instances', 'normals', 'palettes']
