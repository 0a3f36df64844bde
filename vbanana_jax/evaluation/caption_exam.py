"""Pictures painted for the full captions of held-out scenes, and read again."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vbanana_jax import durations, sharding
from vbanana_jax.data import pairings
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import (
  evaluators,
  gallery_file,
  held_out,
  obedience,
)
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import base
from vbanana_jax.training import trained_folders, weights


class Found(NamedTuple):
  """What the reader saw.

  Attributes:
    rows: of all facts, then of each kind.
    shown: the first pictures with their captions and what holds of them, for
      the report; see `gallery_file.make_gallery`.
  """

  rows: list[obedience.Obedience]
  shown: list[dict[str, Any]]


class CaptionExam:
  """Paints the first held-out captions and asks a reader about the pictures.

  Args:
    task: paints from captions.
    config: of the network that paints.
    model: that network.
    mesh: the devices.
    level: of the held-out scenes.
    limit: number of captions.
    reader: the network that looks.
  """

  def __init__(
    self,
    task: base.Task,
    config: Mapping[str, Any],
    model: Any,
    mesh: jax.sharding.Mesh,
    level: str,
    limit: int,
    reader: Predictor,
  ):
    _check_reader(task, reader)
    self.task = task
    self._reader, self._mesh = reader, mesh
    self._shown = config['eval']['gallery']
    self._batches = held_out.build_batches(
      config, task.as_claimed(), level, limit
    )
    valid = np.concatenate([batch['valid'] for batch in self._batches])
    self._valid = valid
    scenes = held_out.load_eval_set(level).open_scenes(
      config['image_size'], task
    )
    self._claims = [
      scenes[row]['captions'].list_claims() for row in range(sum(valid))
    ]
    self._paint = jax.jit(
      make_sample_fn(
        model,
        seed=config['seed'],
        steps=config['eval']['sampled_steps'],
        method=config['eval']['sampler'],
      ),
      out_shardings=sharding.replicated_sharding(mesh),
    )

  def begin(self, params: Any) -> None:
    """Compiles, and asks about the true renderings."""
    first = evaluators.put_eval_batch(self._batches[0], self._mesh)
    self._paint = self._paint.lower(params, first).compile()
    _ = self._ceiling

  def run(self, params: Any) -> Found:
    """What of the captions shows in the pictures that `params` paint."""
    painted = [
      np.asarray(
        self._paint(params, evaluators.put_eval_batch(batch, self._mesh))
      )
      for batch in self._batches
    ]
    shown = list(np.concatenate(painted)[self._valid])
    held = {
      'held': self._find_held(shown),
      'floor': self._find_held([*shown[1:], *shown[:1]]),
      'ceiling': self._ceiling,
    }
    checks = self.task.claims
    rows = obedience.measure_obedience(checks.kinds, self._claims, held)
    return Found(rows, self._make_gallery(painted[0], held['held']))

  @functools.cached_property
  def _ceiling(self) -> list[list[bool]]:
    true = np.concatenate([batch['target'] for batch in self._batches])
    return self._find_held(list(true[self._valid]))

  def _find_held(self, shown) -> list[list[bool]]:
    checks = self.task.claims
    return obedience.find_held(self._reader, checks, self._claims, shown)

  def _make_gallery(self, painted, held) -> list[dict[str, Any]]:
    examples = gallery_file.make_gallery(self._batches[0], painted, self._shown)
    names = [
      obedience.name_claims(self.task.claims, claims) for claims in self._claims
    ]
    for example in examples:
      row = example.pop('row')
      example['prompt'] += _describe_facts(names[row], held[row])
    return examples


def build_watched(
  config: Mapping[str, Any],
  tasks: Sequence[base.Task],
  model: Any,
  mesh: jax.sharding.Mesh,
) -> list[CaptionExam]:
  """Exams of a network while it trains, of a few captions each.

  A network without its text encoder knows no words but those of its training,
  and has none.

  Args:
    config: see `configs/base.py`.
    tasks: of the mixture.
    model: the network.
    mesh: the devices.

  Raises:
    UserError: `config.eval.reader` is no network that can look.
  """
  settings = config['eval']
  limit, reader = settings['watch_sampled'], settings['reader']
  off = settings['every'] in durations.NEVER or limit < 1 or not reader
  drawn = pairings.find_tasks(config, pairings.SCENES)
  painters = [task for task in tasks if task.claims and task.name in drawn]
  if off or config['model']['text_cache'] or not painters:
    return []
  level = pairings.find_level(config)
  config = held_out.fit_batches(config, mesh, most=limit)
  looks = Predictor(trained_folders.find_run(pathlib.Path(reader)))
  return [
    CaptionExam(task, config, model, mesh, level, limit, looks)
    for task in painters
  ]


def examine(
  task: base.Task,
  loaded: weights.LoadedRun,
  level: str,
  limit: int,
  reader: pathlib.Path,
) -> Found:
  """What the reader sees in what a loaded network paints; see `CaptionExam`.

  Args:
    task: paints from captions.
    loaded: the network that paints.
    level: of the held-out scenes.
    limit: number of captions.
    reader: workdir or folder of the network that looks.
  """
  config, model, params, mesh = loaded
  exam = CaptionExam(task, config, model, mesh, level, limit, Predictor(reader))
  return exam.run(params)


def _describe_facts(names: list[str], held: list[bool]) -> str:
  """What a person reads below a caption."""
  parts = []
  for wanted, words in ((True, 'seen'), (False, 'not seen')):
    of_it = [name for name, holds in zip(names, held) if holds == wanted]
    parts += [f'{words}: {", ".join(of_it)}'] if of_it else []
  return f' ({"; ".join(parts)})' if parts else ''


def _check_reader(task: base.Task, reader: Predictor) -> None:
  learned = weights.find_trained_tasks(reader.config)
  missing = [name for name in task.claims.tasks if name not in learned]
  if missing:
    raise UserError(
      f'{reader.run} cannot say what a picture shows, as it never learned '
      f'{" and ".join(missing)}: name another --reader'
    )


def make_rows(found: Found) -> list[dict[str, Any]]:
  """`found.rows` as results.json keeps them."""
  return [
    {
      **{
        name: logs.to_number(value) if isinstance(value, float) else value
        for name, value in dataclasses.asdict(row).items()
      },
      'interval': [logs.to_number(end) for end in row.interval],
    }
    for row in found.rows
  ]


def make_scores(task: base.Task, found: Found) -> dict[str, float | None]:
  """Of all facts together, as scores.jsonl keeps them."""
  every = found.rows[0]
  names = {'obedience': every.reached, 'held': every.held, 'floor': every.floor}
  return {
    f'{task.name}/{name}': logs.to_number(value)
    for name, value in {**names, 'ceiling': every.ceiling}.items()
  }
