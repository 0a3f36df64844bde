"""What every held-out example scored, kept beside results.json.

Two runs that answered the same examples are compared example by example, which
tells smaller differences apart than their two intervals do.
"""

import io
import pathlib
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from vbanana_jax import keys
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import results as results_file
from vbanana_jax.metrics import bootstrap
from vbanana_jax.runtime import files

# Sums and counts of each example [n ...] by name, as `Task.score` makes them.
States = dict[str, np.ndarray]

_BAD_FILE = (
  OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def save_states(path: pathlib.Path, states: Mapping[str, States]) -> None:
  """Writes the states by trial, a task or a task@steps, as one npz."""
  arrays = {
    f'{trial}/{name}': state
    for trial, found in states.items()
    for name, state in found.items()
  }
  files.write_atomic(path, files.to_npz(arrays))


def load_states(path: pathlib.Path) -> dict[str, States]:
  """Inverse of `save_states`; {} where results are from before there was any.

  Raises:
    UserError: the file is damaged.
  """
  if not path.exists():
    return {}
  states: dict[str, States] = {}
  try:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
      for key in arrays.files:
        trial, name = key.split('/')
        states.setdefault(trial, {})[name] = arrays[key]
  except _BAD_FILE as error:
    raise UserError(
      f'{path}: damaged ({error!r}): remove it, and runs are compared by their '
      'intervals alone'
    ) from error
  return states


def summarize(trial: str, states: States) -> dict[str, float]:
  """Metrics of all examples together."""
  summed = {name: bootstrap.widen(x).sum(0) for name, x in states.items()}
  return results_file.get_task(trial).summarize(summed)


def find_paired_intervals(
  trial: str, before: States, after: States
) -> dict[str, tuple[float, float]]:
  """95 % intervals of after - before by metric; {} of other examples.

  Args:
    trial: a task, or a task@steps.
    before: of the baseline.
    after: of the other run, of the same examples in the same order.
  """
  shapes = [
    {name: state.shape for name, state in states.items()}
    for states in (before, after)
  ]
  if not before or shapes[0] != shapes[1]:
    return {}
  task = results_file.get_task(trial)
  return bootstrap.make_paired_intervals(
    before, after, task.summarize, keys.make_rng(0, 'bootstrap', task.name)
  )
