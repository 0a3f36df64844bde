"""What a person should look at in a painted picture; nothing is refused."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vbanana_jax.data import photos
from vbanana_jax.decode.doubts import find_doubt
from vbanana_jax.decode.other_colors import find_other_color
from vbanana_jax.decode.values import Decoded
from vbanana_jax.tasks import TASKS
from vbanana_jax.tasks.prompts import PromptSpec

_MOST_BETWEEN = 1e-3  # of a picture
_MOST_WITHOUT_SURFACE = 0.01  # of a picture; edges and noise take less
_NOISE = 8.0  # levels, of what may happen to a picture
_MOST_MIXED = 1e-3  # of a color's pixels
_MOST_STRETCHED = 1.1  # sizes of generators are multiples; more is another crop


def find_near_colors(spec: PromptSpec) -> str | None:
  """One line about colors of a legend that noise mixes; None if there are none.

  Said where independent noise of 8 levels (standard deviation, each channel)
  would read more than 0.1 % of a color's pixels as another's: where they are
  less than 50 levels apart.
  """
  named = (('background', spec.background), *spec.entries)
  pairs = []
  for (name, color), (other, near) in itertools.combinations(named, 2):
    gap = float(np.linalg.norm(np.subtract(color, near)))
    mixed = math.erfc(gap / 2 / _NOISE / math.sqrt(2)) / 2
    pairs.append((mixed, gap, f'{name} {color} and {other} {near}'))
  near = sorted((pair for pair in pairs if pair[0] > _MOST_MIXED), reverse=True)
  if not near or not spec.entries:
    return None
  mixed, gap, names = near[0]
  more = f'; {len(near) - 1} more pairs are so near' if len(near) > 1 else ''
  return (
    f'{names} are {gap:.0f} levels apart: noise of {_NOISE:.0f} levels reads '
    f'{mixed:.1%} of the one as the other{more}'
  )


def find_oddities(
  spec: PromptSpec,
  painted: photos.Painted,
  found: Decoded,
  shape: tuple[int, int],
) -> dict[str, str]:
  """One line for each kind of oddity that the picture has.

  Args:
    spec: what the prompt says.
    painted: the picture.
    found: what it was decoded to.
    shape: height and width that its values are brought to.

  Returns:
    of 'doubt', 'nothing_found', 'other_color', 'near_colors',
    'between_colors', 'no_surface', 'stretched', 'lossy' and 'transparent' those
    that there are.
  """
  is_empty = TASKS[spec.task].value.is_empty(found.value)
  facts = {**found.facts, 'is_empty': is_empty}
  return {
    **find_odd_colors(spec, painted),
    **find_odd_values(spec, facts, is_lossy=painted.is_lossy),
    **find_odd_shape(painted.pixels_u8.shape[:2], shape),
  }


def find_odd_colors(
  spec: PromptSpec, painted: photos.Painted
) -> dict[str, str]:
  """The oddities of a picture that are seen without decoding it."""
  return _keep(
    {
      'doubt': find_doubt(spec, painted.pixels_u8),
      'other_color': find_other_color(spec, painted.pixels_u8),
      'near_colors': find_near_colors(spec),
      'lossy': painted.is_lossy
      and 'kept with loss, as JPEG, which changes colors where they meet',
      'transparent': painted.clear
      and f'{painted.clear:.1%} of it, laid over the background '
      f'{spec.background}',
    }
  )


def find_odd_values(
  spec: PromptSpec, facts: Mapping[str, Any], *, is_lossy: bool
) -> dict[str, str]:
  """The oddities of what a picture was decoded to.

  Args:
    spec: what the prompt says.
    facts: of `Decoded`, and `is_empty`, whether nothing was found.
    is_lossy: whether the picture was kept with loss, which says enough of its
      borders.
  """
  between = facts.get('between_colors_share', 0.0)
  bare = facts.get('no_surface_share', 0.0)
  names = [name for name, _ in spec.entries]
  return _keep(
    {
      'nothing_found': facts['is_empty']
      and (', '.join(names) or 'of the thing that was asked for'),
      'between_colors': between > _MOST_BETWEEN
      and not is_lossy
      and f'{between:.2%} of it lies between two colors that it mixes, and is '
      'read as a third: paint borders without smoothing, keep them without '
      'loss',
      'no_surface': bare > _MOST_WITHOUT_SURFACE
      and f'{bare:.1%} of it has colors that no direction has, as of a painted '
      'sky, and is read as no surface',
    }
  )


def find_odd_shape(
  painted: tuple[int, int], shape: tuple[int, int]
) -> dict[str, str]:
  """Whether a picture has another aspect than what it was painted about."""
  (height, width), (rows, columns) = painted, shape
  stretch = (width / height) / (columns / rows)
  is_stretched = not 1 / _MOST_STRETCHED < stretch < _MOST_STRETCHED
  return _keep(
    {
      'stretched': is_stretched
      and f'{height} x {width} is another aspect than {rows} x {columns}: '
      'is it turned, or cut out?'
    }
  )


def _keep(lines: Mapping[str, Any]) -> dict[str, str]:
  return {kind: line for kind, line in lines.items() if line}
