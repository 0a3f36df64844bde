"""One mask as a picture: a color for it, another for the background."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from vbanana_jax.codecs import palettes
from vbanana_jax.codecs.nearest import FOREIGN


def encode(
  mask: Bool[ArrayLike, '...'],
  color: Float[ArrayLike, '3'],
  background: Float[ArrayLike, '3'],
) -> Float[Array, '... 3']:
  """Paints a mask: RGB in [0, 1], `color` where it is true.

  Source: Vision Banana, section 2.3 (referring prompts).
  """
  color, background = (jnp.asarray(x, jnp.float32) for x in (color, background))
  return jnp.where(jnp.asarray(mask)[..., None], color, background)


def decode(
  rgb: Float[ArrayLike, '... 3'],
  color: Float[ArrayLike, '3'],
  background: Float[ArrayLike, '3'],
  others: Float[ArrayLike, 'k 3'] | None = None,
  *,
  radius: float | Float[ArrayLike, ''] | None = None,
) -> Bool[Array, '...']:
  """Reads where a picture has `color`: nearer to it than to all others.

  A pixel as near to another color is not in the mask, nor is one with a
  channel that is NaN.

  Args:
    rgb: in [0, 1].
    color: of the mask.
    background: of what is in no mask.
    others: colors of other masks in the same picture.
    radius: pixels farther than this from `color`, in RGB [0, 1] units, are
      not in the mask.

  Source: Vision Banana, sections 2.1 and 2.3: the semantic rule, as no
  threshold is given.
  """
  palette = _make_palette(color, background, others)
  index, distance = palettes.decode_nearest(rgb, palette)
  mask = (index == len(palette) - 1) & jnp.isfinite(distance)
  return mask if radius is None else mask & (distance <= radius)


def confidence(
  rgb: Float[ArrayLike, '... 3'],
  color: Float[ArrayLike, '3'],
  background: Float[ArrayLike, '3'],
  others: Float[ArrayLike, 'k 3'] | None = None,
  *,
  foreign: float | Float[ArrayLike, ''] = FOREIGN,
) -> Float[Array, '...']:
  """Probability that `decode` without a radius is right about a pixel.

  See `palettes.confidence`.
  """
  palette = _make_palette(color, background, others)
  return palettes.confidence(rgb, palette, foreign=foreign)


def _make_palette(color, background, others):
  """Background first and the mask last: it loses every tie."""
  parts = [jnp.asarray(background, jnp.float32)[None]]
  if others is not None:
    parts.append(jnp.asarray(others, jnp.float32))
  return jnp.concatenate([*parts, jnp.asarray(color, jnp.float32)[None]])
