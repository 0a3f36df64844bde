"""Pictures painted for the full captions of held-out scenes, and read again."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from vbanana_jax import sharding
from vbanana_jax.evaluation import evaluators, held_out, obedience
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.runtime import logs
from vbanana_jax.scenes.claims import Claim
from vbanana_jax.tasks import base
from vbanana_jax.training import weights


class Painted(NamedTuple):
  """What was painted, a row for each caption.

  Attributes:
    claims: the facts of each.
    pictures: f32 [n h w 3] in [0, 1], painted.
    true: the scenes themselves.
  """

  claims: list[list[Claim]]
  pictures: np.ndarray
  true: np.ndarray


def paint_captions(
  task: base.Task, loaded: weights.LoadedRun, level: str
) -> Painted:
  """Samples a picture for each of the first `eval.sampled_limit` captions.

  Args:
    task: paints from captions.
    loaded: a network with its weights.
    level: of the held-out scenes.
  """
  config, model, params, mesh = loaded
  settings, task = config['eval'], task.as_claimed()
  limit = settings['sampled_limit']
  batches = held_out.build_batches(config, task, level, limit)
  paint = jax.jit(
    make_sample_fn(
      model,
      seed=config['seed'],
      steps=settings['sampled_steps'],
      method=settings['sampler'],
    ),
    out_shardings=sharding.replicated_sharding(mesh),
  )
  painted = [
    np.asarray(paint(params, evaluators.put_eval_batch(batch, mesh)))
    for batch in batches
  ]
  valid = np.concatenate([batch['valid'] for batch in batches])
  scenes = held_out.load_eval_set(level).open_scenes(config['image_size'], task)
  return Painted(
    [scenes[row]['captions'].list_claims() for row in range(sum(valid))],
    np.concatenate(painted)[valid],
    np.concatenate([batch['target'] for batch in batches])[valid],
  )


def examine(
  trials: Mapping[str, base.Task],
  loaded: weights.LoadedRun,
  level: str,
  reader: pathlib.Path | None,
) -> dict[str, list[dict[str, Any]]]:
  """Rows of `obedience.Obedience` for results.json, by name of a trial.

  Args:
    trials: tasks by what results call them; others than those that paint from
      captions are passed over.
    loaded: the network that paints.
    level: of the held-out scenes.
    reader: workdir of the network that looks; None if none does.
  """
  found = {}
  for name, task in trials.items() if reader else ():
    if task.claims:
      painted = paint_captions(task, loaded, level)
      rows = obedience.measure_obedience(
        Predictor(reader),
        task.claims,
        painted.claims,
        list(painted.pictures),
        list(painted.true),
      )
      found[name] = [_make_row(row) for row in rows]
  return found


def _make_row(row: obedience.Obedience) -> dict[str, Any]:
  fields = dataclasses.asdict(row)
  return {
    **{
      name: logs.to_number(value) if isinstance(value, float) else value
      for name, value in fields.items()
    },
    'interval': [logs.to_number(end) for end in row.interval],
  }
