"""One loop: pretraining and tuning differ in mixture, length and first weights.

Read from the top: what is built, where the state comes from, the loop.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from vbanana_jax import sharding
from vbanana_jax.data import mixture, stream, text_states
from vbanana_jax.drawing import pictures
from vbanana_jax.errors import NonFiniteLossError, TextStatesEnd
from vbanana_jax.evaluation import periodic
from vbanana_jax.runtime import (
  logs,
  pace,
  paths,
  processes,
  workdir_lock,
  writers,
)
from vbanana_jax.runtime.preemption import Preemption
from vbanana_jax.runtime.profiler import ProfileWindow
from vbanana_jax.tasks import base
from vbanana_jax.training import (
  checkpoint,
  flops,
  optim,
  overview,
  provenance,
  resume,
  setup,
  weights,
)
from vbanana_jax.training.state import TrainState


def train(config: dict[str, Any], workdir: paths.Path) -> TrainState:
  """Trains from wherever `workdir` stands to the end of the config's length.

  On one kind of hardware and one version of the packages a run that was
  stopped and went on is bit-equal to one that never stopped (on a GPU with
  XLA_FLAGS=--xla_gpu_deterministic_ops=true).

  Args:
    config: see `configs/base.py`, as plain nested dicts.
    workdir: gets what docs/training.md lists. A run that it holds already goes
      on; of one that is complete the last state is returned.

  Raises:
    UserError: for a mistake in the config, processes or a workdir that have
      another one, a training under way there, or a writer without its package.
    NonFiniteLossError: the loss was not finite; the update was not applied.
    Interrupted: by Ctrl-C, after saving; by SIGTERM, Preempted; TextStatesEnd.
  """
  resume.check_processes_agree(config, workdir)
  mesh = sharding.build_mesh(config['mesh'])
  setup.check_config(config, mesh)
  setup.check_feasible(config, workdir)
  total = (schedule := setup.build_schedule(config)).total
  model, optimizer, told, examples = setup.build_parts(config, workdir, mesh)

  with contextlib.ExitStack() as stack:
    check_lock = stack.enter_context(workdir_lock.lock_workdir(workdir))
    resume.check_same_config(workdir, config)
    keep = {'keep': config['keep_checkpoints'], 'keep_every': schedule.keep}
    checkpoints = stack.enter_context(checkpoint.Checkpoints(workdir, **keep))
    begun = checkpoints.latest_step() or 0
    last = told.find_last_step(config, begun, total) if told else total
    processes.log('making or restoring weights')
    state = setup.start_state(config, model, optimizer, mesh, checkpoints)
    start = int(state.step)
    if start >= total:
      resume.report_complete(workdir, start, total)
      return state
    metrics, scores = stack.enter_context(open_logs(config, workdir, start))
    provenance.save_run_json(workdir, config, mesh, start_step=start)
    overview.save_overview(workdir / 'parameters.txt', state.params)
    tasks = examples.tasks
    run = Run(
      config,
      workdir,
      schedule,
      last,
      setup.jit_train_step(config, model, optimizer, mesh, state, len(tasks)),
      stack.enter_context(
        open_batches(config, examples, mesh, range(start, last), told)
      ),
      periodic.build_periodic_eval(
        config, tasks, model, mesh, total, workdir, told
      ),
      build_meter(config, metrics, tasks, mesh, total),
      scores,
      checkpoints,
      check_lock,
    )
    return run_steps(run, state)


@dataclasses.dataclass(frozen=True)
class Run:
  """What the loop works with.

  Attributes:
    config: see `configs/base.py`.
    workdir: of the run.
    schedule: length and intervals, in steps.
    last: the step that this process goes to, at most the length.
    train_step: jitted, from `setup.jit_train_step`.
    batches: of the steps to come, on the devices.
    evals: scores while training; None for none.
    meter: writes metrics.jsonl.
    scores: scores.jsonl.
    checkpoints: of the workdir.
    check_lock: raises UserError if another training took the workdir over.
  """

  config: dict[str, Any]
  workdir: paths.Path
  schedule: setup.Schedule
  last: int
  train_step: Any
  batches: Iterator[dict[str, jax.Array]]
  evals: periodic.PeriodicEval | None
  meter: logs.Meter
  scores: logs.StepLog
  checkpoints: checkpoint.Checkpoints
  check_lock: Callable[[], None]

  def find_stop(self, step: int, signals: Preemption) -> type[Exception] | None:
    """What to raise after a step, once it is saved; None to go on."""
    if step == self.schedule.total:
      return None
    ended = TextStatesEnd if step == self.last else None
    return signals.requested(step) or ended


def run_steps(run: Run, state: TrainState) -> TrainState:
  """Trains from `state` to the end; see `train`."""
  schedule, meter, evals = run.schedule, run.meter, run.evals
  start, total = int(state.step), schedule.total
  processes.log('first batch')
  batch, metrics = next(run.batches), None
  meter.start()
  compiled_steps = {}  # by the length that instructions are padded to
  if evals:
    with meter.compiling():
      evals.begin(state)
  forecast = pace.Pace(total, jax.default_backend())

  with (
    logs.make_bar(total, start, run.workdir.name) as bar,
    Preemption() as signals,
    ProfileWindow(run.workdir / 'profile', **run.config['profile']) as profile,
  ):
    for step in range(start + 1, run.last + 1):
      tokens = batch['tokens'].shape[1]
      if tokens not in compiled_steps:
        with meter.compiling():
          compiled_steps[tokens] = run.train_step.lower(state, batch).compile()
      if step == start + 1:
        processes.log(f'step {step} of {total}')
      before = metrics
      # No transfer between host and devices but those that are asked for.
      with profile.step(step, state), jax.transfer_guard('disallow'):
        state, metrics = compiled_steps[tokens](state, batch)
      # While the devices work on this step, the host looks at the loss of the
      # one before and prepares the batch of the next.
      check_finite(before, step - 1)
      meter.add(metrics, flops.count_step_flops(run.config, tokens).useful)
      is_last = step == total
      if step < run.last:
        with meter.waiting():
          batch = next(run.batches)

      stop = run.find_stop(step, signals)
      must_score = evals and (is_last or step % evals.every == 0)
      must_save = is_last or stop or step % schedule.save == 0
      # Every checkpoint has its log line: a run that goes on from there reads
      # in the last one how long it has taken.
      must_log = must_save or step % schedule.log == 0
      if must_score or must_log:
        check_finite(metrics, step)
      if must_score:
        write_scores(run, state, step)
      if must_log:
        bar.set_postfix_str(meter.write(step), refresh=False)
      bar.update()
      forecast.look(step, meter.seconds)
      if must_save:
        run.check_lock()
        run.checkpoints.save(state, weights.make_manifest(run.config))
      if stop:
        raise stop(
          f'saved at step {step} of {total}; the same command goes on from here'
        )
  return state


def write_scores(run: Run, state: TrainState, step: int) -> None:
  """One line of scores.jsonl, and of the terminal, about averaged weights."""
  with run.meter.scoring(state):
    found = run.evals.run(state)
  run.scores.write(
    {'step': step, 'seconds': run.meter.seconds, **found.scores},
    {name: pictures.to_u8(rgb) for name, rgb in found.pictures.items()},
  )
  processes.print_from_first(f'step {step}: {periodic.describe(found.scores)}')


def build_meter(
  config: dict[str, Any],
  log: logs.StepLog,
  tasks: Sequence[base.Task],
  mesh: jax.sharding.Mesh,
  total: int,
) -> logs.Meter:
  """What averages the steps' metrics and writes them into `log`."""
  return logs.Meter(
    log,
    [task.name for task in tasks],
    batch_size=config['batch_size'],
    learning_rates=optim.build_learning_rates(config['optim'], total),
    peak=flops.find_peak(mesh),
  )


@contextlib.contextmanager
def open_logs(
  config: dict[str, Any], workdir: paths.Path, start: int
) -> Iterator[list[logs.StepLog]]:
  """metrics.jsonl and scores.jsonl after step `start`, shown by the writers."""
  with writers.open_writers(workdir, config, start) as shown:
    yield [
      logs.StepLog(workdir / name, start_step=start, writers=shown)
      for name in ('metrics.jsonl', 'scores.jsonl')
    ]


@contextlib.contextmanager
def open_batches(
  config: dict[str, Any],
  examples: mixture.Mixture,
  mesh: jax.sharding.Mesh,
  steps: range,
  told: text_states.TextStates | None,
) -> Iterator[Iterator[dict[str, jax.Array]]]:
  """Batches on the devices, of the steps counted from 0."""
  host_batches = stream.build_stream(
    examples,
    stream.make_settings(
      config,
      rows=sharding.local_batch_indices(config['batch_size'], mesh),
      load_memory=told and told.load,
    ),
    start_step=steps.start,
    end_step=steps.stop,
  )
  with contextlib.closing(host_batches):
    yield (sharding.put_batch(batch, mesh) for batch in host_batches)


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
