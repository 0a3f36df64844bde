"""A folder of generated pictures beside real ones: how far the sets are apart.

Both are seen by EfficientNet-Lite0 as the square in the middle of each picture,
at 224 pixels.
"""

import contextlib
import datetime
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np
import tqdm
from jaxtyping import Float, UInt8

from vbanana_jax import keys, sharding
from vbanana_jax.data import folders, image_formats, photo_folder, photos
from vbanana_jax.drawing import pictures as drawn_pictures
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation.feature_space import FeatureSpace
from vbanana_jax.metrics import efficientnet, generation
from vbanana_jax.runtime import logs, paths, prefetch
from vbanana_jax.tasks import base
from vbanana_jax.training import provenance

PREFIX = 'distances_'
LEAST = 32  # pictures of held-out captions
_RESAMPLES = 1000

# Values and the ends of their intervals, by name.
Distances = dict[str, tuple[float | None, list[float | None]]]


def compare(
  predictions: pathlib.Path,
  real: pathlib.Path,
  mesh: jax.sharding.Mesh | None = None,
) -> dict[str, Any]:
  """Distances between the pictures of two folders or zips, ready for JSON.

  Args:
    predictions: generated pictures, of any sizes; folders inside count.
    real: real ones, likewise.
    mesh: devices that share the work; all of them if not given.

  Raises:
    UserError: one side has fewer than two pictures, has one that cannot be
      read, or is the other side.
  """
  if os.path.realpath(predictions) == os.path.realpath(real):
    raise UserError(
      f'--predictions and --real are both {real}: name two sets of pictures'
    )
  space = FeatureSpace(mesh or sharding.build_mesh())
  with list_pictures(predictions) as painted, list_pictures(real) as true:
    painted, true = (
      space.find(_read_pictures(members, part))
      for members, part in ((painted, 'predictions'), (true, 'real'))
    )
  return {
    'predictions': str(predictions),
    'real': str(real),
    'space': efficientnet.SPACE,
    'n_predictions': len(painted),
    'n_real': len(true),
    'metrics': {
      name: {'value': value, 'interval': interval}
      for name, (value, interval) in measure(true, painted).items()
    },
    'date': datetime.datetime.now().isoformat(timespec='seconds'),
    **provenance.get_code(),
  }


class HeldOutSets:
  """Painted and real pictures of held-out captions, as they are painted.

  Args:
    task: what is asked. Nothing is compared for a vision task, whose answers
      are no photographs, nor of fewer than `LEAST` pictures.
    limit: number of pictures.
    mesh: devices that share the work.

  Attributes:
    look: takes pictures painted for a batch of `held_out`, padding included,
      and the batch; None where nothing is compared.
  """

  def __init__(self, task: base.Task, limit: int, mesh: jax.sharding.Mesh):
    self.look = None
    self._real, self._painted = [], []
    if not task.vision and limit >= LEAST:
      self._space = FeatureSpace(mesh)
      self.look = self._add

  def _add(self, painted, batch) -> None:
    sides = (self._real, batch['target']), (self._painted, painted)
    for found, rgb in sides:
      shown = drawn_pictures.to_u8(np.asarray(rgb)[batch['valid']])
      found.append(self._space.find(shown))

  def measure(self) -> Distances:
    """Distances of all that was looked at; {} where nothing is compared."""
    if not self._real:
      return {}
    return measure(np.concatenate(self._real), np.concatenate(self._painted))


def measure(
  real: Float[np.ndarray, 'n 1280'], painted: Float[np.ndarray, 'm 1280']
) -> Distances:
  """KID and Frechet distance by name, with 95 % intervals; nan becomes null.

  The Frechet distance has no interval: a set that is drawn again from itself
  has fewer pictures, and so a larger distance.
  """
  rng = keys.make_rng(0, 'bootstrap', efficientnet.SPACE)
  interval = generation.kid_interval(real, painted, rng, resamples=_RESAMPLES)
  values = {
    'kid': (generation.kid(real, painted), interval),
    'fd': (generation.frechet_of(real, painted), (None, None)),
  }
  return {
    f'{name}_{efficientnet.SPACE}': (
      logs.to_number(value),
      [logs.to_number(end) for end in interval],
    )
    for name, (value, interval) in values.items()
  }


@contextlib.contextmanager
def list_pictures(place: paths.Path) -> Iterator[list[folders.Member]]:
  """Files of a folder or zip that are pictures by name, while it is open.

  Raises:
    UserError: there are fewer than two, or what is there cannot be listed.
  """
  with folders.list_members(place) as listing:
    for name, reason in listing.refused:
      raise UserError(f'{place}/{name}: {reason}')
    found = [
      member
      for member in listing.members
      if member.suffix.lower() in image_formats.SUFFIXES
      and not any(map(photo_folder.is_hidden, member.name.split('/')))
    ]
    if len(found) < 2:
      raise UserError(
        f'{place}: {len(found)} pictures in it, and a set has two or more'
      )
    yield found


def _read_pictures(
  members: Iterable[folders.Member], part: str
) -> Iterator[UInt8[np.ndarray, '224 224 3']]:
  """The middle square of each, read ahead in threads."""

  def read(member):
    picture = photos.open_photo(member.read_bytes(), name=member.place)
    return photos.fit_photo(picture, efficientnet.SIZE, efficientnet.SIZE)

  bar = tqdm.tqdm(members, desc=part, unit='picture')
  for _, reading in prefetch.prefetch_map(
    read, bar, **prefetch.choose_concurrency(1)
  ):
    yield reading.result()


def make_table(results: dict[str, Any]) -> str:
  """What a person reads."""
  few = min(results['n_predictions'], results['n_real'])
  lines = [
    f'{results["n_predictions"]} pictures in {results["predictions"]}, '
    f'{results["n_real"]} in {results["real"]}',
    '',
    f'{"metric":<24}{"score":>10}{"95 % interval":>24}',
  ]
  for name, metric in results['metrics'].items():
    low, high = metric['interval']
    ends = '-' if low is None else f'{low:.4g} to {high:.4g}'
    value = metric['value']
    lines.append(
      f'{name:<24}{"-" if value is None else f"{value:.4g}":>10}{ends:>24}'
    )
  lines += ['', 'Smaller is nearer; kid of two halves of one set is about 0.']
  told = 'fd falls as pictures are added: compare it at equal numbers'
  if few <= efficientnet.FEATURES:
    told += (
      f'. {few} are too few for {efficientnet.FEATURES:,} features, so that it '
      'is mostly their number: read kid'
    )
  return '\n'.join([*lines, f'{told}.'])
