"""From `--config NAME[:ARG] --config.a.b=value` to a locked config."""

import difflib
import importlib
import importlib.util
import pathlib
import re
import traceback
import types
from collections.abc import Mapping
from typing import Any

import ml_collections

from vbanana_jax.configs import base
from vbanana_jax.errors import UserError

_SOURCES = '--config.sources.'


def load_config(text: str):
  """`NAME[:ARG]` or `path/to/file.py[:ARG]` to a locked ConfigDict.

  A config file is Python and runs as such: use only those you trust.
  """
  if '://' in text:
    raise UserError(
      f'--config {text}: a config is a Python file on a disk: copy it there'
    )
  name, _, arg = text.partition(':')
  choices = f'choose of {", ".join(list_configs())}, or name a .py file'
  if not name.endswith('.py') and name not in list_configs():
    raise UserError(
      f'--config {name}: no config of that name; {choices} (sizes of networks '
      'go into --config.model.size)'
    )
  try:
    if name.endswith('.py'):
      module = _run_file('config', name)
    else:
      module = importlib.import_module(f'vbanana_jax.configs.{name}')
    config = module.get_config(arg)
  except (ImportError, FileNotFoundError, AttributeError) as error:
    raise UserError(f'--config {name}: {error}; {choices}') from error
  except ValueError as error:
    raise UserError(f'--config {text}: {error}') from error
  except Exception as error:  # whatever Python the file holds
    raise UserError(
      f'--config {name}{_find_line(error, name)}: {type(error).__name__}: '
      f'{error}'
    ) from error
  if not isinstance(config, ml_collections.ConfigDict):
    raise UserError(
      f'--config {name}: get_config returns a {type(config).__name__} and not '
      'a ConfigDict, as that of configs/quickstart.py'
    )
  if 'sources' in config:
    config.sources = complete_sources(config.sources.to_dict())
  config.lock()
  return config


def load_module(path: str) -> types.ModuleType:
  """A Python file of a user's, run as code.

  Raises:
    UserError: names the file and the line that fails.
  """
  try:
    return _run_file('source', path)
  except UserError:
    raise
  except Exception as error:  # whatever Python the file holds
    raise UserError(
      f'{path}{_find_line(error, path)}: {type(error).__name__}: {error}'
    ) from error


def _run_file(name: str, path: str) -> types.ModuleType:
  spec = importlib.util.spec_from_file_location(name, path)
  if spec is None:
    raise UserError(f'{path}: the name of a Python file ends with .py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def complete_sources(
  sources: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
  """`config.sources` with the defaults of each kind filled in.

  Raises:
    UserError: names the source and what is wrong with its kind or a setting.
  """
  found = {}
  for name, settings in sources.items():
    at = f'config.sources.{name}'
    if not re.fullmatch(r'[A-Za-z]\w*', name):
      raise UserError(f'{at}: names of sources are letters, digits and _')
    if 'kind' not in settings:
      raise UserError(f'{at} has no kind: {_describe_kinds()}')
    kind = settings['kind']
    if kind not in base.SOURCES:
      raise UserError(f'{at}.kind is {kind!r}: {_describe_kinds()}')
    found[name] = _complete(at, settings, {'kind': kind, **base.SOURCES[kind]})
  return found


def _complete(
  at: str, settings: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
  """Defaults, changed by settings of the same names and types."""
  found = dict(defaults)
  for key, value in settings.items():
    if key not in defaults:
      raise UserError(f'{at} has no setting {key!r}{_hint(key, defaults)}')
    default = defaults[key]
    if isinstance(default, tuple) and isinstance(value, list):  # out of JSON
      value = tuple(value)
    if isinstance(default, float) and type(value) is int:
      value = float(value)
    if isinstance(default, Mapping) and isinstance(value, Mapping):
      found[key] = _complete(f'{at}.{key}', value, default)
    elif type(value) is type(default):
      found[key] = value
    else:
      raise UserError(
        f'{at}.{key} is {value!r}, and has to be like {default!r}'
      )
  return found


def _describe_kinds() -> str:
  return f'choose a kind of {", ".join(base.SOURCES)}'


def _hint(name: str, known) -> str:
  near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
  return f'; did you mean {near[0]!r}?' if near else ''


def _find_line(error: Exception, name: str) -> str:
  """Where in a config's own file an error comes from, if that is known."""
  frames = traceback.extract_tb(error.__traceback__)
  lines = [frame.lineno for frame in frames if frame.filename == name]
  if isinstance(error, SyntaxError) and error.filename == name:
    lines.append(error.lineno)
  return f' line {lines[-1]}' if lines else ''


def list_configs() -> list[str]:
  """Names of the configs that come with the package."""
  from vbanana_jax import configs

  names = {
    path.stem
    for folder in configs.__path__
    for path in pathlib.Path(folder).glob('*.py')
  }
  return sorted(names - {'__init__', 'base'})


def add_sources(config, overrides: list[str]) -> None:
  """Adds the sources that `--config.sources.NAME.kind=KIND` names.

  Their other settings get the defaults of the kind; `apply_overrides` changes
  them afterwards. A source that is there already gets another kind likewise.

  Raises:
    UserError: no such kind, or a setting of a new source without a kind.
  """
  given = [
    override.removeprefix(_SOURCES).partition('=')
    for override in overrides
    if override.startswith(_SOURCES) and '=' in override
  ]
  for place, _, kind in given:
    name, _, key = place.partition('.')
    if key == 'kind' and kind != config.sources.get(name, {}).get('kind'):
      section = complete_sources({name: {'kind': kind}})[name]
      with config.unlocked():
        config.sources[name] = section
  for place, _, _ in given:
    name = place.partition('.')[0]
    if name not in config.sources:
      near = difflib.get_close_matches(name, list(config.sources), n=1)
      hint = f'did you mean {near[0]!r}, or ' if near else ''
      raise UserError(
        f'{_SOURCES}{place}: the config has no source {name!r}: {hint}'
        f'a new one? Give its kind too, as {_SOURCES}{name}.kind=records '
        f'({_describe_kinds()})'
      )


def apply_overrides(
  config, overrides: list[str], unset: Mapping[str, Any] | None = None
) -> None:
  """`--config.a.b=value` for keys that exist, in the type they have.

  Args:
    config: a locked ConfigDict.
    overrides: what stands on the command line.
    unset: 'a.b' -> value, keys that exist although a config need not have them.
  """
  seen = set()
  for override in overrides:
    flag, equals, value = override.partition('=')
    if flag in seen:
      raise UserError(f'{flag} is given twice, and takes one value')
    seen.add(flag)
    if not flag.startswith('--config.') or not equals:
      raise UserError(
        f'unknown argument {override!r}; config keys are changed with '
        '--config.key=value'
      )
    *parents, key = flag.removeprefix('--config.').split('.')
    section = config
    for name in parents:
      section = _get(section, name, flag)
    path = '.'.join((*parents, key))
    if unset and path in unset and key not in section:
      with section.unlocked():
        section[key] = unset[path]
    before = _get(section, key, flag)
    if hasattr(before, 'keys'):
      first = next(iter(before), 'key')
      raise UserError(
        f'{flag} is a section and cannot become {value!r}: set its keys, as '
        f'{flag}.{first}=...'
      )
    try:
      section[key] = _CASTS[type(before)](value)
    except (KeyError, ValueError) as error:
      raise UserError(
        f'{flag} is {before!r} and cannot become {value!r}'
      ) from error


def _get(section, name: str, flag: str) -> Any:
  if not hasattr(section, 'keys') or name not in section:
    known = section if hasattr(section, 'keys') else ()
    raise UserError(
      f'{flag}: the config has no key {name!r}{_hint(name, known)}'
    )
  return section[name]


def _to_bool(text: str) -> bool:
  return {'true': True, 'false': False}[text.lower()]


def _to_numbers(text: str) -> tuple[float, ...]:
  return tuple(float(number) for number in text.split(','))


_CASTS = {
  int: int, float: float, str: str, bool: _to_bool, tuple: _to_numbers,
}  # fmt: skip
