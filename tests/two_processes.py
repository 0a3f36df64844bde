"""Two processes that train, evaluate and stop together, then one fails.

`python tests/two_processes.py FOLDER`: FOLDER/resumed holds a run of one
process that was stopped; FOLDER/fresh becomes a run of two. What each process
found goes to FOLDER/0.json and FOLDER/1.json, and prints to 0.log and 1.log.
"""

import importlib
import json
import os
import pathlib
import socket
import sys
import warnings

import faults
import trainings
from virtual_devices import add_flag

EXAM_SCENES = 11
# Counts, and a float sum that depended on the number of rows of a device.
EXAMINED = ('semantic',)


def paint_the_source(params, batch):
  """The same answer wherever it is painted."""
  return batch['source']


def examine() -> dict[str, dict]:
  """Scores of fixed pictures, with all digits, and of the best constant."""
  from vbanana_jax import sharding
  from vbanana_jax.data import sources
  from vbanana_jax.evaluation import evaluators, held_out
  from vbanana_jax.tasks import TASKS

  found = {}
  mesh = sharding.build_mesh()
  source = sources.SceneSource('quick', 5, 32, even_counts=True)
  for name in EXAMINED:
    task = TASKS[name]
    batches = list(
      held_out.make_eval_batches(
        task, source, range(EXAM_SCENES), batch_size=8, seed=0, max_text=64
      )
    )
    evaluator = evaluators.TaskEvaluator(task, paint_the_source, mesh)
    scores = evaluator.run(0.0, batches)
    constant = evaluators.ConstantBaseline(task, mesh)
    found[name] = {
      'n': scores.n,
      'metrics': scores.metrics,
      'intervals': scores.intervals,
      'painted': scores.painted.astype('f8').sum(),
      'constant': constant.run(constant.fit(batches), batches),
    }
  return json.loads(json.dumps(found))


def predict(number: int, folder: pathlib.Path) -> int:
  """The exit code of `vbanana predict`, which ends no process here."""
  from vbanana_jax import cli

  here = folder if number == 0 else folder / 'elsewhere'
  names = ('photo0.png', 'photo1.png', 'none.png')
  leave, cli.distributed.leave = cli.distributed.leave, lambda code: None
  try:
    return cli.main(
      [
        'predict',
        *(str(here / name) for name in names),
        '--task=depth',
        f'--workdir={folder / "resumed"}',
        f'--out={here / "answers"}',
      ]
    )
  finally:
    cli.distributed.leave = leave


def make_photos(folder: pathlib.Path) -> None:
  """Two, and a file that is none."""
  import numpy as np
  from PIL import Image

  for k in range(2):
    rgb = np.random.default_rng(k).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(rgb).save(folder / f'photo{k}.png')
  (folder / 'none.png').write_text('no picture')


def hold_rows() -> dict[str, list]:
  """Rows of a batch that a process reads and holds where weights are split."""
  import numpy as np

  from vbanana_jax import sharding

  mesh = sharding.build_mesh({'replica': 1, 'fsdp': 1, 'tensor': -1})
  own = sharding.local_batch_indices(4, mesh)
  placed = sharding.put_batch({'x': np.arange(10, 14)[own]}, mesh)['x']
  return {'read': own.tolist(), 'held': placed.addressable_data(0).tolist()}


def check_agreement(number: int) -> list[str]:
  """What a process is told of the same, and of different configs."""
  from vbanana_jax.errors import UserError
  from vbanana_jax.runtime import processes

  shared = {'config.seed': 1, 'config.optim': {'name': 'muon', 'rate': 0.1}}
  other = {'config.seed': number, 'config.extra': 'ä'} if number else {}
  other['config.optim'] = {'rate': 0.1 + number, 'name': 'muon'}
  told = []
  for sections in (shared, shared | {'config.seed': 0} | other):
    try:
      processes.check_agree(sections)
      told.append('')
    except UserError as error:
      told.append(str(error))
  return [*told, processes.broadcast_from_first(lambda: f'from {number}')]


def compile_once() -> None:
  """Trainings after the first use its compiled step."""
  from vbanana_jax.training import setup

  jit, steps = setup.jit_train_step, []

  class Step:
    def __init__(self, *args):
      self.jitted, self.compiled = jit(*args), {}

    def lower(self, state, batch):
      self.inputs = state, batch
      return self

    def compile(self):
      length = self.inputs[1]['tokens'].shape
      if length not in self.compiled:
        self.compiled[length] = self.jitted.lower(*self.inputs).compile()
      return self.compiled[length]

  def share(*args):
    if not steps:
      steps.append(Step(*args))
    return steps[0]

  setup.jit_train_step = share


def run(number: int, folder: pathlib.Path, port: int) -> None:
  """All that one of the processes does."""
  from jax.experimental import multihost_utils

  from vbanana_jax import cli

  own = folder / f'{number}'
  own.mkdir()
  faults.record_ids(own)
  compile_once()

  def train(workdir, *args):
    workdir = f'--workdir={folder / workdir}'
    return cli.main(['train', workdir, *trainings.ARGS, *args])

  found = {}
  found['resumed'] = train(
    'resumed',
    '--config.eval.every=6 steps',
    '--config.eval.watch=8',
    f'--coordinator=localhost:{port}',
    '--processes=2',
    f'--process-id={number}',
  )
  if number == 0:
    make_photos(folder)
  found['evaluated'] = cli.main(
    [
      'evaluate',
      f'--workdir={folder / "resumed"}',
      '--tasks=depth',
      f'--out={folder / "scored"}',
    ]
  )
  found['predicted'] = predict(number, folder)
  found['eval_set'] = examine()
  found['rows'] = hold_rows()
  found['agreement'] = check_agreement(number)
  if number == 1:
    # JAX looks once a second, and six more steps may take less than that.
    log = folder / f'{number}.log'
    faults.get_signal('SIGTERM', '5', lambda: 'SIGTERM' in log.read_text())
  found['fresh'] = train('fresh')
  (folder / f'{number}.json').write_text(json.dumps(found))
  if number == 1:
    cli.main(['evaluate', '--workdir=nowhere'])  # a mistake of its own
  multihost_utils.process_allgather(number)  # nobody answers


def start(number: int, folder: pathlib.Path, port: int) -> int:
  """Forks a process; returns its id."""
  child = os.fork()
  if child:
    return child
  log = os.open(folder / f'{number}.log', os.O_CREAT | os.O_WRONLY)
  os.dup2(log, 1)
  os.dup2(log, 2)
  try:
    run(number, folder, port)
  except BaseException:
    sys.excepthook(*sys.exc_info())
  os._exit(99)


def main(folder: pathlib.Path) -> None:
  importlib.import_module('vbanana_jax.train')
  importlib.import_module('vbanana_jax.evaluation.evaluators')
  os.environ['XLA_FLAGS'] = add_flag(1)
  os.environ['JAX_COMPILATION_CACHE_DIR'] = str(folder / 'xla')
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  warnings.simplefilter('ignore')  # of forks: there are no threads yet
  children = [start(number, folder, port) for number in range(2)]
  codes = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]
  print(json.dumps(codes))


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]))
