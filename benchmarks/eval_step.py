"""What decoders and metrics cost within the compiled eval step.

  python -m benchmarks.eval_step [--config quickstart] [--output results.json]

Each task's whole step (paint, decode, score) and painting alone take turns on
the same batch of the exam, in one process; weights are fresh, since time does
not depend on them. The share is what the whole takes beyond painting.
"""

import argparse
import json
import pathlib
import statistics
import time

import jax

from vbanana_jax import evaluators, provenance, sharding, weights
from vbanana_jax.config import load_config
from vbanana_jax.data import build
from vbanana_jax.state import make_params
from vbanana_jax.step import make_painter
from vbanana_jax.tasks import TASKS

_REPEATS = 15


def measure(config: dict, name: str) -> dict[str, float]:
  """Milliseconds a batch, medians of turns taken one after the other."""
  model = weights.build_network(config)
  mesh = sharding.build_mesh()
  params = make_params(model, size=config['image_size'], seed=0)
  (host,) = build.build_exam(
    config, TASKS[name], config['data']['level'], config['eval']['batch_size']
  )
  batch = evaluators.put_eval_batch(host, mesh)
  paint = make_painter(model, seed=0, steps=0)
  evaluator = evaluators.TaskEvaluator(TASKS[name], paint, mesh)
  evaluator.compile(params, host)
  steps = {
    'paint': jax.jit(paint).lower(params, batch).compile(),
    'whole': evaluator.evaluate,
  }
  times: dict[str, list[float]] = {step: [] for step in steps}
  for _ in range(_REPEATS):
    for step, run in steps.items():
      began = time.perf_counter()
      jax.block_until_ready(run(params, batch))
      times[step].append(1e3 * (time.perf_counter() - began))
  paint_ms, whole_ms = (statistics.median(times[step]) for step in steps)
  return {
    'paint_ms': round(paint_ms, 1),
    'whole_ms': round(whole_ms, 1),
    'share': round(1 - paint_ms / whole_ms, 4),
  }


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--config', default='quickstart')
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  config = load_config(args.config).to_dict()
  result = {
    'command': f'python -m benchmarks.eval_step --config {args.config}',
    'batch_size': config['eval']['batch_size'],
    'image_size': config['image_size'],
    'tasks': {
      name: measure(config, name) for name, task in TASKS.items() if task.vision
    },
    'versions': provenance.get_versions(),
    'git': provenance.get_git_state(),
  }
  text = json.dumps(result, indent=2)
  print(text)
  if args.output:
    args.output.write_text(text + '\n')


if __name__ == '__main__':
  main()
