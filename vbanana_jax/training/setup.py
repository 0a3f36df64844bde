"""What a config becomes before the first step: lengths, arrays, the step."""

import dataclasses
import functools
from typing import Any

import jax
import optax

from vbanana_jax import durations, families, models, sharding
from vbanana_jax.data import build, mixture, text_states
from vbanana_jax.diffusion import samplers, schedules
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths, processes, writers
from vbanana_jax.training import (
  checkpoint,
  config_numbers,
  init_from,
  optim,
  trained_folders,
  weights,
)
from vbanana_jax.training.state import (
  TrainState,
  begin_state,
  make_logical_axes,
  make_state,
)
from vbanana_jax.training.step import make_gradient_fn, make_train_step


@dataclasses.dataclass(frozen=True)
class Schedule:
  """Length of a run, and how often what is done, in steps.

  Attributes:
    total: length of the run.
    log: between lines of metrics.jsonl.
    save: between checkpoints.
    keep: between checkpoints that stay for good; None if none do.
  """

  total: int
  log: int
  save: int
  keep: int | None


def build_schedule(config: dict[str, Any]) -> Schedule:
  """Length and intervals of a config.

  Raises:
    UserError: for what is no duration, checkpoints to keep that are never
      saved, or a profile of steps that never come.
  """
  batch_size = config['batch_size']
  total = durations.to_steps(config['length'], batch_size=batch_size)

  def to_steps(key: str) -> int:
    return durations.to_steps(
      config[key], batch_size=batch_size, total_steps=total
    )

  save = to_steps('save_every')
  keep = to_steps('keep_every') if config['keep_every'] else None
  if keep and keep % save:
    raise UserError(
      f'config.keep_every is {keep} steps, no multiple of '
      f'config.save_every, {save} steps: nothing is saved then'
    )
  if config['profile']['start'] > total:
    raise UserError(
      f'config.profile.start is {config["profile"]["start"]}, and the run has '
      f'{total} steps: choose one of them, or 0 for no profile'
    )
  return Schedule(total, to_steps('log_every'), save, keep)


def check_config(config: dict[str, Any], mesh) -> None:
  """Raises UserError for values that no training on these devices can have.

  Args:
    config: see `configs/base.py`.
    mesh: from `sharding.build_mesh`.
  """
  config_numbers.check_numbers(config)
  writers.parse_names(config['writers'])
  schedules.build_levels(config['loss'])
  if config['eval']['sampler'] not in samplers.STEPS:
    raise UserError(
      f'config.eval.sampler is {config["eval"]["sampler"]!r}: choose of '
      f'{", ".join(samplers.STEPS)}'
    )
  sharding.check_batch_size(
    'config.batch_size', config['batch_size'], mesh, config['accumulate']
  )


def check_feasible(config: dict[str, Any], workdir: paths.Path) -> None:
  """Refuses early what would fail late, before anything is built.

  Args:
    config: see `configs/base.py`.
    workdir: of the run.

  Raises:
    UserError: the data do not fit the host's memory, there are no weights to
      begin from, or the workdir is an export.
  """
  trained_folders.refuse_writing(workdir, '--workdir')
  build.check_memory(config, processes=jax.process_count())
  if config['init_from'] and checkpoint.newest_step(workdir) is None:
    trained_folders.require(trained_folders.to_folder(config['init_from']))


def build_parts(
  config: dict[str, Any],
  workdir: paths.Path,
  mesh: jax.sharding.Mesh,
) -> tuple[
  models.Network,
  optax.GradientTransformation,
  text_states.TextStates | None,
  mixture.Mixture,
]:
  """Network, optimizer, memories made ahead, and what is asked.

  Args:
    config: see `configs/base.py`.
    workdir: of the run.
    mesh: from `sharding.build_mesh`.

  Raises:
    UserError: for a mistake in the config.
  """
  model = weights.build_network(config, mesh, trained=True)
  total = build_schedule(config).total
  optimizer = optim.build_optimizer(
    config['optim'], total, model.precision, mesh
  )
  told = text_states.open_states(config, model.precision)
  processes.log('building mixture')
  examples = build.build_mixture(
    config, workdir, process_index=jax.process_index()
  )
  return model, optimizer, told, examples


def jit_train_step(
  config: dict[str, Any],
  model,
  optimizer,
  mesh,
  state: TrainState,
  num_tasks: int,
):
  """The step as it runs, to be compiled for `state` and a batch.

  Args:
    config: see `configs/base.py`.
    model: from `weights.build_network`.
    optimizer: from `optim.build_optimizer`.
    mesh: from `sharding.build_mesh`.
    state: arrays, or shapes with their shardings; it is donated.
    num_tasks: of the mixture.
  """
  shardings = jax.tree.map(lambda x: x.sharding, state)
  stacks = optim.find_stacks(config['optim'], state.params)
  optimizer = sharding.reshard_for_muon(optimizer, stacks, shardings.params)
  take_gradient = make_gradient_fn(
    model,
    seed=config['seed'],
    levels=schedules.build_levels(config['loss']),
    accumulate=config['accumulate'],
  )
  return jax.jit(
    make_train_step(
      take_gradient,
      optimizer,
      num_tasks=num_tasks,
      ema_decay=config['optim']['ema_decay'],
      log_every=build_schedule(config).log,
    ),
    donate_argnums=0,
    in_shardings=(shardings, sharding.batch_sharding(mesh)),
    out_shardings=(shardings, sharding.replicated_sharding(mesh)),
  )


def make_abstract_state(
  config: dict[str, Any], model, optimizer, mesh
) -> TrainState:
  """Shapes, types and shardings of a config's state."""
  abstract = jax.eval_shape(
    functools.partial(_make_new_state, config, model, optimizer)
  )
  axes = make_logical_axes(model, size=config['image_size'])
  shardings = sharding.make_shardings(abstract, axes, mesh, config['sharding'])
  return sharding.make_abstract(abstract, shardings)


def start_state(
  config: dict[str, Any],
  model,
  optimizer,
  mesh,
  checkpoints: checkpoint.Checkpoints,
) -> TrainState:
  """The workdir's own state, else weights of `init_from`, else first ones."""
  abstract = make_abstract_state(config, model, optimizer, mesh)
  if checkpoints.latest_step() is not None:
    weights.check_manifest(checkpoints, config)
    state = checkpoints.restore(abstract)
    return state._replace(frozen=weights.load_frozen(config, abstract.frozen))

  state = _make_first_state(config, model, optimizer, abstract)
  if not config['init_from']:
    return state
  params, report = init_from.load_matching(
    trained_folders.to_folder(config['init_from']),
    state.params,
    weights.make_manifest(config),
  )
  processes.print_from_first(report)
  return state.restart(params)


def _make_first_state(
  config: dict[str, Any], model, optimizer, abstract: TrainState
) -> TrainState:
  """The state of step 0: of weights that a family brings, or of new ones."""
  shardings = jax.tree.map(lambda x: x.sharding, abstract)
  section = config['model']
  given = families.get_family(section).load_parts(
    section, abstract.weights, config['seed']
  )
  if given:
    averaged = abstract.ema_params is not None
    begin = functools.partial(begin_state, model, optimizer, averaged=averaged)
    make = jax.jit(begin, donate_argnums=0, out_shardings=shardings)
    return make(given)
  make = functools.partial(_make_new_state, config, model, optimizer)
  return jax.jit(make, out_shardings=shardings)()


def _make_new_state(config: dict[str, Any], model, optimizer) -> TrainState:
  return make_state(
    model,
    optimizer,
    size=config['image_size'],
    seed=config['seed'],
    averaged=config['optim']['ema_decay'] > 0,
  )
