"""Saving and restoring: the only importer of orbax.

A checkpoint holds the arrays of a `TrainState` (weights, averaged weights and
the rest as separate items, so that evaluation reads only what it needs) and a
manifest: plain JSON that says what the arrays are for.
"""

import contextlib
import errno
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp

from vbanana_jax.errors import DiskFullError, UserError
from vbanana_jax.state import TrainState

try:
  import fcntl
except ImportError:  # Windows has no such locks
  fcntl = None

# A save needs room for itself beside the one it replaces, and some to spare.
_SPARE = 1.5

# What some network file systems say to a lock.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


class Checkpoints:
  """The checkpoints of one workdir; the newest committed one counts.

  Args:
    workdir: of the run; they go into its folder `checkpoints`.
    keep: how many of the newest are kept.
  """

  def __init__(self, workdir: str | pathlib.Path, *, keep: int = 2):
    self.path = pathlib.Path(workdir).absolute() / 'checkpoints'
    self._manager = ocp.CheckpointManager(
      self.path,
      options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
    )

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *error) -> None:
    self.close()

  def latest_step(self) -> int | None:
    """Step of the newest committed checkpoint."""
    return self._manager.latest_step()

  def save(self, state: TrainState, manifest: dict[str, Any]) -> None:
    """Starts writing in the background; `close` waits for the end of it.

    The arrays are copied before this returns: the caller may donate them.

    Raises:
      DiskFullError: there is no room; checkpoints already there stay good.
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    free = shutil.disk_usage(self.path).free
    if free < _SPARE * size:
      raise DiskFullError(
        f'{self.path} has {free / 1e6:.0f} MB free and a checkpoint takes '
        f'{size / 1e6:.0f} MB: make room and run the same command again'
      )
    items = {
      'params': state.params,
      'ema_params': state.ema_params,
      'rest': {'step': state.step, 'opt_state': state.opt_state},
    }
    with _NamedFailures(self.path):
      self._manager.save(
        int(state.step),
        args=ocp.args.Composite(
          manifest=ocp.args.JsonSave(manifest),
          **{k: ocp.args.StandardSave(v) for k, v in items.items()},
        ),
      )

  def close(self) -> None:
    """Returns when everything started is on disk."""
    with _NamedFailures(self.path):
      self._manager.wait_until_finished()
    self._manager.close()

  def restore(self, abstract: TrainState) -> TrainState:
    """The newest state, with the shapes and shardings of `abstract`."""
    items = {
      'params': abstract.params,
      'ema_params': abstract.ema_params,
      'rest': {'step': abstract.step, 'opt_state': abstract.opt_state},
    }
    restored = self._restore(items)
    return TrainState(
      params=restored['params'],
      ema_params=restored['ema_params'],
      **restored['rest'],
    )

  def restore_ema(self, abstract_params: Any) -> Any:
    """The newest averaged weights alone."""
    return self._restore({'ema_params': abstract_params})['ema_params']

  def load_manifest(self) -> dict[str, Any]:
    """What the newest checkpoint says of itself."""
    return self._manager.restore(
      self.latest_step(),
      args=ocp.args.Composite(manifest=ocp.args.JsonRestore()),
    )['manifest']

  def _restore(self, items: dict[str, Any]) -> dict[str, Any]:
    step = self.latest_step()
    try:
      return self._manager.restore(
        step,
        args=ocp.args.Composite(
          **{k: ocp.args.StandardRestore(v) for k, v in items.items()}
        ),
      )
    except ValueError as error:
      raise UserError(
        f'{self.path}/{step} does not fit this model: {error}'
      ) from error


@contextlib.contextmanager
def hold(workdir: str | pathlib.Path) -> Iterator[None]:
  """Keeps a second training out of a workdir; readers may come in.

  The system lets go of it when the process ends, however it ends. Where
  there are no such locks, nothing is kept out.

  Raises:
    UserError: another process trains there.
  """
  path = pathlib.Path(workdir, '.lock')
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('a') as file:
    try:
      if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise UserError(
        f'{workdir} is being trained by another process: wait until it ends, '
        'stop it, or choose another --workdir'
      ) from error
    except OSError as error:
      if error.errno not in _NO_LOCKS:
        raise
    yield


def newest_step(workdir: str | pathlib.Path) -> int | None:
  """Step of a workdir's newest committed checkpoint, without opening it."""
  folder = pathlib.Path(workdir) / 'checkpoints'
  if not folder.is_dir():
    return None
  # Orbax renames a checkpoint to its bare step when it is whole.
  steps = [int(e.name) for e in folder.iterdir() if e.name.isdigit()]
  return max(steps, default=None)


def require(workdir: str | pathlib.Path) -> None:
  """Raises UserError where a workdir has no checkpoint."""
  if newest_step(workdir) is None:
    raise UserError(
      f'{workdir} holds no checkpoint: train first with '
      f"'vbanana train --config CONFIG --workdir {workdir}'"
    )


class _NamedFailures:
  """Turns a full disk into one clear line."""

  def __init__(self, path: pathlib.Path):
    self._path = path

  def __enter__(self) -> None:
    return None

  def __exit__(self, kind, error, trace) -> None:
    full = 'No space left on device' in str(error)
    if full or getattr(error, 'errno', None) == errno.ENOSPC:
      raise DiskFullError(
        f'the disk of {self._path} is full: make room and run the same '
        'command again; it goes on from the last whole checkpoint'
      ) from error
