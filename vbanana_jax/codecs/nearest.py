"""Pixels read as the nearest color of a palette, and how sure that is."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

# Of `to_probability`: how a margin tells for the nearest color against the
# second, what tells for a color of the legend at all, how distance tells
# against that, and how a picture's share of other colors does.
# Fitted by `python -m perf.confidence`.
CONFIDENCE = (2.017, 3.996, 3.488, 1.822)
# Share of a picture in colors that are not the legend's, if nothing is known.
FOREIGN = 0.25

_BLOCK = 4  # pixels a side; edges are thinner, also smoothed ones
_FAR = 20 / 255  # RGB [0, 1] units; of 16 pixels noise leaves one within
_LEAST_SHARE = 1e-3  # no picture is sure to be all of the legend, or nothing
_UNROLL = 32  # entries compared in one fused pass; more are looped
_DIAGONAL = 3.0**0.5  # of the cube of colors
_WHOLE = 2.0**-9  # levels: nearer to a whole 8-bit level counts as on it


def _to_levels(rgb):
  """RGB in levels 0..255; exactly whole where they were 8-bit colors."""
  levels = jax.lax.stop_gradient(jnp.asarray(rgb, jnp.float32)) * 255.0
  whole = jnp.round(levels)
  return jnp.where(jnp.abs(levels - whole) < _WHOLE, whole, levels)


def decode_nearest(
  rgb: Float[ArrayLike, '... 3'],
  palette: Float[ArrayLike, 'q 3'],
  palette_valid: Bool[ArrayLike, 'q'] | None = None,
  *,
  void: Float[ArrayLike, '3'] | None = None,
  radius: float | Float[ArrayLike, ''] | None = None,
) -> tuple[Int[Array, '...'], Float[Array, '...']]:
  """Reads each pixel as the nearest valid palette color.

  Returns the index and the distance to that color in RGB [0, 1] units. Of
  equally near colors the lowest index counts; between 8-bit colors that is
  decided in whole numbers, without rounding. Without `void` and `radius` a
  pixel always gets an index: 0, with distance inf, where no entry is valid
  or a channel is NaN. One palette for all of `rgb`; `jax.vmap` gives every
  example its own.

  Args:
    rgb: in [0, 1]; out of range is allowed.
    palette: colors in [0, 1].
    palette_valid: False for entries that are never chosen.
    void: color of what belongs to no entry. A pixel nearer to it than to
      every entry gets index -1, and its distance is the one to `void`; so
      does one with a channel that is NaN, with distance inf.
    radius: pixels farther than this (RGB [0, 1] units) from every entry get
      index -1; their distance is kept.

  Source: Vision Banana, section 2.1 (semantic decoding); void and radius
  are ours.
  """
  rgb = jnp.asarray(rgb, jnp.float32)
  palette = jnp.asarray(palette, jnp.float32)
  entries = palette.shape[0]
  if palette_valid is None:
    palette_valid = jnp.ones(entries, bool)
  numbers = jnp.arange(entries, dtype=jnp.int32)
  # Void comes last, so that it loses every tie.
  if void is not None:
    palette = jnp.concatenate([palette, jnp.asarray(void, jnp.float32)[None]])
    palette_valid = jnp.append(palette_valid, True)
    numbers = jnp.append(numbers, -1)
  index, nearest = _find_nearest(
    _to_levels(rgb),
    (numbers, _to_levels(palette), palette_valid),
    nobody=0 if void is None else -1,
  )
  # A gradient goes to the color that was chosen, not through the search.
  found = jnp.isfinite(nearest)
  inexact = found & (nearest > 0.0)
  gap = jnp.where(inexact[..., None], rgb - palette[index], 0.0)
  distance = _root(jnp.sum(jnp.square(gap), axis=-1))
  distance = jnp.where(found, distance, jnp.inf)
  if radius is not None:
    index = jnp.where(distance <= radius, index, -1)
  return index, distance


def _find_nearest(levels, candidates, *, nobody):
  """Number of each pixel's nearest candidate, and squared distance in levels.

  Args:
    levels: [... 3].
    candidates: number, levels and whether it is valid, of every entry.
    nobody: number where none is valid.
  """
  channels = jnp.moveaxis(levels, -1, 0)

  def visit(best, candidate):
    index, nearest = best
    number, color, valid = candidate
    squared = sum(jnp.square(channels[i] - color[i]) for i in range(3))
    nearer = valid & (squared < nearest)
    return (
      jnp.where(nearer, number, index),
      jnp.where(nearer, squared, nearest),
    ), None

  start = (
    jnp.full(levels.shape[:-1], nobody, jnp.int32),
    jnp.full(levels.shape[:-1], jnp.inf),
  )
  best, _ = jax.lax.scan(
    visit, start, candidates, unroll=min(_UNROLL, len(candidates[0]))
  )
  return best


def evidence(
  rgb: Float[ArrayLike, '... 3'],
  palette: Float[ArrayLike, 'q 3'],
  palette_valid: Bool[ArrayLike, 'q'] | None = None,
) -> tuple[Float[Array, '...'], Float[Array, '...']]:
  """What the confidence weighs: margin and distance, in 8-bit levels.

  Distance is that to the nearest valid color, inf where there is none or a
  channel is NaN; margin is how much farther the second nearest is (at most
  442, the diagonal of the cube; 0 where there is no nearest).
  """
  rgb = jnp.asarray(rgb, jnp.float32)
  palette = jnp.asarray(palette, jnp.float32)
  if palette_valid is None:
    palette_valid = jnp.ones(palette.shape[0], bool)
  usable = jnp.all(jnp.isfinite(rgb), axis=-1)
  channels = jnp.moveaxis(jnp.where(usable[..., None], rgb, 0.0), -1, 0)

  def visit(two, candidate):
    nearest, second = two
    color, valid = candidate
    squared = sum(jnp.square(channels[i] - color[i]) for i in range(3))
    squared = jnp.where(usable & valid, squared, jnp.inf)
    second = jnp.minimum(second, jnp.maximum(nearest, squared))
    return (jnp.minimum(nearest, squared), second), None

  none = jnp.full(rgb.shape[:-1], jnp.inf)
  (nearest, second), _ = jax.lax.scan(
    visit,
    (none, none),
    (palette, palette_valid),
    unroll=min(_UNROLL, len(palette)),
  )
  found = jnp.isfinite(nearest)
  nearest = jnp.where(found, nearest, 0.0)
  # Nothing is farther than the diagonal; a lone color has no second.
  second = jnp.where(found, jnp.minimum(second, jnp.square(_DIAGONAL)), 0.0)
  distance, farther = 255.0 * _root(nearest), 255.0 * _root(second)
  margin = jnp.maximum(farther - distance, 0.0)
  return margin, jnp.where(found, distance, jnp.inf)


def measure_foreign(distance: Float[ArrayLike, 'h w']) -> Float[Array, '']:
  """Share of a picture that is painted in other colors than a palette's.

  Counted in blocks of 4 x 4 pixels, of which none is within 20 levels of the
  palette: what noise, JPEG and smoothed edges do to a painting leaves such a
  pixel nearly everywhere.

  Args:
    distance: of `decode_nearest`, in RGB [0, 1] units.

  Source: ours.
  """
  distance = jnp.asarray(distance, jnp.float32)
  height, width = distance.shape
  down, across = (-(-edge // _BLOCK) for edge in distance.shape)
  room = ((0, down * _BLOCK - height), (0, across * _BLOCK - width))
  blocks = jnp.pad(distance, room, constant_values=jnp.inf)
  blocks = blocks.reshape(down, _BLOCK, across, _BLOCK)
  return jnp.mean(jnp.min(blocks, axis=(1, 3)) > _FAR)


def confidence(
  rgb: Float[ArrayLike, '... 3'],
  palette: Float[ArrayLike, 'q 3'],
  palette_valid: Bool[ArrayLike, 'q'] | None = None,
  *,
  foreign: float | Float[ArrayLike, ''] = FOREIGN,
) -> Float[Array, '...']:
  """Probability that the nearest color is the one that was meant.

  Pixels halfway between two colors are doubtful. So are those far from all:
  they may be of a color that was not asked for, and the rest of their picture
  tells how likely that is. Without a valid entry, and where a channel is NaN,
  it is 0. With a void candidate, make it an entry.

  Calibrated on paintings of 2 to 20 colors under mixed Gaussian noise, blur
  and JPEG (`perf/paintings.py`): some without anything else, some with up to
  two fifths in other colors or textures, where no entry is right, and some with
  nothing but those; see `depth.confidence` for what that means.

  Args:
    rgb: in [0, 1].
    palette: colors in [0, 1].
    palette_valid: False for entries that do not count.
    foreign: of the whole picture, see `measure_foreign`.

  Source: ours.
  """
  margin, distance = evidence(rgb, palette, palette_valid)
  found = jnp.isfinite(distance)
  distance = jnp.where(found, distance, 0.0)
  sure = to_probability(margin, distance, foreign, CONFIDENCE)
  return jnp.where(found, sure, 0.0)


def to_probability(
  margin: Float[ArrayLike, '...'],
  distance: Float[ArrayLike, '...'],
  foreign: float | Float[ArrayLike, '...'],
  weights: tuple[float | Float[ArrayLike, ''], ...],
) -> Float[Array, '...']:
  """Probability of the nearest color among three: it, the second, any other.

  At margin 0 the second is as probable, and the farther the nearest is, the
  less a margin tells. Any other color, one that was not asked for, is the more
  probable the farther the nearest is, and the more of the picture has such.

  Args:
    margin: to the second nearest, 8-bit levels.
    distance: of the nearest, 8-bit levels.
    foreign: share of the picture in [0, 1].
    weights: as `CONFIDENCE`.
  """
  of_margin, legend, of_distance, of_foreign = weights
  second = jnp.exp(-of_margin * margin / (1.0 + distance))
  odds = (foreign + _LEAST_SHARE) / (1.0 - foreign + _LEAST_SHARE)
  other = of_distance * jnp.log1p(distance / 10) + of_foreign * jnp.log(odds)
  return 1.0 / (1.0 + second + jnp.exp(other - legend))


def _root(squared):
  """Square root whose slope at 0 is 0."""
  zero = squared <= 0.0
  return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))
