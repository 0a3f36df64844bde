"""The tasks by name. One more task is one package here and one line below.

`docs/add_a_task.md` adds one, step by step.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from vbanana_jax.tasks.base import Task

# The class of a task in the package of its name.
_CLASSES = {
  'generate': 'Generate',
  'edit': 'Edit',
  'semantic': 'Semantic',
  'instance': 'Instance',
  'referring': 'Referring',
  'depth': 'Depth',
  'normals': 'Normals',
  'albedo': 'Albedo',
}


class Registry(Mapping[str, 'Task']):
  """Task by name; a package is imported when its task is first asked for.

  Names alone, as in `--help`, cost nothing.
  """

  def __init__(self, classes: Mapping[str, str]):
    self._classes = classes
    self._tasks: dict[str, Task] = {}

  def __getitem__(self, name: str) -> 'Task':
    if name not in self._tasks:
      class_name = self._classes[name]
      package = importlib.import_module(f'{__name__}.{name}')
      self._tasks[name] = getattr(package, class_name)()
    return self._tasks[name]

  def __iter__(self) -> Iterator[str]:
    return iter(self._classes)

  def __len__(self) -> int:
    return len(self._classes)

  def __contains__(self, name: object) -> bool:
    return name in self._classes


TASKS = Registry(_CLASSES)
