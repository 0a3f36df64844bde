"""The programs that a run compiles, compiled for devices that are not there."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vbanana_jax import durations, families, sharding
from vbanana_jax.data import pairings
from vbanana_jax.evaluation import evaluators, held_out
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.plan.costs import Costs, count_costs
from vbanana_jax.plan.topologies import (
  Topology,
  load_devices,
  read_needed_bytes,
)
from vbanana_jax.tasks import TASKS, base
from vbanana_jax.training import optim, weights
from vbanana_jax.training.setup import (
  check_config,
  jit_train_step,
  make_abstract_state,
)
from vbanana_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Program:
  """One program on one chip; sizes in bytes.

  Attributes:
    needed: all that it takes; if `fits` is False, what the compiler says.
    fits: whether it was compiled for the chip's memory.
    arguments: what it reads, as laid out on the chip.
    results: what it writes beside its arguments.
    temporaries: between the two.
    code: the program itself.
    costs: of one run; None if it does not fit.
    compiler_flops: the compiler's own count, each loop once; likewise.
  """

  needed: float
  fits: bool
  arguments: float = 0.0
  results: float = 0.0
  temporaries: float = 0.0
  code: float = 0.0
  costs: Costs | None = None
  compiler_flops: float | None = None


class Programs:
  """What a config would run on a slice.

  Args:
    config: see `configs/base.py`.
    topology: the slice.

  Attributes:
    state: shapes and shardings of what training changes.
    shares: number of parts that the rows of a batch are split into.

  Raises:
    UserError: as `train` would, for the same devices.
  """

  def __init__(self, config: Mapping[str, Any], topology: Topology):
    self.config = config
    self.topology = topology
    self.mesh = sharding.build_mesh(config['mesh'], load_devices(topology))
    self.shares = sharding.num_batch_shards(self.mesh)
    check_config(config, self.mesh)
    self.model = weights.build_network(config, self.mesh, trained=True)
    total = durations.to_steps(
      config['length'], batch_size=config['batch_size']
    )
    self._optimizer = optim.build_optimizer(
      config['optim'], total, self.model.precision, self.mesh
    )
    self.state: TrainState = make_abstract_state(
      config, self.model, self._optimizer, self.mesh
    )

  def compile_train_step(self, batch_size: int) -> Program:
    """One step of training with a batch of this size, all chips together."""
    return compile_program(self._lower_train_step(batch_size))

  def estimate_train_step_memory(self, batch_size: int) -> float:
    """Bytes a chip of such a step, in a tenth of the time.

    See `estimate_memory`.
    """
    return estimate_memory(self._lower_train_step(batch_size))

  def _lower_train_step(self, batch_size: int):
    config = self.config
    sharding.check_batch_size(
      'config.batch_size', batch_size, self.mesh, config['accumulate']
    )
    step = jit_train_step(
      config,
      self.model,
      self._optimizer,
      self.mesh,
      self.state,
      num_tasks=max(1, len(pairings.find_tasks(config))),
    )
    return step.lower(self.state, self.make_batch(batch_size))

  def make_batch(self, batch_size: int) -> dict:
    """Shapes and shardings of a training batch."""
    size, length = self.config['image_size'], self.config['data']['text_length']
    row = make_row(size, length) | self._make_memory()
    return self._spread(row, batch_size)

  def _make_memory(self) -> dict[str, jax.ShapeDtypeStruct]:
    """What a row brings of `config.model.text_cache`."""
    section = self.config['model']
    if not section['text_cache']:
      return {}
    family = families.get_family(section)
    about = family.describe_memory(section, self.model.precision)
    shape = (1, *about['shape'])
    return {'memory': jax.ShapeDtypeStruct(shape, about['dtype'])}

  def compile_painter(self) -> Program:
    """The one-pass answer to a batch of the held-out set."""
    batch = self._make_eval_batch(self.exam_task)
    return compile_program(
      jax.jit(self._build_painter()).lower(self.state.ema_weights, batch)
    )

  def compile_eval_step(self) -> Program:
    """The same, decoded and scored."""
    task = self.exam_task
    evaluator = evaluators.TaskEvaluator(task, self._build_painter(), self.mesh)
    return compile_program(
      evaluator.evaluate.lower(
        self.state.ema_weights, self._make_eval_batch(task)
      )
    )

  @property
  def exam_task(self) -> base.Task:
    """The vision task with the largest share of the mixture."""
    weights = {name: 0.0 for name, task in TASKS.items() if task.vision}
    for pairing in pairings.list_pairings(self.config):
      if pairing.task in weights:
        weights[pairing.task] += pairing.weight
    return TASKS[max(weights, key=weights.__getitem__)]

  def _build_painter(self):
    return make_sample_fn(self.model, seed=self.config['seed'], steps=0)

  def _make_eval_batch(self, task: base.Task) -> dict:
    """Shapes of a batch of the held-out set; one scene is drawn to see them."""
    config = self.config
    size = sharding.round_up_rows(config['eval']['batch_size'], self.mesh)
    one = {**config, 'eval': {**config['eval'], 'batch_size': 1}}
    level = pairings.find_level(config)
    (batch,) = held_out.build_batches(one, task, level, 1)
    rows = evaluators.select_arrays(batch)
    rows['tokens'] = np.zeros((1, config['data']['text_length']), np.int32)
    return self._spread(rows | self._make_memory(), size)

  def _spread(self, rows: dict, size: int) -> dict:
    """Shapes of a batch on the devices, from one row of it."""
    split = sharding.batch_sharding(self.mesh)
    return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        (size, *x.shape[1:]), x.dtype, sharding=split
      ),
      rows,
    )


def make_row(size: int, text_length: int) -> dict[str, np.ndarray]:
  """A training batch of one example, all zeros; see `types.Batch`."""
  picture = np.zeros((1, size, size, 3), np.float32)
  number = np.zeros(1, np.float32)
  return {
    'tokens': np.zeros((1, text_length), np.int32),
    'source': picture,
    'has_source': np.zeros(1, bool),
    'target': picture,
    'weight_px': picture[..., 0],
    'task': np.zeros(1, np.int32),
    'noise_scale': number,
    'one_pass_share': number,
    'index': np.zeros(1, np.int32),
  }


def compile_program(lowered) -> Program:
  """Compiles, and reads what the compiler says of memory and of work.

  Args:
    lowered: from `jax.jit(...).lower(...)` for described devices.
  """
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    needed = read_needed_bytes(str(error))
    if needed is None:
      raise
    return Program(needed, fits=False)
  memory = compiled.memory_analysis()
  results = memory.output_size_in_bytes - memory.alias_size_in_bytes
  return Program(
    needed=float(
      memory.argument_size_in_bytes
      + results
      + memory.temp_size_in_bytes
      + memory.generated_code_size_in_bytes
    ),
    fits=True,
    arguments=float(memory.argument_size_in_bytes),
    results=float(results),
    temporaries=float(memory.temp_size_in_bytes),
    code=float(memory.generated_code_size_in_bytes),
    costs=count_costs(compiled.as_text()),
    compiler_flops=float(compiled.cost_analysis().get('flops', math.nan)),
  )


def estimate_memory(lowered) -> float:
  """What the compiler thinks that a program takes, without compiling it.

  It is told of a chip with hardly any memory, and so adds up what it would
  have to find room for and stops there. The number is without the program's
  own code, and about a tenth below that of the finished program.

  Args:
    lowered: as for `compile_program`.
  """
  try:
    compiled = lowered.compile({'xla_tpu_max_hbm_size_mib': '1'})
  except jax.errors.JaxRuntimeError as error:
    needed = read_needed_bytes(str(error))
    if needed is None:
      raise
    return needed
  return float(compiled.memory_analysis().peak_memory_in_bytes)


def count_bytes(tree: Any) -> int:
  """Bytes a chip of a tree of shapes with shardings, without padding."""
  return sum(
    math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    for leaf in jax.tree.leaves(tree)
  )
