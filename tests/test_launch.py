"""The shell scripts: syntax, help, and what happens when a step fails."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from shells import ROOT, make_environment, run_script

SCRIPTS = [*sorted((ROOT / 'launch').glob('*.sh')), ROOT / '.ci' / 'run']
COMMANDS = ('quickstart.sh', 'network.sh', 'test.sh')


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_syntax(script):
  subprocess.run(['bash', '-n', str(script)], check=True)


@pytest.mark.parametrize('name', COMMANDS)
def test_help_teaches_and_touches_nothing(name, tmp_path):
  env, log = make_environment(tmp_path)
  done = run_script(name, '--help', env=env)
  assert done.returncode == 0, done.stderr
  assert f'usage: bash launch/{name}' in done.stdout
  assert log.read_text() == ''


@pytest.mark.parametrize('args', [['--fast'], ['--workdir']])
def test_bad_flag_is_one_line_and_exit_code_2(args, tmp_path):
  env, log = make_environment(tmp_path)
  done = run_script('quickstart.sh', *args, env=env)
  assert done.returncode == 2
  assert args[0] in done.stderr and done.stderr.count('\n') == 1
  assert log.read_text() == ''


def test_phases_in_order_from_any_folder(tmp_path):
  env, log = make_environment(tmp_path)
  args = ('--smoke', '--workdir', 'my run')
  done = run_script('quickstart.sh', *args, env=env, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  calls = [line for line in log.read_text().splitlines() if line[0] == 'v']
  assert calls == [
    'vbanana train --config quickstart:pretrain,smoke'
    ' --workdir my run/pretrain',
    'vbanana train --config quickstart:tune,smoke --workdir my run/tune'
    ' --config.init_from=my run/pretrain',
    'vbanana evaluate --workdir my run',
    'vbanana report --workdir my run',
  ]


@pytest.mark.parametrize(
  'name, trainings',
  [
    (
      'scenes-nano',
      [
        'vbanana train --config scenes_nano:pretrain,smoke'
        ' --workdir w/pretrain',
        'vbanana train --config scenes_nano:tune,smoke --workdir w/tune'
        ' --config.init_from=w/pretrain',
        'vbanana train --config scenes_nano:refine,smoke --workdir w/refine'
        ' --config.init_from=w/tune',
      ],
    ),
    (
      'scenes-reader',
      ['vbanana train --config scenes_reader:smoke --workdir w'],
    ),
  ],
)
def test_a_network_is_trained_exported_and_scored(name, trainings, tmp_path):
  env, log = make_environment(tmp_path)
  args = (name, '--smoke', '--workdir', 'w')
  done = run_script('network.sh', *args, env=env, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  calls = [line for line in log.read_text().splitlines() if line[0] == 'v']
  trained = trainings[-1].split('--workdir ')[1].split()[0]
  export = 'vbanana export --format safetensors --workdir'
  score = f'vbanana evaluate --workdir w/{name} --out w/scores --level'
  assert calls == [
    *trainings,
    f'{export} {trained} --out w/{name}',
    f'{score} quick',
    f'{score} full',
    f'{export} w/{name} --out w/{name} --results w/scores/results*.json',
  ]


def test_a_network_that_is_not_known_is_one_line(tmp_path):
  env, log = make_environment(tmp_path)
  done = run_script('network.sh', 'scenes-huge', env=env)
  assert done.returncode == 2
  assert 'scenes-huge' in done.stderr and done.stderr.count('\n') == 1
  assert log.read_text() == ''


def test_installs_once_and_again_for_the_tests(tmp_path):
  env, log = make_environment(tmp_path)

  def installs():
    return log.read_text().count('pip install')

  assert run_script('quickstart.sh', env=env).returncode == 0
  assert run_script('quickstart.sh', env=env).returncode == 0
  assert installs() == 1
  assert run_script('test.sh', '-k', 'x y', env=env).returncode == 0
  assert installs() == 2
  assert run_script('quickstart.sh', env=env).returncode == 0
  assert installs() == 2
  assert 'python -m pytest -k x y\n' in log.read_text()


def test_failing_phase_stops_with_its_exit_code(tmp_path):
  env, log = make_environment(tmp_path, fails_on='tune')
  assert run_script('quickstart.sh', env=env).returncode == 3
  assert 'vbanana evaluate' not in log.read_text()


@pytest.mark.parametrize('code, expected', [(0, 130), (5, 5)])
def test_ctrl_c_stops_with_the_exit_code_of_the_phase(code, expected, tmp_path):
  save = f'trap "exit {code}" INT; touch "$HOME/ready"; sleep 30 & wait'
  env, log = make_environment(tmp_path, fails_on='pretrain', failure=save)
  script = str(ROOT / 'launch' / 'quickstart.sh')
  # What runs in the background ignores SIGINT, and hands that down to bash.
  listening = (
    'import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); '
    f"os.execvp('bash', ['bash', {script!r}])"
  )
  process = subprocess.Popen(
    [sys.executable, '-c', listening],
    env=env,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    start_new_session=True,
  )
  deadline = time.monotonic() + 20
  while not (tmp_path / 'home' / 'ready').exists():
    assert time.monotonic() < deadline and process.poll() is None
    time.sleep(0.02)
  # As a terminal does: to every process of the foreground group.
  os.killpg(process.pid, signal.SIGINT)
  assert process.wait(timeout=20) == expected
  assert 'tune' not in log.read_text().replace('pretrain', '')


def test_old_python_in_the_active_environment_is_refused(tmp_path):
  env, log = make_environment(tmp_path, too_old=True)
  done = run_script('quickstart.sh', env=env)
  assert done.returncode == 1
  assert 'Python >= 3.11' in done.stderr and done.stderr.count('\n') == 1
  assert log.read_text() == ''


def test_no_python_at_all_is_one_line_and_makes_nothing(tmp_path):
  # In a copy without .venv, with a PATH of the few tools that set-up uses.
  shutil.copytree(ROOT / 'launch', tmp_path / 'launch')
  tools = tmp_path / 'bin'
  tools.mkdir()
  for tool in ('bash', 'cat', 'cksum', 'dirname', 'grep'):
    (tools / tool).symlink_to(shutil.which(tool))
  done = subprocess.run(
    [tools / 'bash', str(tmp_path / 'launch' / 'quickstart.sh')],
    env={'PATH': str(tools), 'HOME': str(tmp_path)},
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert done.returncode == 1
  assert 'no Python >= 3.11 found' in done.stderr
  assert done.stderr.count('\n') == 1
  assert not (tmp_path / '.venv').exists()
