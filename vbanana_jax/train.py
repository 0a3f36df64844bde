"""One loop for pretraining and tuning: they differ in their mixture alone.

Read from the top: what is built, where the state comes from, the loop.
"""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax import durations, sharding
from vbanana_jax.data import build, stream
from vbanana_jax.diffusion import samplers
from vbanana_jax.errors import NonFiniteLossError, UserError
from vbanana_jax.evaluation import periodic
from vbanana_jax.runtime import logs, pace, paths, processes, workdir_lock
from vbanana_jax.runtime.preemption import Preemption
from vbanana_jax.training import (
  checkpoint,
  config_numbers,
  flops,
  optim,
  provenance,
  resume,
  weights,
)
from vbanana_jax.training.state import TrainState, make_logical_axes, make_state
from vbanana_jax.training.step import make_train_step


def train(config: dict[str, Any], workdir: paths.Path) -> TrainState:
  """Trains from wherever `workdir` stands to the end of the config's length.

  On one kind of hardware and one version of the packages a run that was
  stopped and went on is bit-equal to one that never stopped (on a GPU with
  XLA_FLAGS=--xla_gpu_deterministic_ops=true).

  Args:
    config: see `configs/base.py`, as plain nested dicts.
    workdir: gets run.json, metrics.jsonl, scores.jsonl and checkpoints/. If
      it holds a run already, that run goes on; if it is complete, it is
      returned.

  Raises:
    UserError: for a mistake in the config, processes that were given
      different ones, or a workdir of another config or in which another
      process trains.
    NonFiniteLossError: the loss was not finite; the update was not applied.
    Interrupted: by Ctrl-C, after saving; by SIGTERM, Preempted.
  """
  resume.check_processes_agree(config, workdir)
  batch_size = config['batch_size']
  mesh = sharding.build_mesh(config['mesh'])
  check_sizes(config, mesh)
  build.check_memory(config, processes=jax.process_count())
  if config['init_from'] and checkpoint.newest_step(workdir) is None:
    weights.require(paths.to_path(config['init_from']))
  total = durations.to_steps(config['length'], batch_size=batch_size)
  log_every, save_every = (
    durations.to_steps(config[key], batch_size=batch_size, total_steps=total)
    for key in ('log_every', 'save_every')
  )
  keep_every = find_keep_every(config, total, save_every)
  model = weights.build_network(config, mesh)
  optimizer = optim.build_optimizer(
    config['optim'], total, model.precision, mesh
  )
  processes.log('building mixture')
  mixture = build.build_mixture(
    config, workdir, process_index=jax.process_index()
  )

  with contextlib.ExitStack() as stack:
    check_lock = stack.enter_context(workdir_lock.lock_workdir(workdir))
    resume.check_same(workdir, config)
    checkpoints = stack.enter_context(
      checkpoint.Checkpoints(
        workdir, keep=config['keep_checkpoints'], keep_every=keep_every
      )
    )
    processes.log('making or restoring weights')
    state = start_state(config, model, optimizer, mesh, checkpoints)
    start = int(state.step)
    if start >= total:
      processes.print_from_first(
        f'{workdir}: trained already, {start} of {total} steps; to begin '
        f'another run with its weights: --config.init_from={workdir}'
      )
      return state
    provenance.save_run(workdir, config, mesh, start_step=start)

    host_batches = stream.build_stream(
      mixture,
      batch_size=batch_size,
      seed=config['seed'],
      max_text=config['model']['max_text'],
      text_length=config['data']['text_length'],
      short_text_length=config['data']['short_text_length'],
      start_step=start,
      end_step=total,
      one_pass_share=config['loss']['one_pass_share'],
      rows=sharding.local_batch_indices(batch_size, mesh),
    )
    stack.callback(host_batches.close)
    batches = (sharding.put_batch(batch, mesh) for batch in host_batches)
    task_names = [task.name for task in mixture.tasks]
    train_step = jit_train_step(
      config, model, optimizer, mesh, state, len(task_names)
    )
    compiled_steps = {}  # by the length that instructions are padded to
    periodic_eval = periodic.build_periodic_eval(
      config, mixture.tasks, model, mesh, total
    )
    processes.log('first batch')
    batch, metrics = next(batches), None

    meter = logs.Meter(
      logs.StepLog(workdir / 'metrics.jsonl', start_step=start),
      task_names,
      batch_size=batch_size,
      learning_rates=optim.build_learning_rates(config['optim'], total),
      peak=flops.find_peak(mesh),
    )
    scores = logs.StepLog(workdir / 'scores.jsonl', start_step=start)
    if periodic_eval:
      with meter.compiling():
        periodic_eval.compile(state)
    bar = stack.enter_context(logs.make_bar(total, start, workdir.name))
    signals = stack.enter_context(Preemption())
    forecast = pace.Pace(total, mesh.devices.flat[0].platform)

    for step in range(start + 1, total + 1):
      length = batch['tokens'].shape[1]
      if length not in compiled_steps:
        with meter.compiling():
          compiled_steps[length] = train_step.lower(state, batch).compile()
      if step == start + 1:
        processes.log(f'step {step} of {total}')
      before = metrics
      with jax.transfer_guard('disallow'):  # nothing goes to and fro unasked
        state, metrics = compiled_steps[length](state, batch)
      # While the devices work on this step, the host looks at the loss of the
      # one before and prepares the batch of the next.
      check_finite(before, step - 1)
      meter.add(metrics, flops.count_step_flops(config, length).useful)
      is_last = step == total
      if not is_last:
        with meter.waiting():
          batch = next(batches)

      stop = None if is_last else signals.requested(step)
      must_score = periodic_eval and (
        is_last or step % periodic_eval.every == 0
      )
      must_save = is_last or stop or step % save_every == 0
      # A log line ends where a checkpoint does: a run that goes on from there
      # finds the time it took so far in the last line.
      must_log = must_save or step % log_every == 0
      if must_score or must_log:
        check_finite(metrics, step)
      if must_score:
        with meter.scoring(state):
          found = periodic_eval.run(state)
        scores.write({'step': step, 'seconds': meter.seconds, **found})
        processes.print_from_first(f'step {step}: {periodic.describe(found)}')
      if must_log:
        bar.set_postfix_str(meter.write(step), refresh=False)
      bar.update()
      forecast.look(step, meter.seconds)
      if must_save:
        check_lock()
        checkpoints.save(state, weights.make_manifest())
      if stop:
        raise stop(
          f'saved at step {step} of {total}; the same command goes on from here'
        )
    return state


def check_sizes(config: dict[str, Any], mesh) -> None:
  """Raises UserError for numbers that no training on these devices can have.

  Args:
    config: see `configs/base.py`.
    mesh: from `sharding.build_mesh`.
  """
  config_numbers.check_numbers(config)
  if config['eval']['sampler'] not in samplers.STEPS:
    raise UserError(
      f'config.eval.sampler is {config["eval"]["sampler"]!r}: choose of '
      f'{", ".join(samplers.STEPS)}'
    )
  sharding.check_batch_size(
    'config.batch_size', config['batch_size'], mesh, config['accumulate']
  )


def check_finite(metrics: dict[str, jax.Array] | None, step: int) -> None:
  """Raises NonFiniteLossError unless a step's loss and gradient are finite."""
  if metrics is None:
    return
  loss, norm = jax.device_get((metrics['loss'], metrics['gradient_norm']))
  if not np.isfinite(loss + norm):
    raise NonFiniteLossError(
      f'step {step}: loss {loss}, gradient norm {norm}. The update was not '
      'applied. Train again in another --workdir with a lower '
      'config.optim.learning_rate, from the last checkpoint if you like '
      '(config.init_from), or look at the examples of this step'
    )


def find_keep_every(
  config: dict[str, Any], total: int, save_every: int
) -> int | None:
  """Steps between checkpoints that stay for good; None if none do."""
  if not config['keep_every']:
    return None
  keep_every = durations.to_steps(
    config['keep_every'], batch_size=config['batch_size'], total_steps=total
  )
  if keep_every % save_every:
    raise UserError(
      f'config.keep_every is {keep_every} steps, no multiple of '
      f'config.save_every, {save_every} steps: nothing is saved then'
    )
  return keep_every


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
  return jax.jit(
    make_train_step(
      model,
      optimizer,
      seed=config['seed'],
      num_tasks=num_tasks,
      time_mean=config['loss']['time_mean'],
      time_std=config['loss']['time_std'],
      ema_decay=config['optim']['ema_decay'],
      accumulate=config['accumulate'],
    ),
    donate_argnums=0,
    in_shardings=(shardings, sharding.batch_sharding(mesh)),
    out_shardings=(shardings, sharding.replicated_sharding(mesh)),
  )


def make_abstract_state(
  config: dict[str, Any], model, optimizer, mesh
) -> TrainState:
  """Shapes, types and shardings of a config's state."""
  size = config['image_size']
  abstract = jax.eval_shape(
    lambda: make_state(model, optimizer, size=size, seed=config['seed'])
  )
  shardings = sharding.make_shardings(
    abstract, make_logical_axes(model, size=size), mesh, config['sharding']
  )
  return sharding.make_abstract(abstract, shardings)


def start_state(
  config: dict[str, Any],
  model,
  optimizer,
  mesh,
  checkpoints: checkpoint.Checkpoints,
) -> TrainState:
  """The workdir's own state, else weights of `init_from`, else fresh ones."""
  abstract = make_abstract_state(config, model, optimizer, mesh)
  if checkpoints.latest_step() is not None:
    weights.check_tokenizer(checkpoints)
    return checkpoints.restore(abstract)

  def make() -> TrainState:
    return make_state(
      model, optimizer, size=config['image_size'], seed=config['seed']
    )

  shardings = jax.tree.map(lambda x: x.sharding, abstract)
  state = jax.jit(make, out_shardings=shardings)()
  if not config['init_from']:
    return state
  params, report = weights.load_matching(
    paths.to_path(config['init_from']), state.params
  )
  processes.print_from_first(report)
  return state._replace(
    params=params, ema_params=jax.tree.map(jnp.copy, params)
  )
