"""Asks of a source's first rows what is asked of pictures when prepared.

A source that is written in Python, or that another tool prepared, would train
without an error on labels of another size or unit.
"""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from vbanana_jax import labels
from vbanana_jax.data import label_checks, labeled, sources
from vbanana_jax.data.bad_records import BadRecordError
from vbanana_jax.errors import UserError

ROWS = 4  # of a source that are looked at
KEYS = (
  'rgb', 'depth_m', 'normals', 'albedo', 'semantic', 'classes', 'instance',
  'instance_class', 'phrases', 'captions', 'edit', 'intrinsics', 'style',
)  # fmt: skip
_MOST_PHRASES = 8


def check_source(
  source: sources.Source, name: str, size: int, needs: Collection[str]
) -> None:
  """Refuses a source whose first rows cannot be what it says.

  Rows that cannot be read are left to who replaces them.

  Args:
    source: that is finite.
    name: of it in `config.sources`.
    size: height and width that its pictures have to have.
    needs: labels that are asked for; a source need not read the others.

  Raises:
    UserError: names the row, the label and what is wrong.
  """
  at = f'config.sources.{name}'
  for key in sorted(source.labels):
    if key not in KEYS:
      near = difflib.get_close_matches(key, KEYS, n=1)
      hint = f'did you mean {near[0]!r}?' if near else f'of {", ".join(KEYS)}'
      raise UserError(f'{at}: labels has {key!r}, which is no label: {hint}')
  if not len(source):
    raise UserError(f'{at}: the source has no row')
  for index in range(min(ROWS, len(source))):
    try:
      example = source[index]
    except BadRecordError:
      continue
    try:
      _check_example(example, source.labels & set(needs), size)
    except UserError as error:
      raise UserError(f'{at}, row {index}: {error}') from error


def _check_example(
  example: Mapping[str, Any], said: Collection[str], size: int
) -> None:
  missing = sorted(key for key in said if example.get(key) is None)
  if missing:
    raise UserError(f'labels has {missing[0]}, and the row has not')
  _check_picture('rgb', example.get('rgb'), size)
  if 'albedo' in said:
    _check_picture('albedo', example['albedo'], size)
  if 'edit' in said:
    _check_picture('edit: rgb', example['edit']['rgb'], size)
  maps = {
    key: _check_array(key, example[key])
    for key in ('depth_m', 'normals', 'semantic', 'instance')
    if key in said
  }
  if 'classes' not in said:  # who asks about classes says that they lack
    maps.pop('semantic', None)
  known = {k: v for k, v in maps.items() if _is_known(k, v)}
  words = np.random.default_rng(0)
  caption = example['captions'].draw(words) if 'captions' in said else ''
  kinds = example.get('instance_class') if 'instance' in known else None
  picture = labeled.LabeledPicture(
    id='',
    file='',
    encoded=b'',
    **known,
    instance_class=() if kinds is None else tuple(map(int, kinds)),
    phrases=(
      tuple(example['phrases'].draw(words, _MOST_PHRASES))
      if 'phrases' in said
      else ()
    ),
    captions=(caption,) if caption else (),
    intrinsics=example['intrinsics'] if 'intrinsics' in said else None,
  )
  label_checks.check_picture(picture, (size, size), example.get('classes'))


def _check_picture(key: str, rgb: Any, size: int) -> None:
  _check_array(key, rgb)
  if rgb.shape != (size, size, 3):
    raise UserError(
      f'{key}: shape {list(rgb.shape)}, and config.image_size asks for '
      f'{[size, size, 3]}'
    )
  if rgb.dtype != np.float32 or not (rgb.min() >= 0 and rgb.max() <= 1):
    raise UserError(
      f'{key}: {rgb.dtype} from {rgb.min():g} to {rgb.max():g}, and colors are '
      'float32 from 0 to 1'
    )


def _check_array(key: str, array: Any) -> np.ndarray:
  if not isinstance(array, np.ndarray):
    raise UserError(f'{key}: {type(array).__name__}, and no array of numpy')
  return array


def _is_known(key: str, array: np.ndarray) -> bool:
  """Whether a label says anything of this picture: it need not."""
  if key == 'depth_m':
    return array.dtype.kind != 'f' or bool(np.isfinite(array).any())
  if key == 'normals':
    return bool(array.any())
  return bool((array != labels.VOID).any())
