"""What decoders and metrics cost within the compiled eval step.

  python -m perf.eval_step [--config quickstart] [--output results.json]

Each task's whole step (paint, decode, score) and painting alone take turns on
the same batch of the exam, in one process; weights are fresh, since time does
not depend on them. The share is what the whole takes beyond painting, within
each round.
"""

import argparse
import pathlib
from typing import Any

import jax

from perf import timing
from vbanana_jax import sharding
from vbanana_jax.config import load_config
from vbanana_jax.evaluation import evaluators, held_out
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import weights
from vbanana_jax.training.state import make_params
from vbanana_jax.training.step import make_sample_fn

_IN_A_ROW = 4  # a single call is over before other work on the machine is


def measure(config: dict[str, Any], rounds: int = 15) -> dict[str, Any]:
  """Shares of all vision tasks, and what they are made of."""
  tasks = {
    name: measure_task(config, name, rounds)
    for name, task in TASKS.items()
    if task.vision
  }
  return {
    'ratios': {
      f'{name}: share beyond painting': cell['share']
      for name, cell in tasks.items()
    },
    'batch_size': config['eval']['batch_size'],
    'image_size': config['image_size'],
    'tasks': tasks,
  }


def measure_task(
  config: dict[str, Any], name: str, rounds: int
) -> dict[str, Any]:
  """Milliseconds a batch, and the share of what is not painting."""
  model = weights.build_network(config)
  mesh = sharding.build_mesh()
  params = make_params(model, size=config['image_size'], seed=0)
  (host,) = held_out.build_eval_set(
    config, TASKS[name], config['data']['level'], config['eval']['batch_size']
  )
  batch = evaluators.put_eval_batch(host, mesh)
  paint = make_sample_fn(model, seed=0, steps=0)
  evaluator = evaluators.TaskEvaluator(TASKS[name], paint, mesh)
  evaluator.compile(params, host)
  painter = jax.jit(paint).lower(params, batch).compile()
  times = timing.interleave(
    {
      'paint': lambda: painter(params, batch),
      'whole': lambda: evaluator.evaluate(params, batch),
    },
    rounds,
    in_a_row=_IN_A_ROW,
  )
  pairs = zip(times['paint']['wall'], times['whole']['wall'])
  found = timing.summarize_times(times)
  return {
    'paint_ms': found['paint']['wall_ms'],
    'whole_ms': found['whole']['wall_ms'],
    'share': timing.summarize([1 - part / whole for part, whole in pairs]),
  }


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--config', default='quickstart')
  parser.add_argument('--rounds', type=int, default=15)
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  result = measure(load_config(args.config).to_dict(), args.rounds)
  timing.print_ratios('eval_step', result)
  print(timing.save('eval_step', result, output=args.output))


if __name__ == '__main__':
  main()
