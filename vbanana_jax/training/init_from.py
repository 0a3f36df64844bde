"""Weights of another run that a training begins with: `config.init_from`."""

import pathlib
from typing import Any

import jax
from flax import traverse_util

from vbanana_jax.errors import UserError
from vbanana_jax.training import trained_folders

# Its rows are the words of a vocabulary.
_WORDS = 'text/embedding'


def load_matching(
  run: pathlib.Path, params: Any, manifest: dict[str, Any]
) -> tuple[Any, str]:
  """Averaged weights of a run wherever name and shape are the same.

  Args:
    run: a workdir or an export, of whatever network.
    params: weights on their devices; they stay where nothing fits.
    manifest: from `make_manifest`, of the network here.

  Returns:
    the weights, and a report of what was loaded, skipped and missing.

  Raises:
    UserError: there are no weights, or nothing in it fits.
  """
  trained_folders.require(run)
  here = traverse_util.flatten_dict(params, sep='/')
  with trained_folders.open_weights(run) as stored:
    step = stored.latest_step()
    there = stored.load_shapes()
    skipped = {
      name: f'{shape} there, {here[name].shape if name in here else "not"} here'
      for name, shape in there.items()
      if name not in here or here[name].shape != shape
    }
    if stored.load_manifest() != manifest and _WORDS in there:
      skipped.setdefault(_WORDS, 'its rows stand for another vocabulary')
    fitting = there.keys() - skipped.keys()
    if not fitting:
      raise UserError(
        f'{run}: none of its {len(there)} arrays has the name and the shape of '
        f'one of the {len(here)} here: is config.init_from the right run?'
      )
    wanted = {
      name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
      for name, leaf in here.items()
      if name in fitting
    }
    loaded = stored.restore_ema(
      traverse_util.unflatten_dict(wanted, sep='/'), partial=True
    )
  lines = [f'{run}, step {step}: {len(fitting)} of {len(here)} arrays loaded']
  lines += [f'  skipped {name}: {why}' for name, why in skipped.items()]
  lines += [
    f'  missing {name}: {here[name].shape} here, not there'
    for name in sorted(here.keys() - there.keys())
  ]
  merged = here | traverse_util.flatten_dict(loaded, sep='/')
  return traverse_util.unflatten_dict(merged, sep='/'), '\n'.join(lines)
