"""One loop for pretraining and tuning: they differ in their mixture alone.

Read from the top: what is built, where the state comes from, the loop.
"""

import pathlib
import signal
import time
from typing import Any

import jax
import numpy as np

from vbanana_jax import checkpoint, durations, logs, models, optim, sharding
from vbanana_jax.data import build, stream
from vbanana_jax.errors import NonFiniteLossError, UserError
from vbanana_jax.state import TrainState, make_state
from vbanana_jax.step import make_train_step
from vbanana_jax.tokenizer import Tokenizer

# What may differ between the run that stopped and the one that goes on.
MAY_CHANGE = ('log_every', 'save_every', 'keep_checkpoints', 'eval')


class Interrupted(Exception):
  """Ctrl-C or SIGTERM; everything is saved."""


def train(config: dict[str, Any], workdir: pathlib.Path) -> TrainState:
  """Trains from wherever `workdir` stands to the end of the config's length.

  Args:
    config: see `configs/base.py`, as plain nested dicts.
    workdir: gets run.json, metrics.jsonl and checkpoints/. If it holds a run
      already, that run goes on; if it is complete, it is returned.

  Raises:
    UserError: for a mistake in the config, or a workdir of another config.
    NonFiniteLossError: the loss was not finite; the update was not applied.
    Interrupted: by a signal, after saving.
  """
  total = durations.to_steps(config['length'], batch_size=config['batch_size'])
  every = {
    key: durations.to_steps(
      config[key], batch_size=config['batch_size'], total_steps=total
    )
    for key in ('log_every', 'save_every')
  }
  mixture = build.build_mixture(config)
  model = build_model(config)
  optimizer = optim.build_optimizer(config['optim'], total)
  mesh = sharding.make_mesh()
  sharding.check_batch_size(config['batch_size'], mesh)
  manifest = make_manifest(config)

  prepare_workdir(workdir, config)
  checkpoints = checkpoint.Checkpoints(workdir, keep=config['keep_checkpoints'])
  state = start_state(config, model, optimizer, mesh, checkpoints)
  start = int(state.step)
  if start >= total:
    print(f'{workdir}: trained already, {start} of {total} steps')
    return state

  batches = stream.build_stream(
    mixture,
    batch_size=config['batch_size'],
    seed=config['seed'],
    max_text=config['data']['text_length'],
    start_step=start,
    one_pass_share=config['loss']['one_pass_share'],
  )
  task_names = [task.name for task in mixture.tasks]
  train_step = make_train_step(
    model,
    optimizer,
    seed=config['seed'],
    num_tasks=len(task_names),
    time_mean=config['loss']['time_mean'],
    time_std=config['loss']['time_std'],
    ema_decay=config['optim']['ema_decay'],
  )
  first = sharding.put_batch(next(batches), mesh)
  began = time.perf_counter()
  compiled = jax.jit(train_step, donate_argnums=0).lower(state, first).compile()
  compile_seconds = time.perf_counter() - began

  log = logs.MetricsLog(workdir, start_step=start)
  meter = Meter(log, task_names, compile_seconds)
  bar = logs.make_bar(total, start, workdir.name)
  batch, metrics = first, None
  with _Signals() as signals:
    for step in range(start + 1, total + 1):
      # The host works on the next batch while the devices work on this one;
      # the loss of the step before is looked at only once it is there.
      previous, (state, metrics) = metrics, compiled(state, batch)
      meter.check(previous, step - 1)
      if step < total:
        with meter.waiting():
          batch = sharding.put_batch(next(batches), mesh)
      meter.add(metrics)
      if step % every['log_every'] == 0 or step == total:
        meter.write(step, config['batch_size'], bar)
      bar.update()
      if step % every['save_every'] == 0 or step == total or signals.received:
        meter.check(metrics, step)
        meter.write(step, config['batch_size'], bar)
        checkpoints.save(state, manifest)
      if signals.received and step < total:
        checkpoints.close()
        bar.close()
        raise Interrupted(
          f'{workdir}: saved at step {step} of {total}; the same command '
          'goes on from here'
        )
  bar.close()
  checkpoints.close()
  batches.close()
  return state


def build_model(config: dict[str, Any]) -> models.DiT:
  """The network of a config, for the vocabulary that the package ships."""
  return models.build_model(
    {**config['model'], 'vocab_size': Tokenizer.load().vocab_size}
  )


def make_manifest(config: dict[str, Any]) -> dict[str, Any]:
  """What a checkpoint says of itself beside its arrays."""
  return {
    'model': dict(config['model']),
    'image_size': config['image_size'],
    'tokenizer': Tokenizer.load().hash,
  }


def prepare_workdir(workdir: pathlib.Path, config: dict[str, Any]) -> None:
  """Writes run.json, or checks that the run in there is the same one."""
  path = workdir / 'run.json'
  if path.exists():
    before = logs.load_json(path)['config']
    changed = sorted(
      key
      for key in config.keys() | before.keys()
      if key not in MAY_CHANGE and config.get(key) != before.get(key)
    )
    if changed and checkpoint.newest_step(workdir) is not None:
      differences = '; '.join(
        f'{key} was {before.get(key)}, is {config.get(key)}' for key in changed
      )
      raise UserError(
        f'{workdir} holds a run of another config ({differences}): choose '
        'another --workdir, or repeat the command of its run.json'
      )
  logs.save_run(workdir, config)


def start_state(
  config: dict[str, Any], model, optimizer, mesh, checkpoints
) -> TrainState:
  """The workdir's own state, else weights of `init_from`, else fresh ones."""
  everywhere = sharding.make_replicated(mesh)

  def make() -> TrainState:
    return make_state(
      model, optimizer, size=config['image_size'], seed=config['seed']
    )

  abstract = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=everywhere
    ),
    jax.eval_shape(make),
  )
  if checkpoints.latest_step() is not None:
    check_tokenizer(checkpoints)
    return checkpoints.restore(abstract)
  state = jax.jit(make, out_shardings=everywhere)()
  if not config['init_from']:
    return state
  other = checkpoint.Checkpoints(config['init_from'])
  check_tokenizer(other)
  params = other.restore_ema(abstract.params)
  other.close()
  return state._replace(
    params=params, ema_params=jax.tree.map(jax.numpy.copy, params)
  )


def check_tokenizer(checkpoints: checkpoint.Checkpoints) -> None:
  """Refuses weights whose token ids mean something else."""
  theirs = checkpoints.load_manifest()['tokenizer']
  if theirs != Tokenizer.load().hash:
    raise UserError(
      f'{checkpoints.path} was trained with another vocabulary: install the '
      'version of vbanana_jax that its run.json names'
    )


class Meter:
  """Averages between log lines, and the time spent waiting for data.

  `seconds`, `cpu_seconds` (of all threads) and `waited` add up over resumes;
  compilation is kept apart.
  """

  def __init__(
    self, log: logs.MetricsLog, task_names: list[str], compile_seconds: float
  ):
    self._log = log
    self._tasks = task_names
    self._compile_seconds = compile_seconds
    self._rows: list[dict[str, jax.Array]] = []
    self._since = time.perf_counter()
    self._cpu_since = time.process_time()
    self._waited = 0.0

  def waiting(self) -> '_Stopwatch':
    """Context whose time counts as waiting for data."""
    return _Stopwatch(self)

  def add(self, metrics: dict[str, jax.Array]) -> None:
    """Remembers a step's metrics without fetching them."""
    self._rows.append(metrics)

  def check(self, metrics: dict[str, jax.Array] | None, step: int) -> None:
    """Raises NonFiniteLossError if a step's loss or gradient was not finite."""
    if metrics is None:
      return
    values = {k: float(metrics[k]) for k in ('loss', 'gradient_norm')}
    if not all(np.isfinite(value) for value in values.values()):
      raise NonFiniteLossError(
        f'step {step}: {values} is not finite. The update was not applied and '
        'the last checkpoint is good: lower config.optim.learning_rate or '
        'look at the examples of this step'
      )

  def write(self, step: int, batch_size: int, bar) -> None:
    """One line of metrics.jsonl, and the bar's numbers."""
    if not self._rows:
      return
    rows = jax.device_get(self._rows)
    seconds = time.perf_counter() - self._since
    self._log.seconds += seconds
    self._log.cpu_seconds += time.process_time() - self._cpu_since
    self._log.waited += self._waited
    mean = {
      key: float(np.mean([row[key] for row in rows]))
      for key in ('loss', 'gradient_norm')
    }
    sums = sum(row['task_loss'] for row in rows)
    counts = sum(row['task_count'] for row in rows)
    rate = len(rows) * batch_size / seconds
    self._log.write(
      {
        'step': step,
        **mean,
        **{
          f'loss/{name}': float(total / count)
          for name, total, count in zip(self._tasks, sums, counts)
          if count
        },
        'images_per_second': rate,
        'seconds': self._log.seconds,
        'cpu_seconds': self._log.cpu_seconds,
        'waited': self._log.waited,
        'compile_seconds': self._compile_seconds,
      }
    )
    bar.set_postfix_str(f'loss {mean["loss"]:.4f}, {rate:.1f} images/s')
    self._rows, self._waited = [], 0.0
    self._since, self._cpu_since = time.perf_counter(), time.process_time()


class _Stopwatch:
  def __init__(self, meter: Meter):
    self._meter = meter

  def __enter__(self):
    self._began = time.perf_counter()

  def __exit__(self, *error):
    self._meter._waited += time.perf_counter() - self._began


class _Signals:
  """Remembers Ctrl-C and SIGTERM instead of dying in the middle of a step."""

  def __enter__(self):
    self.received = False
    self._before = {
      number: signal.signal(number, self._remember)
      for number in (signal.SIGINT, signal.SIGTERM)
    }
    return self

  def _remember(self, number, frame):
    self.received = True

  def __exit__(self, *error):
    for number, handler in self._before.items():
      signal.signal(number, handler)
