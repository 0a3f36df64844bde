"""The folders that hold trained weights: a run's, or an export's.

The one place that tells the two apart. A folder is a run where it has
checkpoints, whatever else it has.
"""

import hashlib
import os
import pathlib
from typing import Any, Protocol

from vbanana_jax import networks
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths
from vbanana_jax.training import checkpoint_files, exported_weights


class StoredWeights(Protocol):
  """What can be read of either; see `checkpoint.Checkpoints`."""

  path: paths.Path

  def __enter__(self) -> 'StoredWeights': ...

  def __exit__(self, kind, error, trace) -> None: ...

  def latest_step(self) -> int | None: ...

  def load_manifest(self) -> dict[str, Any]: ...

  def load_shapes(self) -> dict[str, tuple[int, ...]]: ...

  def restore_ema(
    self, abstract_params: Any, *, partial: bool = False
  ) -> Any: ...


def to_folder(place: str | os.PathLike) -> paths.Path:
  """The folder that a user names, by its path or as a network's name.

  Raises:
    UserError: see `paths.to_path`.
  """
  return networks.resolve(paths.to_path(place))


def newest_step(folder: str | os.PathLike) -> int | None:
  """Step of a folder's newest weights; None where it holds none.

  Raises:
    UserError: it is an export with a damaged config.json.
  """
  folder = paths.to_path(folder)
  step = checkpoint_files.newest_step(folder)
  if step is None and exported_weights.is_export(folder):
    step = exported_weights.load_about(folder)['step']
  return step


def open_weights(folder: str | os.PathLike) -> StoredWeights:
  """The newest weights of a folder that `newest_step` knows one of."""
  if checkpoint_files.newest_step(folder) is None:
    return exported_weights.ExportedWeights(folder)
  from vbanana_jax.training import checkpoint  # brings orbax

  return checkpoint.Checkpoints(folder)


def identify(folder: paths.Path) -> str:
  """Tells one training, or one export, and its step from all others.

  The losses stand for the weights of a run: no other training has all their
  digits.
  """
  step = newest_step(folder)
  if checkpoint_files.newest_step(folder) is None:
    about = exported_weights.load_about(folder)
    found = about['files'][exported_weights.WEIGHTS]['sha256']
  else:
    losses = (folder / exported_weights.METRICS).read_bytes()
    found = hashlib.sha256(losses).hexdigest()
  return exported_weights.name_weights(found, step)


def refuse_writing(folder: paths.Path, flag: str) -> None:
  """Raises UserError where a folder is an export, which stays as it is."""
  if checkpoint_files.newest_step(folder) is not None:
    return
  if exported_weights.is_export(folder):
    raise UserError(
      f'{folder} is an export of weights, and stays as it is: name another '
      f'folder with {flag}'
    )


def find_run(folder: pathlib.Path) -> pathlib.Path:
  """The trained folder that a folder is, or holds as tune/.

  Args:
    folder: or the name of a network that comes with the package.

  Raises:
    UserError: it is none.
  """
  folder = networks.resolve(folder)
  for run in (folder, folder / 'tune'):
    if newest_step(run) is not None:
      return run
  make_one = ': make one with bash launch/quickstart.sh, or with vbanana train'
  hint = hint_workdir(folder) or make_one + networks.hint()
  raise UserError(f'{folder} has no checkpoint{hint}')


def require(folder: paths.Path) -> None:
  """Raises UserError where a folder holds no weights."""
  if newest_step(folder) is None:
    train = f': train first with vbanana train{networks.hint()}'
    raise UserError(
      f'{folder} holds no checkpoint{hint_workdir(folder) or train}'
    )


def hint_workdir(inside: paths.Path) -> str:
  """What to say to somebody who names a folder inside of a workdir."""
  for folder in paths.to_path(inside).parents[:2]:
    if checkpoint_files.newest_step(folder) is not None:
      return f': name the workdir around it, {folder}'
  return ''
