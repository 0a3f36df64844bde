"""The kinds of sources on disk: how each is opened and described."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from vbanana_jax.data import (
  array_records,
  augment,
  bad_records,
  python_source,
  record_source,
)
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

Settings = Mapping[str, Any]


class Kind(NamedTuple):
  """A kind of source on disk.

  Attributes:
    needs: settings that have to be given.
    remedy: where what they name comes from.
    open: makes the source of settings, a picture size and wanted labels.
    describe: what identifies the data, from settings.
  """

  needs: tuple[str, ...]
  remedy: str
  open: Callable[[Settings, int, Collection[str]], bad_records.FiniteSource]
  describe: Callable[[Settings], dict[str, Any]]


def open_source(
  name: str, settings: Settings, size: int, needs: Collection[str]
) -> bad_records.FiniteSource:
  """The source that a config calls `name`.

  Args:
    name: in `config.sources`.
    settings: of it, with its kind.
    size: height and width of its pictures.
    needs: labels that its tasks read.

  Raises:
    UserError: a setting is missing, or what it names is not there.
  """
  kind = KINDS[settings['kind']]
  for key in kind.needs:
    if not settings[key]:
      raise UserError(
        f'config.sources.{name}.{key} is not set, and config.mixture draws '
        f'from {name}: {kind.remedy}'
      )
  return kind.open(settings, size, needs)


def describe_source(settings: Settings) -> dict[str, Any]:
  """Settings, and what tells the data from any other."""
  return {**settings, **KINDS[settings['kind']].describe(settings)}


def _open_records(settings, size, needs) -> bad_records.FiniteSource:
  varied = augment.parse_settings(settings['augment'])
  path = paths.to_path(settings['path'])
  return record_source.RecordSource(path, size, varied, needs)


def _describe_records(settings: Settings) -> dict[str, Any]:
  folder = paths.to_path(settings['path'])
  manifest = array_records.load_manifest(folder)
  known = ('name', 'count', 'license', 'source', 'exclusions')
  return {
    'manifest': array_records.hash_file(folder / array_records.MANIFEST),
    **{key: manifest[key] for key in known if manifest.get(key)},
  }


def _open_tfds(settings, size, needs) -> bad_records.FiniteSource:
  del needs  # its features are read together
  from vbanana_jax.data import tfds_source  # takes seconds to import

  return tfds_source.TfdsSource(
    settings['name'], settings['path'], settings['split'], size=size
  )


def _describe_tfds(settings: Settings) -> dict[str, Any]:
  from vbanana_jax.data import tfds_source  # takes seconds to import

  name, path = settings['name'], settings['path']
  return {'manifest': tfds_source.hash_manifest(name, path)}


def _open_python(settings, size, needs) -> bad_records.FiniteSource:
  del needs  # it makes what it has
  return python_source.PythonSource(settings['path'], size)


def _describe_python(settings: Settings) -> dict[str, Any]:
  return {'code': array_records.hash_file(paths.to_path(settings['path']))}


KINDS = {
  'records': Kind(
    ('path',),
    "make a folder with 'vbanana prepare KIND PATH --out DIR'",
    _open_records,
    _describe_records,
  ),
  'tfds': Kind(
    ('name', 'path'),
    'name a prepared data set, and the folder that it is in',
    _open_tfds,
    _describe_tfds,
  ),
  'python': Kind(
    ('path',),
    'name a Python file with a function open_source(size)',
    _open_python,
    _describe_python,
  ),
}
