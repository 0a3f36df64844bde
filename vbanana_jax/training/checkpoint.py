"""Saving and restoring: the only importer of orbax.

A checkpoint holds the arrays of a `TrainState` (weights, their average if it is
taken, and the rest as items, so that evaluation reads only what it needs), a
manifest (plain JSON that says what the arrays are for) and a list of its files.
"""

import logging
import sys
from collections.abc import Iterable
from typing import Any

import jax
import orbax.checkpoint as ocp
from flax import traverse_util

from vbanana_jax.errors import (
  DamagedError,
  DiskFullError,
  Interrupted,
  SaveError,
)
from vbanana_jax.runtime import paths, processes
from vbanana_jax.training import checkpoint_files
from vbanana_jax.training.checkpoint_errors import (
  check_name,
  describe,
  named_damage,
  named_failures,
)
from vbanana_jax.training.checkpoint_files import list_steps, newest_step
from vbanana_jax.training.state import TrainState, check_fit, get_shapes

# A save needs room for itself beside the one it replaces, and some to spare.
_SPARE = 1.5

# Orbax raises what fails here, and logs it too, with the traces of its threads.
logging.getLogger('absl').addFilter(
  lambda record: (
    record.levelno < logging.ERROR or 'orbax' not in record.pathname
  )
)


class _Manager(ocp.CheckpointManager):
  # To ask JAX about a step says that it is reached, and orbax asks in a thread
  # about one that training left behind: processes that got a signal stopped
  # after different steps. The loop asks instead, see `runtime.preemption`.
  def reached_preemption(self, step: int) -> bool:
    return False


class Checkpoints:
  """The checkpoints of one workdir; the newest committed one counts.

  Args:
    workdir: of the run; they go into its folder `checkpoints`.
    keep: how many of the newest are kept; None only reads. What a save that
      was cut short left behind is deleted, and damaged checkpoints make way
      for the newest whole one.
    keep_every: those of steps that it divides are kept as well, for good.

  Raises:
    DamagedError: `keep` is given and none of the checkpoints is whole.
  """

  def __init__(
    self,
    workdir: str | paths.Path,
    *,
    keep: int | None = None,
    keep_every: int | None = None,
  ):
    self.path = paths.to_path(workdir).absolute() / 'checkpoints'
    check_name(self.path)
    self._saving: int | None = None
    self._sample: Any = None  # an array of the first save, to be read back
    self._checked: set[paths.Path] = set()  # items, by their contents
    writes = keep is not None
    if writes:
      self._make_way()
    policies = ocp.checkpoint_managers
    kept = [policies.LatestN(keep)]
    if keep_every:
      kept.append(policies.EveryNSteps(keep_every))
    with named_failures(self.path, writes=writes):
      self._manager = _Manager(
        paths.to_epath(self.path),
        options=ocp.CheckpointManagerOptions(
          preservation_policy=policies.AnyPreservationPolicy(kept),
          create=writes,
          cleanup_tmp_directories=writes,
          async_options=ocp.options.AsyncOptions(
            post_finalization_callback=self._list_files
          ),
        ),
      )

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, kind, error, trace) -> None:
    try:
      self.close()
    except SaveError as failure:
      # Whoever was interrupted is told that all is saved; other errors count
      # for more than this one.
      if error is None or isinstance(error, Interrupted):
        raise
      print(f'vbanana: {failure}', file=sys.stderr)

  def latest_step(self) -> int | None:
    """Step of the newest committed checkpoint."""
    return self._manager.latest_step()

  def save(self, state: TrainState, manifest: dict[str, Any]) -> None:
    """Starts writing in the background; `close` waits for the end of it.

    The arrays are copied before this returns: the caller may donate them.

    Raises:
      DiskFullError: there is no room; checkpoints already there stay good.
      SaveError: this one or the one before it could not be written.
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(_to_items(state)))
    free = paths.get_free_bytes(self.path)
    if free < _SPARE * size:
      raise DiskFullError(
        f'{self.path} has {free / 1e6:.0f} MB free and a checkpoint takes '
        f'{size / 1e6:.0f} MB: make room and run the same command again'
      )
    with named_failures(self.path):
      self._finish()
      if self._saving is None:
        self._sample = _find_smallest(state.params)
      self._saving = int(state.step)
      self._manager.save(
        self._saving,
        args=ocp.args.Composite(
          manifest=ocp.args.JsonSave(manifest),
          **{k: ocp.args.PyTreeSave(v) for k, v in _to_items(state).items()},
        ),
      )

  def close(self) -> None:
    """Returns when everything started is on disk."""
    with named_failures(self.path):
      try:
        self._finish()
      finally:
        self._manager.close()

  def _finish(self) -> None:
    """Waits for the save under way and looks for it; the first one is read."""
    self._manager.wait_until_finished()
    if self._saving is None:
      return
    folder, told = self.path / str(self._saving), 'it is not there'
    try:
      if self._saving in list_steps(self.path):
        if self._sample is not None:
          sample = _ask_for(self._sample, partial=True)
          args = ocp.args.Composite(params=sample)
          self._manager.restore(self._saving, args=args)
          self._sample = None
        return
    except Exception as error:  # its readers raise nearly every kind
      if processes.is_peer_failure(error):
        raise
      told = str(error).partition('\n')[0]
    raise SaveError(
      f'{folder} was saved and cannot be read ({told}): its storage does not '
      'keep it; choose another --workdir'
    )

  def restore(self, abstract: TrainState) -> TrainState:
    """The newest state, as `abstract` has it, without frozen parts."""
    self._check_fit(abstract.params)
    items = _to_items(abstract)
    restored = self._restore(
      **{name: _ask_for(tree) for name, tree in items.items()}
    )
    return TrainState(
      params=restored['params'],
      ema_params=restored.get('ema_params'),
      **restored['rest'],
    )

  def restore_ema(self, abstract_params: Any, *, partial: bool = False) -> Any:
    """The newest averaged weights alone; with `partial`, those asked for.

    Without an average, the weights themselves.
    """
    if not partial:
      self._check_fit(abstract_params)
    newest = self._find_newest(())
    item = 'ema_params' if (newest / 'ema_params').is_dir() else 'params'
    asked = _ask_for(abstract_params, partial=partial)
    return self._restore(**{item: asked})[item]

  def load_manifest(self) -> dict[str, Any]:
    """What the newest checkpoint says of itself."""
    return self._restore(manifest=ocp.args.JsonRestore())['manifest']

  def load_shapes(self) -> dict[str, tuple[int, ...]]:
    """Shapes of the newest weights by name."""
    folder = self._find_newest(())
    handler = ocp.PyTreeCheckpointHandler()
    with named_damage(folder):
      stored = handler.metadata(
        self._manager.directory / folder.name / 'params'
      )
    return get_shapes(stored.tree)

  def _check_fit(self, params: Any) -> None:
    """Raises UserError unless weights have the names and shapes of `params`."""
    check_fit(self._find_newest(()), self.load_shapes(), params)

  def _restore(self, **items: ocp.args.CheckpointArgs) -> Any:
    folder = self._find_newest(items)
    with named_damage(folder):
      return self._manager.restore(
        int(folder.name), args=ocp.args.Composite(**items)
      )

  def _find_newest(self, items: Iterable[str]) -> paths.Path:
    """Folder of the newest checkpoint; DamagedError if a file is amiss.

    Args:
      items: those that are about to be read; their contents are checked once,
        by the first process.
    """
    folder = self.path / str(self.latest_step())
    new = [item for item in items if folder / item not in self._checked]

    def find() -> str:
      return checkpoint_files.verify(folder, new) or ''

    damage = processes.broadcast_from_first(find) if new else find()
    if damage:
      raise DamagedError(describe(folder, damage))
    self._checked.update(folder / item for item in new)
    return folder

  def _list_files(self) -> None:
    # Orbax calls this, on the first process, between the last file and what
    # commits them: a new name, or in a bucket, which has no renaming of
    # folders, one more object.
    if paths.is_bucket(self.path):
      checkpoint_files.save_list(self.path / str(self._saving))
      return
    for folder in self.path.glob(f'{self._saving}.*'):
      if 'tmp' in folder.suffix:
        checkpoint_files.save_list(folder)

  def _make_way(self) -> None:
    """Renames damaged checkpoints that are newer than the newest whole one."""
    failure = processes.broadcast_from_first(
      lambda: checkpoint_files.set_damaged_aside(self.path)
    )
    if failure:
      raise DamagedError(failure)
    newest = newest_step(self.path.parent)
    if newest is not None:
      self._checked.update((self.path / str(newest)).iterdir())


def _find_smallest(params: Any) -> Any:
  """The tree with its smallest array alone, as shape, type and sharding."""
  named = traverse_util.flatten_dict(params, sep='/')
  name = min(named, key=lambda each: named[each].nbytes)
  leaf = named[name]
  struct = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
  return traverse_util.unflatten_dict({name: struct}, sep='/')


def _to_items(state: TrainState) -> dict[str, Any]:
  average = {'ema_params': state.ema_params} if state.ema_params else {}
  rest = {'step': state.step, 'opt_state': state.opt_state}
  return {'params': state.params, **average, 'rest': rest}


def _ask_for(tree: Any, *, partial: bool = False) -> ocp.args.PyTreeRestore:
  """Arrays with the types and shardings that the leaves of `tree` have."""
  types = ocp.checkpoint_utils.construct_restore_args(tree)
  return ocp.args.PyTreeRestore(tree, types, partial_restore=partial)
