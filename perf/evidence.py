"""What is it worth that a generator came first? Trainings over several seeds.

  python -m perf.evidence [--seeds 0 1 2 3 4] [--workdir runs/evidence]

The quickstart's network learns its tasks from the pretrained generator, from
random weights for as many steps, and from random weights for as many examples
as both trainings had. Every held-out score is a mean over seeds with the
interval of Student's t; differences are of the same seed. The generator is
scored before and after tuning. Trainings that were stopped go on, and those of
perf/results/evidence.json are not run again: several sittings make a whole.
"""

import pathlib
import statistics
import subprocess
from collections.abc import Sequence
from typing import Any

import scipy.stats

from perf import run
from vbanana_jax import durations
from vbanana_jax.config import load_config
from vbanana_jax.runtime import logs

GENERATOR, TUNED = 'generator alone', 'generator, then tuned'
# Trainings from random weights, by name.
RIVALS = {
  'random, as many steps': ('tune',),
  'random, as many examples': ('pretrain', 'tune'),
}
# What is scored once, in one pass; watching changes no weights.
_QUIET = ('--config.eval.every=', '--config.eval.vision_steps=0')
_METRICS = (
  ('depth', 'delta1'),
  ('normals', 'mean_deg'),
  ('semantic', 'miou'),
  ('referring', 'ciou'),
  ('instance', 'pmf1'),
  ('edit', 'mae'),
  ('generate@16', 'obedience'),
  ('generate@16', 'fd_random_conv'),
)

Scores = dict[str, dict[str, dict[str, float]]]  # arm, seed, metric


def measure(
  seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
  workdir: pathlib.Path = run.ROOT / 'runs' / 'evidence',
  smoke: bool = False,
) -> dict[str, Any]:
  """Trains what is missing, a seed after the other, and compares."""
  known = run.RESULTS / 'evidence.json'
  scores: Scores = logs.load_json(known)['scores'] if known.exists() else {}
  for seed in seeds:
    for name in (GENERATOR, TUNED, *RIVALS):
      of_arm = scores.setdefault(name, {})
      if str(seed) not in of_arm:
        of_arm[str(seed)] = _train(name, workdir / str(seed), seed, smoke)
  return {'scores': scores, 'tables': make_tables(scores)}


def make_tables(scores: Scores) -> dict[str, Any]:
  """Of every arm, and of what it lacks of the generator that was tuned."""
  found = {name: _collect(scores[name]) for name in scores}
  apart = {
    name: {
      metric: [a - b for a, b in zip(found[TUNED][metric], values)]
      for metric, values in found[name].items()
    }
    for name in RIVALS
  }
  before_after = {name: found[name] for name in (GENERATOR, TUNED)}
  return {
    'arms': _summarize({name: found[name] for name in (TUNED, *RIVALS)}),
    'gain': _summarize(apart),
    'generator': _summarize(
      {
        name: {k: v for k, v in values.items() if k.startswith('generate')}
        for name, values in before_after.items()
      }
    ),
  }


def find_interval(values: Sequence[float]) -> dict[str, float]:
  """Mean of two or more values, and its interval of 95 %."""
  mean, n = statistics.fmean(values), len(values)
  reach = find_quantile(n - 1) * statistics.stdev(values) / n**0.5
  return {'median': mean, 'min': mean - reach, 'max': mean + reach}


def find_quantile(freedom: int) -> float:
  """Where Student's t has .975 of its mass below it."""
  return float(scipy.stats.t.ppf(0.975, freedom))


def _train(
  name: str, folder: pathlib.Path, seed: int, smoke: bool
) -> dict[str, float]:
  """Scores of one arm at one seed."""
  generator = folder / 'pretrain'
  if name == GENERATOR:
    _call('train', 'pretrain', generator, seed, smoke)
    return _score(generator, 'generate')
  place = folder / name.replace(', ', '-').replace(' ', '_')
  begin = (f'--config.init_from={generator}',) if name == TUNED else ()
  length = ()
  if not smoke and name in RIVALS:
    length = (f'--config.length={_count_examples(RIVALS[name])} examples',)
  _call('train', 'tune', place, seed, smoke, *begin, *length)
  return _score(place)


def _count_examples(phases: Sequence[str]) -> int:
  """Examples of phases of the quickstart together."""
  configs = [load_config(f'quickstart:{phase}') for phase in phases]
  return sum(
    durations.to_steps(c.length, batch_size=c.batch_size) * c.batch_size
    for c in configs
  )


def _call(verb, phase, workdir, seed, smoke, *args) -> None:
  config = f'quickstart:{phase}{",smoke" * smoke}'
  words = ['vbanana', verb, '--config', config, '--workdir', str(workdir)]
  words += [f'--config.seed={seed}', *_QUIET, *args]
  subprocess.run(words, check=True)


def _score(workdir: pathlib.Path, tasks: str = '') -> dict[str, float]:
  chosen = ['--tasks', tasks] if tasks else []
  path = workdir / f'results{"_" * bool(tasks)}{tasks}.json'
  if not path.exists():
    words = ['vbanana', 'evaluate', '--workdir', str(workdir), *chosen]
    subprocess.run(words, check=True)
  results = logs.load_json(path)
  scores = {f'{r["task"]} {r["metric"]}': r['value'] for r in results['rows']}
  for task, kinds in results.get('obedience', {}).items():
    scores[f'{task} obedience'] = kinds[0]['reached']
  wanted = [' '.join(pair) for pair in _METRICS]
  return {name: scores[name] for name in wanted if name in scores}


def _collect(of_arm: dict[str, dict[str, float]]) -> dict[str, list[float]]:
  """Values of every metric, in the order of the seeds."""
  rows = [of_arm[seed] for seed in sorted(of_arm, key=int)]
  return {metric: [row[metric] for row in rows] for metric in rows[0]}


def _summarize(arms: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
  return {
    name: {
      metric: find_interval(values) if len(values) > 1 else values[0]
      for metric, values in metrics.items()
    }
    for name, metrics in arms.items()
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'smoke': True, 'seeds': (0, 1)})
