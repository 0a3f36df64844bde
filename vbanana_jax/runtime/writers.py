"""Where a run's numbers go besides its JSON lines: TensorBoard, W&B.

The first process alone opens writers. They work in threads of their own: no
network and no disk that is slow or gone holds a training up or ends it.
"""

import contextlib
import os
import queue
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths, processes

# Calls of `write` that may wait for a slow writer, and seconds that it has at
# the end of a run.
_MOST_WAITING, _PATIENCE_S = 256, 30.0


class Writer(Protocol):
  """Shows a run's numbers and pictures somewhere."""

  def write(
    self,
    step: int,
    numbers: Mapping[str, float],
    pictures: Mapping[str, np.ndarray],
  ) -> None:
    """Shows what was found at a step.

    Args:
      step: finished updates.
      numbers: by name, with '/' between groups.
      pictures: uint8 `[h, w, 3]`, by name.
    """

  def close(self) -> None:
    """Hands over what is left."""


class TensorBoardWriter:
  """Event files in WORKDIR/tensorboard, for `tensorboard --logdir WORKDIR`.

  Args:
    workdir: of the run, on a disk.
    config: of the run.
    start_step: finished updates; TensorBoard hides what is there of later
      ones, since they come again.
  """

  def __init__(
    self, workdir: paths.Path, config: Mapping[str, Any], start_step: int
  ):
    del config  # run.json has it
    from tensorboardX import event_file_writer, summary
    from tensorboardX.proto import event_pb2

    paths.refuse_bucket(
      workdir, 'config.writers: tensorboard, which cannot write'
    )
    folder = workdir / 'tensorboard'
    folder.mkdir(parents=True, exist_ok=True)
    self._summary, self._event = summary, event_pb2.Event
    # Not the writer with a thread and a queue of its own: a full disk ends the
    # thread, and then the queue is never emptied.
    self._file = event_file_writer.EventsWriter(
      str(folder / 'events'), filename_suffix=f'.{start_step}'
    )
    session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._add(start_step + 1, session_log=session)

  def write(self, step, numbers, pictures) -> None:
    """See `Writer`."""
    for name, number in numbers.items():
      self._add(step, summary=self._summary.scalar(name, number))
    for name, picture in pictures.items():
      drawn = self._summary.image(name, picture, dataformats='HWC')
      self._add(step, summary=drawn)
    self._file.flush()

  def close(self) -> None:
    """See `Writer`."""
    self._file.close()

  def _add(self, step: int, **content: Any) -> None:
    event = self._event(step=step, wall_time=time.time(), **content)
    self._file.write_event(event)


class WandbWriter:
  """A run on Weights & Biases; its environment variables decide the rest.

  Args:
    workdir: of the run; wandb_id.txt there names the run, so that one that
      goes on is the same.
    config: of the run.
    start_step: finished updates; what is there already is not written again.
  """

  def __init__(
    self, workdir: paths.Path, config: Mapping[str, Any], start_step: int
  ):
    del start_step
    import wandb

    path = workdir / 'wandb_id.txt'
    if not path.exists():
      paths.write_whole(path, secrets.token_hex(8).encode())
    self._to_image = wandb.Image
    try:
      self._run = wandb.init(
        project=os.environ.get('WANDB_PROJECT', 'vbanana_jax'),
        name=os.environ.get('WANDB_NAME', workdir.name),
        id=path.read_text().strip(),
        resume='allow',
        config=dict(config),
        dir=None if paths.is_bucket(workdir) else str(workdir),
      )
    except (wandb.errors.UsageError, wandb.errors.AuthenticationError) as error:
      raise UserError(
        f'config.writers: wandb cannot begin: {error}; with WANDB_MODE=offline '
        'everything stays on this machine'
      ) from error

  def write(self, step, numbers, pictures) -> None:
    """See `Writer`."""
    images = {name: self._to_image(x) for name, x in pictures.items()}
    self._run.log({**numbers, **images}, step=step)

  def close(self) -> None:
    """See `Writer`."""
    self._run.finish()


WRITERS = {'tensorboard': TensorBoardWriter, 'wandb': WandbWriter}


class BackgroundWriter:
  """Hands everything to a writer in a thread; says once if that fails.

  Args:
    name: what messages call it.
    writer: whom nothing is asked of from elsewhere.
  """

  def __init__(self, name: str, writer: Writer):
    self._name, self._writer = name, writer
    self._said = False
    self._waiting: queue.Queue = queue.Queue(_MOST_WAITING)
    self._thread = threading.Thread(target=self._work, daemon=True)
    self._thread.start()

  def write(
    self,
    step: int,
    numbers: Mapping[str, float],
    pictures: Mapping[str, np.ndarray],
  ) -> None:
    """See `Writer`; returns at once, and raises nothing."""
    try:
      self._waiting.put_nowait((step, dict(numbers), dict(pictures)))
    except queue.Full:
      self._say('does not keep up')

  def close(self) -> None:
    """Waits for a while until all is handed over."""
    with contextlib.suppress(queue.Full):
      self._waiting.put(None, timeout=_PATIENCE_S)
    self._thread.join(_PATIENCE_S)
    if self._thread.is_alive():
      self._say(f'is not done after {_PATIENCE_S:.0f} s')

  def _work(self) -> None:
    while (call := self._waiting.get()) is not None:
      self._try(self._writer.write, *call)
    self._try(self._writer.close)

  def _try(self, function, *args) -> None:
    try:
      function(*args)
    except Exception as error:  # each library raises its own kinds
      self._say(f'failed: {type(error).__name__}: {error}')

  def _say(self, what: str) -> None:
    if not self._said:
      processes.log(
        f'config.writers: {self._name} {what}. The training goes on, and its '
        'JSON lines have everything'
      )
    self._said = True


def parse_names(names: str) -> list[str]:
  """Keys of `WRITERS`, split by commas.

  Raises:
    UserError: for an unknown one.
  """
  keys = [name.strip() for name in names.split(',') if name.strip()]
  for key in keys:
    if key not in WRITERS:
      raise UserError(
        f'config.writers has {key!r}: choose of {", ".join(WRITERS)}, or leave '
        'it empty'
      )
  return list(dict.fromkeys(keys))


@contextlib.contextmanager
def open_writers(
  workdir: paths.Path, config: Mapping[str, Any], start_step: int
) -> Iterator[list[BackgroundWriter]]:
  """The writers of `config['writers']`; none but on the first process.

  Every process has to ask: a mistake ends them all.

  Args:
    workdir: of the run.
    config: see `configs/base.py`.
    start_step: finished updates.

  Raises:
    UserError: an unknown name, a package that is missing, or an account that
      is refused. One that cannot be reached is said, and left out.
  """
  names = parse_names(config['writers'])
  writers: list[BackgroundWriter] = []

  def open_all() -> str:
    for name in names:
      try:
        writer = WRITERS[name](workdir, config, start_step)
      except UserError as error:
        return str(error)
      except ImportError as error:
        return (
          f"config.writers needs a package: pip install 'vbanana-jax[{name}]' "
          f'({error})'
        )
      except Exception as error:  # each library raises its own kinds
        processes.log(
          f'config.writers: {name} cannot be reached, and is left out: {error}'
        )
      else:
        writers.append(BackgroundWriter(name, writer))
    return ''

  try:
    if mistake := processes.broadcast_from_first(open_all):
      raise UserError(mistake)
    yield writers
  finally:
    for writer in writers:
      writer.close()
