"""From the start of `vbanana predict` to a written file, in new processes.

  python -m perf.cold_start [--rounds 5] [--run RUN] [--output JSON]

Depth of a 640x480 photograph by a network of the quickstart's size with fresh
weights, or by --run. `cold` has an empty cache of compiled programs, `warm`
the one that the run before left; `exported` is the same answer from a folder
of `vbanana export`. The breakdown is of warm runs: the seconds of each part,
measured inside a process that does the same one by one.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
from PIL import Image

from perf import predict_speed, sampler, timing
from vbanana_jax.runtime import logs
from vbanana_jax.training import checkpoint, weights
from vbanana_jax.training.state import TrainState

# Each part begins where the one before ended; run with its arguments.
_PARTS = """
import json, sys, time
began, parts = time.perf_counter(), {}
def end(name):
  global began
  now = time.perf_counter()
  parts[name], began = now - began, now
import jax
end('import jax')
from vbanana_jax import cli
cli.use_compilation_cache()
import flax.linen
import orbax.checkpoint
end('import flax and orbax')
import pathlib
import numpy as np
from vbanana_jax import answer, painting, predict, wish
from vbanana_jax.data import photos
end('import the rest')
run, photo, out = map(pathlib.Path, sys.argv[1:])
answerer = answer.Answerer(run)
jax.block_until_ready(answerer.params)
end('build and restore')
task, question, names = wish.ask(wish.Wish('depth'), 'quick')
size, patch = answerer.config['image_size'], answerer.model.config.patch
image = photos.open_photo(photo)
grid = predict.make_grid(*image.shape[:2], size=size, patch=patch)
looked = predict.look(image, grid)
end('read the photograph')
canvas = answerer.make_canvas(
  task, looked.source, question.prompt, size, None
)
(painted,) = answerer.box.paint(painting.Way(0, 0), [canvas])
end('trace, load programs, paint')
value = predict.decode_value(task, painted, question.aux)
end('decode')
predict.write(
  task, looked, question, painted, value, out_dir=out, name='photo'
)
end('draw and write')
print(json.dumps(parts))
"""


def make_run(folder: pathlib.Path) -> pathlib.Path:
  """A workdir with fresh weights, as training leaves one."""
  config, _, params = sampler.build()
  logs.save_json(folder / 'run.json', {'config': config})
  state = TrainState(jnp.int32(1), params, params, {'none': jnp.zeros(1)})
  with checkpoint.Checkpoints(folder, keep=1) as checkpoints:
    checkpoints.save(jax.block_until_ready(state), weights.make_manifest())
  return folder


def run_command(
  arguments: list[str], cache: pathlib.Path
) -> tuple[float, float, str]:
  """Wall and CPU seconds of a new Python process, and what it printed."""
  began, cpu_began = time.perf_counter(), _count_cpu_seconds()
  done = subprocess.run(
    [sys.executable, *arguments],
    env={**os.environ, 'JAX_COMPILATION_CACHE_DIR': str(cache)},
    capture_output=True,
    text=True,
    check=True,
  )
  cpu_seconds = _count_cpu_seconds() - cpu_began
  return time.perf_counter() - began, cpu_seconds, done.stdout


def _count_cpu_seconds() -> float:
  """Of all processes that this one started and that have ended."""
  times = os.times()
  return times.children_user + times.children_system


def measure(
  *, rounds: int = 5, run: pathlib.Path | None = None
) -> dict[str, Any]:
  """Seconds of whole processes, and of the parts of a warm one."""
  with tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place)
    run = run or make_run(folder / 'run')
    photo = folder / 'photo.jpg'
    Image.fromarray(predict_speed.make_photo()).save(photo)
    cache, out = folder / 'cache', folder / 'out'
    command = ['-m', 'vbanana_jax']
    predict = [*command, 'predict', str(photo), '--out', str(out)]
    ask = [*predict, '--task', 'depth', '--checkpoint', str(run)]
    serve = [*predict, '--exported', str(folder / 'served')]
    timing.say('cold')
    cold, cold_cpu, _ = run_command(ask, cache)
    export = f'export --task depth --size 48x64 --workdir {run} --out'
    run_command([*command, *export.split(), str(folder / 'served')], cache)
    run_command(serve, cache)
    timing.say('warm')
    seconds: dict[str, list[float]] = {'warm': [], 'exported': []}
    cpu_seconds: dict[str, list[float]] = {'warm': [], 'exported': []}
    parts: list[dict[str, float]] = []
    for _ in range(rounds):
      for name, arguments in (('warm', ask), ('exported', serve)):
        wall, cpu, _ = run_command(arguments, cache)
        seconds[name].append(wall)
        cpu_seconds[name].append(cpu)
      words = ['-c', _PARTS, str(run), str(photo), str(out)]
      parts.append(json.loads(run_command(words, cache)[2]))
  return {
    'ratios': {
      'cold / warm': timing.shorten(cold / statistics.median(seconds['warm'])),
      'warm / exported': timing.summarize(
        [a / b for a, b in zip(seconds['warm'], seconds['exported'])]
      ),
    },
    'seconds': {
      'cold': timing.shorten(cold),
      **{name: timing.summarize(both) for name, both in seconds.items()},
    },
    'cpu_seconds': {
      'cold': timing.shorten(cold_cpu),
      **{name: timing.summarize(both) for name, both in cpu_seconds.items()},
    },
    'parts_of_warm': {
      name: timing.summarize([row[name] for row in parts]) for name in parts[0]
    },
  }


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--run', type=pathlib.Path, help='fresh weights if none')
  parser.add_argument('--output', type=pathlib.Path)
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  args = parser.parse_args()
  if args.quick:
    args.rounds = 1
  result = measure(rounds=args.rounds, run=args.run)
  timing.print_ratios('cold_start', result)
  for kind in ('seconds', 'cpu_seconds', 'parts_of_warm'):
    for name, value in result[kind].items():
      label = f'{kind}, {name}'
      print(f'{"cold_start":18} {label:52} {timing.format_ratio(value)}')
  print(timing.save('cold_start', result, output=args.output))


if __name__ == '__main__':
  main()
