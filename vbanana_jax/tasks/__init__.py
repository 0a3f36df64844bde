"""Tasks by name. One more task is one file, one line here and one test."""

from vbanana_jax.tasks import base
from vbanana_jax.tasks.depth import Depth
from vbanana_jax.tasks.edit import Edit
from vbanana_jax.tasks.generate import Generate
from vbanana_jax.tasks.instance import Instance
from vbanana_jax.tasks.normals import Normals
from vbanana_jax.tasks.referring import Referring
from vbanana_jax.tasks.semantic import Semantic

TASKS: dict[str, base.Task] = {
  'generate': Generate(),
  'edit': Edit(),
  'semantic': Semantic(),
  'instance': Instance(),
  'referring': Referring(),
  'depth': Depth(),
  'normals': Normals(),
}
