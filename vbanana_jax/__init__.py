"""An image generator, lightly tuned, as a vision generalist.

  import vbanana_jax as vb

  model = vb.open('runs/quickstart')
  answer = model.ask('depth', 'room.jpg')

`open` and `read_painted` are those of `api`, `TASKS` of `tasks`, `SceneSource`
of `data.sources`; `codecs`, `metrics` and `networks` are folders. Nothing of
them is imported before it is used.
"""

import importlib
from typing import Any

__version__ = '0.1.0'

_HOMES = {
  'Answer': 'api',
  'Model': 'api',
  'SceneSource': 'data.sources',
  'TASKS': 'tasks',
  'UserError': 'errors',
  'open': 'api',
  'read_painted': 'api',
}
_FOLDERS = ('codecs', 'metrics', 'networks')


def __getattr__(name: str) -> Any:
  if name in _HOMES:
    home = importlib.import_module(f'{__name__}.{_HOMES[name]}')
    return getattr(home, name)
  if name in _FOLDERS:
    return importlib.import_module(f'{__name__}.{name}')
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
  return sorted([*globals(), *_HOMES, *_FOLDERS])
