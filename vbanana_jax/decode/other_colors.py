"""Colors that were painted in place of those that the prompt names."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from vbanana_jax import resizing
from vbanana_jax.codecs import css, palettes
from vbanana_jax.tasks import prompts
from vbanana_jax.tasks.prompts import PromptSpec

_APART = 40.0  # levels between a name and all colors that were asked for
_NEAR = 20 / 255  # of a color, RGB [0, 1] units; noise of 8 levels is within
_AROUND = 40 / 255  # what is between both is another color
_MOST_AROUND = 0.5  # of what is near; a photograph has more
_MOST_PAINTED = 1e-3  # of the picture, in a color that is hardly painted
_LEAST_PAINTED = 0.01  # of the picture, in one that was not asked for
_TAKEN = 130.0  # levels between a color and what people paint for it
_SAMPLE = (256, 256)  # rows and columns that are looked at
_ROOM = 64  # colors; palettes are padded to multiples of it, as a program each


def find_other_color(
  spec: PromptSpec, painted_u8: UInt8[np.ndarray, 'h w 3']
) -> str | None:
  """One line where a color with a name stands in for one of the prompt's.

  People paint CSS's lime when they are asked for green, which CSS has darker.
  Such a color covers 1 % of the picture at least, is 40 levels or more from all
  that the prompt names, and within 130 of one that is hardly painted, on less
  than 0.1 %. The one with the largest area counts.

  Args:
    spec: what the prompt says.
    painted_u8: the picture.
  """
  if not spec.entries or not prompts.get_reader(spec.task).has_legend:
    return None
  asked = [('background', spec.background), *spec.entries]
  colors = np.array([color for _, color in asked])
  others = {
    color: name
    for name, color in css.COLORS.items()
    if np.linalg.norm(colors - color, axis=-1).min() >= _APART
  }
  palette = palettes.to_rgb([*(color for _, color in asked), *others])
  some_u8 = resizing.resize_nearest(painted_u8, _SAMPLE)
  near, around = _measure_shares(some_u8, palette)
  missing = np.flatnonzero(near[: len(asked)] < _MOST_PAINTED)
  shares = near[len(asked) :]
  is_painted = (shares >= _LEAST_PAINTED) & (
    around[len(asked) :] <= _MOST_AROUND * shares
  )
  for k in np.argsort(-np.where(is_painted, shares, 0.0)):
    if not is_painted[k] or not len(missing):
      break
    color = list(others)[k]
    gaps = np.linalg.norm(colors[missing] - color, axis=-1)
    if gaps.min() <= _TAKEN:
      name, wanted = asked[missing[gaps.argmin()]]
      return (
        f'{name} was to be {_name(wanted)}, which is hardly painted, and '
        f'{shares[k]:.1%} of it is {others[color]} {color}, which the prompt '
        'does not name: is that meant?'
      )
  return None


def _name(color: palettes.Color) -> str:
  names = {levels: name for name, levels in css.COLORS.items()}
  return f'{names[color]} {color}' if color in names else str(color)


def _measure_shares(
  some_u8: UInt8[np.ndarray, 'h w 3'], palette: Float[np.ndarray, 'q 3']
) -> Float[np.ndarray, '2 q']:
  """Of pixels whose nearest color this is: those near to it, and around it."""
  room = -len(palette) % _ROOM
  padded = np.pad(palette, ((0, room), (0, 0)))
  exists = np.arange(len(padded)) < len(palette)
  index, distance = (
    np.asarray(x).ravel() for x in _decode(some_u8, padded, exists)
  )
  is_near = distance <= _NEAR
  bands = (is_near, (distance <= _AROUND) & ~is_near)
  counts = [np.bincount(index[band], minlength=len(palette)) for band in bands]
  return np.stack(counts) / index.size


@jax.jit
def _decode(some_u8, palette, exists):
  rgb = some_u8.astype(jnp.float32) / 255.0
  return palettes.decode_nearest(rgb, palette, exists)
