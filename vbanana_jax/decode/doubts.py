"""Pictures that cannot be what they are decoded as: photographs, raw maps, BGR.

Every picture decodes to something. These signs cost little and are said in one
line; nothing is refused for them.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from vbanana_jax.tasks import prompts
from vbanana_jax.tasks.prompts import PromptSpec

_FAR = 64 / 255  # from every legal color, RGB [0, 1] units
_MOST_FAR = 0.1  # of a picture's pixels
_GRAY = 2  # levels between the channels of a gray pixel
_NEAR = 14  # levels within which a gray pixel is a color of the legend
_ALMOST = 4  # levels of noise on a picture of one color
_MOST_CHANGES = 0.1  # of neighboring pixels, in a map of ids
_LEAST_SHARE = 1e-3  # of a picture, of each of its ids
_OFF = 12 / 255  # mean distance from which another order of channels is tried


def find_doubt(
  spec: PromptSpec, painted_u8: UInt8[np.ndarray, 'h w 3']
) -> str | None:
  """Why a picture is hardly an answer of `spec.task`; None if it may be.

  A share of pixels above 10 % is far, 64 of 255 levels, from every color that
  the prompt allows and no brighter or darker shade of it (people say green for
  CSS's lime, too); or exchanged channels are much nearer to them; or a picture
  is grey where the prompt allows colors. The colors of instances are free, and
  other color maps than the rainbow have no rule here.

  Args:
    spec: what the prompt says.
    painted_u8: the picture.
  """
  if not prompts.get_reader(spec.task).limits_colors(spec):
    return None
  if _is_raw_map(spec, painted_u8):
    return (
      'it is grey: a map of numbers, as of class ids, a mask of 0 and 1 or '
      'depth, is no painting; '
      'paint it in the colors of the prompt'
    )
  far, mean = _measure(spec, painted_u8)
  if mean > _OFF:
    _, swapped = _measure(spec, painted_u8[..., ::-1])
    if swapped < mean / 3:
      return (
        f'it is {255 * mean:.0f} levels from the colors of the prompt, and '
        f'{255 * swapped:.0f} with red and blue exchanged: is it BGR?'
      )
  if far <= _MOST_FAR:
    return None
  return (
    f'{far:.0%} of it is far from every color of the prompt: is it a '
    'photograph, or the answer to another prompt or task?'
  )


def _is_raw_map(spec, painted_u8) -> bool:
  span = painted_u8.max(-1).astype(int) - painted_u8.min(-1)
  levels = np.unique(painted_u8)
  if span.max() > _GRAY or len(levels) == 1:
    return False
  if not prompts.get_reader(spec.task).has_legend:
    return True
  colors = [spec.background, *(color for _, color in spec.entries)]
  grays = [c[0] for c in colors if max(c) - min(c) <= _GRAY]
  if len(grays) == len(colors):
    return False
  if not grays or _has_lowest_ids(painted_u8[..., 0]):
    return True
  gaps = np.abs(levels[:, None].astype(int) - np.array(grays, int)[None])
  used = np.unique(gaps.argmin(-1))
  # Greys of the legend's own: one with some noise, or several.
  most = _NEAR if len(used) > 1 else _ALMOST
  return bool(gaps.min(-1).max() > most)


def _has_lowest_ids(gray_u8) -> bool:
  """Whether levels are 0 to k, all nearly black, in areas of one level each.

  Black with some noise has as few levels, but changes from pixel to pixel.
  """
  levels, counts = np.unique(gray_u8, return_counts=True)
  changes = np.mean(gray_u8[:, 1:] != gray_u8[:, :-1])
  return (
    1 < len(levels) <= _ALMOST + 1
    and levels[-1] == len(levels) - 1
    and counts.min() >= _LEAST_SHARE * gray_u8.size
    and bool(changes < _MOST_CHANGES)
  )


def _measure(spec, painted_u8) -> tuple[float, float]:
  """Share of far pixels, and the mean distance in RGB [0, 1] units."""
  palette, _ = spec.make_palette()
  rgb = np.ascontiguousarray(painted_u8, np.float32) / np.float32(255.0)
  reader = prompts.get_reader(spec.task)
  unpainted = reader.find_unpainted(painted_u8)
  far, mean = _measure_rgb(rgb, palette, unpainted, reader)
  return float(far), float(mean)


@functools.partial(jax.jit, static_argnums=3)
def _measure_rgb(rgb, palette, unpainted, reader):
  distance = reader.measure_distance(rgb, palette)
  distance = jnp.where(unpainted, 0.0, distance)
  return jnp.mean(distance > _FAR), jnp.mean(distance)
