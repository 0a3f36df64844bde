"""Pictures painted for the full captions of held-out scenes, and read again."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from vbanana_jax import families, sharding
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
    captions: all that was said.
    claims: the facts of each.
    pictures: f32 [n h w 3] in [0, 1], painted.
    true: the scenes themselves.
  """

  captions: list[str]
  claims: list[list[Claim]]
  pictures: np.ndarray
  true: np.ndarray


class _FullCaptions:
  """A source whose captions say all, see `SceneCaptions.draw_full`."""

  def __init__(self, source):
    self.name = source.name
    self._source = source

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = self._source[index]
    return {**example, 'captions': _Full(example['captions'])}


class _Full(NamedTuple):
  captions: Any

  def draw(self, rng: np.random.Generator) -> str:
    return self.captions.draw_full(rng)


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
  settings = config['eval']
  eval_set = held_out.load_eval_set(level)
  source = _FullCaptions(eval_set.open_scenes(config['image_size']))
  rows = range(min(settings['sampled_limit'], eval_set.n))
  batches = held_out.trim_prompts(
    held_out.make_eval_batches(
      task.as_examined(),
      source,
      rows,
      batch_size=sharding.round_up_rows(settings['batch_size'], mesh),
      seed=eval_set.encode_seed,
      max_text=config['model']['max_text'],
      tokenizer=families.load_tokenizer(config),
    )
  )
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
  true = np.concatenate([batch['target'] for batch in batches])
  captions = [prompt for batch in batches for prompt in batch['prompt']]
  return Painted(
    [captions[k] for k in np.flatnonzero(valid)],
    [source[row]['captions'].captions.list_claims() for row in rows],
    np.concatenate(painted)[valid],
    true[valid],
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
