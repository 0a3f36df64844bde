"""`dataset.json`: what the labels of a folder of one's own mean."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from vbanana_jax.benchmark.readers import files
from vbanana_jax.datasets import class_tables, folder_classes, json_fields
from vbanana_jax.errors import UserError

NAME = 'dataset.json'
UNITS = {'m': 1.0, 'cm': 0.01, 'mm': 0.001, 'um': 1e-6, 'km': 1000.0}
_AXES = {'x': ('right', 'left'), 'y': ('up', 'down'), 'z': ('viewer', 'away')}
_GRAYS = ((0, 0, 0), (127, 127, 127), (128, 128, 128))  # of no unit vector
# Folder of each label, and the keys that its section may have besides.
SECTIONS = {
  'depth': ('unit', 'invalid', 'sky', 'along'),
  'normals': ('x', 'y', 'z', 'invalid'),
  'labels': ('void',),
  'instances': ('class', 'void'),
}
_PATTERN = ('folder', 'suffix')
_CAMERA = ('fx', 'fy', 'cx', 'cy', 'width', 'height', 'first_pixel')
_TOP = (
  'name', 'license', 'source', 'images', *SECTIONS, 'classes', 'intrinsics',
  'splits',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FilePattern:
  """Where files of one kind lie.

  Attributes:
    folder: inside the set's.
    suffix: what the stems of their names have more than the photographs'.
  """

  folder: str
  suffix: str = ''


@dataclasses.dataclass(frozen=True)
class Depth:
  """How a file holds depth.

  Attributes:
    meters: that a step of its values is.
    invalid: values that are not known.
    sky: values that are infinitely far.
    along_ray: whether it is the distance from the camera and not along its
      axis.
  """

  meters: float
  invalid: tuple[float, ...] = (0.0,)
  sky: tuple[float, ...] = ()
  along_ray: bool = False


@dataclasses.dataclass(frozen=True)
class Normals:
  """How a file holds normals.

  Attributes:
    signs: factors of its x, y and z, for x right, y up, z to the viewer.
    invalid: colors that are not known.
  """

  signs: tuple[float, float, float]
  invalid: tuple[tuple[int, ...], ...] = _GRAYS


@dataclasses.dataclass(frozen=True)
class Instances:
  """How a file holds objects.

  Attributes:
    divisor: what the values are divided by for their class; 0 where the class
      is the one that most of an object's pixels are labeled as.
    void: values that are not known.
  """

  divisor: int = 0
  void: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Fields:
  """All that a `dataset.json` says.

  Attributes:
    place: of the file, for errors.
    name, license, source: as of a `DataSet`.
    patterns: where the photographs and each label lie.
    depth, normals, instances: how their files are read; None where nothing is
      said.
    table: of classes.
    intrinsics: one for all, or the name of a file of one each.
    splits: names of photographs, or of a file with such, or {"except": split}.
  """

  place: pathlib.Path
  name: str
  license: str
  source: str
  patterns: Mapping[str, FilePattern]
  depth: Depth | None = None
  normals: Normals | None = None
  instances: Instances = Instances()
  table: class_tables.LabelTable | None = None
  intrinsics: Mapping[str, float] | str | None = None
  splits: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def load(root: pathlib.Path, path: pathlib.Path | None = None) -> Fields:
  """What the folder's `dataset.json` says; defaults where there is none.

  Args:
    root: the folder.
    path: of a file that says it in its place.

  Raises:
    UserError: names the field and what it may be.
  """
  is_there = path is not None or (root / NAME).exists()
  path = path or root / NAME
  found = files.load_json(path, dict) if is_there else {}
  json_fields.check_keys(found, _TOP, path, '')
  sections = {}
  for key in ('images', *SECTIONS):
    section = found.get(key, {})
    json_fields.check_kind(section, dict, path, key)
    json_fields.check_keys(
      section, (*_PATTERN, *SECTIONS.get(key, ())), path, key
    )
    sections[key] = section
  texts = {
    key: json_fields.check_kind(found.get(key, ''), str, path, key)
    for key in ('name', 'license', 'source')
  }
  texts['name'] = texts['name'] or root.resolve().name
  splits = json_fields.check_kind(found.get('splits', {}), dict, path, 'splits')
  return Fields(
    path,
    **texts,
    patterns={key: _read_pattern(key, sections[key], path) for key in sections},
    depth=_read_depth(sections['depth'], path) if 'depth' in found else None,
    normals=(
      _read_normals(sections['normals'], path) if 'normals' in found else None
    ),
    instances=_read_instances(sections['instances'], path),
    table=folder_classes.read_table(found, sections['labels'], root, path),
    intrinsics=_read_camera(found.get('intrinsics'), path),
    splits=splits,
  )


def check_camera(found: Mapping[str, Any], place: object) -> None:
  """Raises UserError unless these are the fields of a pinhole camera."""
  for key in ('fx', 'fy', 'cx', 'cy'):
    if not json_fields.is_number(found.get(key)):
      raise UserError(
        f'{place}: intrinsics.{key} is {found.get(key)!r}: give fx, fy, cx and '
        'cy in pixels, and width and height of the picture that they are of'
      )
  for key in ('width', 'height', 'first_pixel'):
    if key in found and not json_fields.is_number(found[key]):
      raise UserError(f'{place}: intrinsics.{key} is {found[key]!r}')


def _read_pattern(key: str, section, path) -> FilePattern:
  folder = json_fields.check_kind(
    section.get('folder', key), str, path, f'{key}.folder'
  )
  parts = pathlib.PurePosixPath(folder).parts
  if not parts or folder.startswith('/') or '..' in parts:
    raise UserError(f'{path}: {key}.folder {folder!r} is not inside the folder')
  suffix = section.get('suffix', '')
  return FilePattern(
    folder, json_fields.check_kind(suffix, str, path, f'{key}.suffix')
  )


def _read_depth(section, path) -> Depth:
  unit = section.get('unit')
  meters = UNITS.get(unit) if isinstance(unit, str) else unit
  if not json_fields.is_number(meters) or meters <= 0:
    raise UserError(
      f'{path}: depth.unit is {unit!r}: one of {", ".join(UNITS)}, or meters '
      'that a step of the values is, as 0.001'
    )
  along = section.get('along', 'z')
  if along not in ('z', 'ray'):
    raise UserError(f'{path}: depth.along is {along!r}, not "z" or "ray"')
  return Depth(
    float(meters),
    json_fields.read_numbers(section.get('invalid', 0), path, 'depth.invalid'),
    json_fields.read_numbers(section.get('sky', ()), path, 'depth.sky'),
    along == 'ray',
  )


def _read_normals(section, path) -> Normals:
  signs = []
  for axis, ways in _AXES.items():
    way = section.get(axis)
    if way not in ways:
      raise UserError(
        f'{path}: normals.{axis} is {way!r}: say which way it points, '
        f'"{ways[0]}" or "{ways[1]}"'
      )
    signs.append(1.0 if way == ways[0] else -1.0)
  colors = section.get('invalid', _GRAYS)
  if not all(
    isinstance(color, list | tuple) and len(color) == 3 for color in colors
  ):
    raise UserError(f'{path}: normals.invalid is a list of colors [r, g, b]')
  return Normals(tuple(signs), tuple(map(tuple, colors)))


def _read_instances(section, path) -> Instances:
  rule = section.get('class', 'labels')
  is_divisor = isinstance(rule, int) and not isinstance(rule, bool) and rule > 1
  if rule != 'labels' and not is_divisor:
    raise UserError(
      f'{path}: instances.class is {rule!r}: "labels", or what values are '
      'divided by for their class, as 1000'
    )
  void = json_fields.read_numbers(
    section.get('void', ()), path, 'instances.void'
  )
  return Instances(rule if is_divisor else 0, tuple(map(int, void)))


def _read_camera(found, path) -> Mapping[str, float] | str | None:
  if found is None or isinstance(found, str):
    return found
  json_fields.check_kind(found, dict, path, 'intrinsics')
  json_fields.check_keys(found, _CAMERA, path, 'intrinsics')
  check_camera(found, path)
  return found
