"""What decoders and metrics cost within the compiled eval step.

  python -m perf.eval_step [--config quickstart] [--rounds 15]

Each task's whole step (paint, decode, score) and painting alone take turns on
the same held-out batch, in one process; weights are fresh, since time does not
depend on them. The share is what the whole takes beyond painting, within each
round.
"""

from typing import Any

import jax

from perf import run, timing
from vbanana_jax import sharding
from vbanana_jax.config import load_config
from vbanana_jax.evaluation import evaluators, held_out
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import weights
from vbanana_jax.training.state import make_params

_IN_A_ROW = 4  # a single call is over before other work on the machine is


def measure(config: str = 'quickstart', rounds: int = 15) -> dict[str, Any]:
  """Milliseconds a batch of every vision task, and the share."""
  loaded = load_config(config).to_dict()
  return {
    'tables': {
      'tasks': {
        name: measure_task(loaded, name, rounds)
        for name, task in TASKS.items()
        if task.vision
      }
    },
    'batch_size': loaded['eval']['batch_size'],
    'image_size': loaded['image_size'],
  }


def measure_task(
  config: dict[str, Any], name: str, rounds: int
) -> dict[str, Any]:
  """One task's row."""
  model = weights.build_network(config)
  mesh = sharding.build_mesh()
  params = make_params(model, size=config['image_size'], seed=0)
  (host,) = held_out.build_batches(
    config,
    TASKS[name],
    config['sources']['scenes']['level'],
    config['eval']['batch_size'],
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
  paint, whole = (times[name]['wall'] for name in ('paint', 'whole'))
  return {
    'painting_ms': timing.summarize([1e3 * s for s in paint]),
    'whole_ms': timing.summarize([1e3 * s for s in whole]),
    'beyond_painting_share': timing.summarize(
      [1 - part / all for part, all in zip(paint, whole)]
    ),
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'config': 'quickstart:,smoke', 'rounds': 1})
