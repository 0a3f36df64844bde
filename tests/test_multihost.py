"""Two real processes are one run: they train, score, save and stop as one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import two_processes
from PIL import Image
from shells import ROOT, make_environment, run_script
from trainings import STEPS, load_ids

from vbanana_jax import evaluate, predict
from vbanana_jax.errors import Preempted, UserError
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.inference.request import PredictRequest
from vbanana_jax.runtime import logs
from vbanana_jax.training import checkpoint

pytestmark = pytest.mark.usefixtures('quick_compilation')

# Sums in another order: seen 4e-5 of the loss, 2e-4 of the gradient's norm.
TOLERANCE = 1e-3

_PROXY = 'http://127.0.0.1:9'


@pytest.fixture(scope='module')
def found(stopped_run, tmp_path_factory):
  """The folder that `two_processes` filled, and its exit codes."""
  folder = tmp_path_factory.mktemp('two')
  shutil.copytree(stopped_run[0], folder / 'resumed')
  done = subprocess.run(
    [sys.executable, two_processes.__file__, str(folder)],
    # Nobody answers there: who asks a proxy for the other process is told so.
    env={**os.environ, 'http_proxy': _PROXY, 'https_proxy': _PROXY},
    stdout=subprocess.PIPE,
    text=True,
    timeout=600,
  )
  logs = ''.join((folder / f'{k}.log').read_text()[-3000:] for k in range(2))
  assert (folder / '0.json').exists() and (folder / '1.json').exists(), logs
  return folder, json.loads(done.stdout)


def load_found(folder, number):
  return json.loads((folder / f'{number}.json').read_text())


def load_losses(workdir):
  rows = logs.load_metrics(workdir / 'metrics.jsonl')
  return {row['step']: (row['loss'], row['gradient_norm']) for row in rows}


def assert_same_curve(workdir, whole_run):
  whole, losses = load_losses(whole_run), load_losses(workdir)
  assert list(losses) == list(range(1, STEPS + 1))
  for step, loss in losses.items():
    np.testing.assert_allclose(loss, whole[step], rtol=TOLERANCE)


def load_runs(folder, number):
  """Ids of one process, by step: of the run that went on, of the fresh one."""
  lines = (folder / f'{number}' / 'ids.jsonl').read_text().splitlines()
  rows = [json.loads(line) for line in lines if line]
  fresh = next(k for k, row in enumerate(rows) if row['step'] == 1)
  return [
    {row['step']: row['ids'] for row in part}
    for part in (rows[:fresh], rows[fresh:])
  ]


def test_together_they_read_what_one_would(found, whole_run):
  folder, _ = found
  whole = load_ids(whole_run)
  resumed, fresh = zip(*(load_runs(folder, number) for number in range(2)))
  assert sorted(resumed[0]) == list(range(6, STEPS + 1))
  assert set(range(1, 6)) <= set(fresh[0])
  for parts in (resumed, fresh):
    for step in parts[0].keys() & parts[1].keys():
      assert parts[0][step] + parts[1][step] == whole[step]


def test_processes_that_share_weights_read_the_same_rows(found):
  for number in range(2):
    rows = load_found(found[0], number)['rows']
    assert rows == {'read': [0, 1, 2, 3], 'held': [10, 11, 12, 13]}


def test_processes_that_are_given_different_things_are_told(found):
  one, other = (load_found(found[0], k)['agreement'] for k in range(2))
  assert one == other
  same, different, first = one
  assert not same
  assert different.startswith(
    'the processes of this run differ from process 0 in: config.extra (process '
    '1); config.optim (process 1); config.seed (process 1): give all the same '
  )
  assert first == 'from 0'


def test_two_go_on_after_one(found, whole_run):
  folder, _ = found
  assert [load_found(folder, k)['resumed'] for k in range(2)] == [0, 0]
  assert_same_curve(folder / 'resumed', whole_run)
  run = logs.load_json(folder / 'resumed' / 'run.json')
  assert run['topology']['processes'] == 1
  assert run['resumed'][0]['topology']['processes'] == 2
  scores = logs.load_metrics(folder / 'resumed' / 'scores.jsonl')
  assert [row['step'] for row in scores] == [6, 12]


def test_a_signal_to_one_stops_both_and_one_goes_on(
  found, whole_run, trainings, tmp_path
):
  folder, _ = found
  codes = [load_found(folder, k)['fresh'] for k in range(2)]
  assert codes == [Preempted.exit_code] * 2
  stopped_at = checkpoint.newest_step(folder / 'fresh')
  assert 5 <= stopped_at < STEPS
  told = f'saved at step {stopped_at} of {STEPS}'
  assert all(told in (folder / f'{k}.log').read_text() for k in range(2))
  workdir = shutil.copytree(folder / 'fresh', tmp_path / 'fresh')
  code, error = trainings.run(workdir)
  assert code == 0, error
  assert_same_curve(workdir, whole_run)
  assert load_ids(workdir) == {
    step: ids for step, ids in load_ids(whole_run).items() if step > stopped_at
  }


def test_two_score_a_run_whose_weights_they_share(found):
  folder, _ = found
  assert [load_found(folder, k)['evaluated'] for k in range(2)] == [0, 0]
  for number in range(2):
    told = 'config.sharding=fsdp, and the devices are replica 1, fsdp 2, tensor'
    assert told in (folder / f'{number}.log').read_text()
  two = logs.load_json(folder / 'scored' / 'results_depth.json')
  one = evaluate.evaluate(folder / 'resumed', tasks=['depth'])
  for found_by_two, by_one in zip(two['rows'], one['rows'], strict=True):
    value = found_by_two.pop('value'), by_one.pop('value')
    interval = found_by_two.pop('interval'), by_one.pop('interval')
    assert value[0] == pytest.approx(value[1], rel=0.05, abs=1e-3)
    assert interval[0] == pytest.approx(interval[1], rel=0.05, abs=1e-3)
    assert found_by_two == by_one  # the constant to the digit


def test_two_answer_and_one_of_them_knows_the_photos(found):
  folder, _ = found
  codes = [load_found(folder, k)['predicted'] for k in range(2)]
  assert codes == [UserError.exit_code, 0]  # one photo is none
  assert 'vbanana: 1 of 3 photos' in (folder / '0.log').read_text()
  assert 'photos have no answer' not in (folder / '1.log').read_text()
  photos = [folder / f'photo{k}.png' for k in range(2)]
  prepared = Predictor(folder / 'resumed').prepare(PredictRequest('depth'))
  alone = predict.predict_all(prepared, photos, out_dir=folder / 'alone')
  assert len(dict(alone)) == 2
  for photo in photos:
    name = f'{photo.stem}_depth_painted.png'
    one, two = (
      np.asarray(Image.open(folder / each / name), int)
      for each in ('alone', 'answers')
    )
    assert np.abs(one - two).max() <= 3  # of 255; products may be of bfloat16


def test_the_same_pictures_have_the_same_scores_to_the_digit(found):
  folder, _ = found
  one, other = (load_found(folder, number)['eval_set'] for number in range(2))
  assert one == other == two_processes.examine()
  assert {scores['n'] for scores in one.values()} == {two_processes.EXAM_SCENES}


def test_who_speaks(found):
  folder, _ = found
  first, second = (
    (folder / f'{k}.log').read_text().splitlines() for k in range(2)
  )
  stages = ('building mixture', 'first batch', 'compiling', 'step 1 of 12')
  for number, lines in enumerate((first, second)):
    assert any('starting distributed' in line for line in lines)
    for stage in stages:
      end = f'process {number} of 2] {stage}'
      assert any(line.endswith(end) for line in lines), end
  assert any('step 12: depth/delta1' in line for line in first)
  assert not any(
    'depth/delta1' in line or 'images/s' in line for line in second
  )


def test_nobody_waits_for_one_that_failed(found):
  folder, codes = found
  assert codes == [1, 2]
  last = (folder / '1.log').read_text().splitlines()[-1]
  assert last.startswith('vbanana: nowhere has no checkpoint')
  log = (folder / '0.log').read_text()
  assert 'vbanana: another process of this run ended (' in log
  assert 'Traceback' not in log


def test_the_script_says_what_it_would_run():
  words = ('--processes=3', '--dry-run', 'train', '--workdir', 'a b')
  done = run_script('local_multihost.sh', *words, env={'PATH': '/usr/bin:/bin'})
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines() == [
    'JAX_PLATFORMS=cpu vbanana train --workdir a\\ b --coordinator '
    f'localhost:PORT --processes 3 --process-id {number} &'
    for number in range(3)
  ]


@pytest.mark.parametrize(
  'words, says',
  [
    (['report'], 'train, evaluate or predict'),
    (['--processes=0'], "'0'"),
    (['--processes'], "''"),
    (['--processes', 'train'], "'train'"),
  ],
)
def test_the_script_refuses_in_one_line(words, says):
  done = run_script('local_multihost.sh', *words)
  assert done.returncode == 2
  assert says in done.stderr and done.stderr.count('\n') == 1


def test_the_script_fails_as_the_first_that_fails(tmp_path):
  env, log = make_environment(tmp_path, fails_on='id?1')
  done = run_script('local_multihost.sh', 'train', 'x y', env=env)
  assert done.returncode == 3, done.stderr
  assert log.read_text().count('vbanana train x y --coordinator') == 2


def start_script(folder, behavior, *words, processes=2):
  """The script with stand-ins that wait, once all of them do.

  Args:
    folder: to make their environment in.
    behavior: what a stand-in does, in bash; it writes a line to `ready`.
    words: before the verb.
    processes: that many lines.
  """
  env, _ = make_environment(folder, fails_on='train', failure=behavior)
  process = subprocess.Popen(
    ['bash', str(ROOT / 'launch' / 'local_multihost.sh'), *words, 'train'],
    env=env,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
    start_new_session=True,
  )
  ready = folder / 'home' / 'ready'
  deadline = time.monotonic() + 20
  while not ready.exists() or len(ready.read_text()) < processes:
    assert time.monotonic() < deadline and process.poll() is None
    time.sleep(0.02)
  return process


def test_the_script_stops_the_first_and_does_not_wait_for_a_deaf_one(tmp_path):
  # `ready` is written to once the trap is set.
  wait = (
    "trap '[[ ${!#} == 0 ]] && exit 75' TERM; echo >>$HOME/ready; "
    'while sleep 0.1; do :; done'
  )
  process = start_script(tmp_path, wait)
  process.send_signal(signal.SIGTERM)
  assert process.wait(timeout=20) == Preempted.exit_code
  process.stdout.close()


def test_a_signal_to_the_group_lets_all_of_them_save(tmp_path):
  saves = (
    'save() { trap "" TERM; echo saving; sleep 0.3; echo saved; exit 75; }; '
    'trap save TERM; echo up; echo >>$HOME/ready; while :; do sleep 0.1; done'
  )
  process = start_script(tmp_path, saves)
  # Whatever numbers the lines is up as well.
  assert {process.stdout.readline() for _ in '01'} == {'up\n', '1: up\n'}
  os.killpg(process.pid, signal.SIGTERM)
  out, _ = process.communicate(timeout=20)
  assert process.returncode == Preempted.exit_code
  assert {'saving', 'saved', '1: saving', '1: saved'} <= set(out.splitlines())


def test_one_process_takes_the_place_of_the_script(tmp_path):
  # A signal to the group would come twice otherwise, and the second one kills.
  says_who = 'echo $$; echo >>$HOME/ready; sleep 0.5'
  process = start_script(tmp_path, says_who, '--processes=1', processes=1)
  out, _ = process.communicate(timeout=20)
  assert int(out) == process.pid
