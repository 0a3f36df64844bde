"""Flags, overrides and exit codes; nothing is trained here."""

import argparse
import os
import pathlib
import shlex
import socket
import subprocess
import sys

import jax
import pytest

import vbanana_jax
from vbanana_jax import cli, networks
from vbanana_jax import config as config_lib
from vbanana_jax.cli import distributed, train
from vbanana_jax.errors import UserError
from vbanana_jax.training import provenance

TRAIN = ('train', '--config', 'quickstart', '--workdir', 'w')
TWO = ('--coordinator=localhost:1', '--processes=2')
SCORE = (
  'evaluate', '--predictions', 'p', '--protocol', 'nyuv2_depth', '--data', 'd'
)  # fmt: skip


@pytest.mark.parametrize('name', config_lib.list_configs())
def test_every_config_loads_and_smokes(name):
  config = config_lib.load_config(f'{name}:smoke')
  assert config.model.size == 'smoke'
  assert config.is_locked
  assert sum(config.mixture.values()) > 0
  whole = config_lib.load_config(name)
  assert whole.to_dict().keys() == config.to_dict().keys()


def test_overrides_keep_the_type():
  config = config_lib.load_config('quickstart:tune')
  config_lib.apply_overrides(
    config,
    [
      '--config.seed=3',
      '--config.optim.learning_rate=1',
      '--config.init_from=a/b',
    ],
  )
  assert config.seed == 3
  assert config.optim.learning_rate == 1.0
  assert isinstance(config.optim.learning_rate, float)
  assert config.init_from == 'a/b'


@pytest.mark.parametrize(
  'override,says',
  [
    ('--config.sed=3', "did you mean 'seed'"),
    ('--config.optim.learning_rat=3', "did you mean 'learning_rate'"),
    ('--config.seed=many', 'cannot become'),
    ('--config.optim=3', r'a section.*--config\.optim\.\w+='),
    ('--config.mesh=3', r'a section.*--config\.mesh\.\w+='),
    ('--seed=3', 'unknown argument'),
    ('--config.seed', 'unknown argument'),
    ('--config.seed.deep=3', 'no key'),
  ],
)
def test_mistaken_overrides_are_named(override, says):
  config = config_lib.load_config('quickstart:tune')
  with pytest.raises(UserError, match=says) as caught:
    config_lib.apply_overrides(config, [override])
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  'argv,says',
  [
    (['train', '--config', 'nothing', '--workdir', 'w'], 'quickstart'),
    (['train', '--config', 'no/file.py', '--workdir', 'w'], 'no/file.py'),
    (['train', '--config', 'quickstart:tuna', '--workdir', 'w'], 'tuna'),
    (['evaluate', '--workdir', 'nowhere'], 'no checkpoint'),
    ([*TRAIN, '--config.image_size=60'], 'patches of 8'),
    ([*TRAIN, '--config.batch_size=0'], 'batch_size is 0'),
    ([*TRAIN, '--processes=2', '--process-id=0'], 'all of --coordinator'),
    ([*TRAIN, '--distributed', '--coordinator=a:1'], 'either --distributed'),
    ([*TRAIN, *TWO, '--process-id=2'], 'the last one is 1'),
    (
      [*TRAIN, '--processes=2', '--process-id=0', '--coordinator=a'],
      'HOST:PORT',
    ),
    (
      [*TRAIN, '--processes=2', '--process-id=0', '--coordinator=:80'],
      'HOST:PORT',
    ),
    (
      [*TRAIN, '--processes=2', '--process-id=1', '--coordinator=a:99999'],
      'HOST:PORT',
    ),
    ([*SCORE, '--distributed'], 'takes one process'),
    (['predict', 'x', '--exported=e', '--distributed'], 'takes one process'),
    (['report', '--workdir', 'nowhere'], 'results.json'),
    (['predict', 'x.jpg', '--task', 'depth'], 'quickstart.sh'),
    (['predict', 'x.jpg', '--task', 'dept'], 'choose of'),
    (['predict', 'x.jpg'], '--task'),
    (['predict', 'x.jpg', '--task', 'semantic'], '--classes'),
    (['predict', 'x.jpg', '--task', 'depth', '--prompt', 'x'], 'not take'),
    (['predict', 'x.jpg', '--task', 'edit', '--classes', 'x'], '--prompt'),
    (['predict', 'x', '--task', 'instance', '--classes', 'a,b'], 'one class'),
    (['predict', 'x', '--task', 'semantic', '--classes', 'a, a'], 'twice'),
    (['predict', 'x', '--task', 'depth', '--guidance', '2'], '--steps'),
    (['predict', '--prompt', 'x', '--guidance', 'nan'], 'a finite number'),
    (['predict', '--prompt', 'x', '--guidance=-3'], 'a finite number'),
    ([*TRAIN, '--config.seed=1', '--config.seed=2'], 'given twice'),
    (['report', '--protocols', '.'], 'no scores_*.json'),
    (['report', '--protocols', 'gone.json'], 'no such file'),
    (['predict', '--prompt', 'x', '--steps=0', '--guidance=2'], '--steps'),
    (['predict', '--prompt', 'x', '--guidance', '2'], 'quickstart.sh'),
    (['predict', 'x', '--task', 'depth', '--sampler', 'heun'], '--steps'),
    (['predict', '--prompt', 'x', '--sampler', 'rk4'], 'euler, heun'),
    (['train', '--config', 'base', '--workdir', 'w'], 'no config of'),
    (['prepare', 'image_folder', '--out', 'o'], 'needs the folder'),
    (['prepare', 'image_folder', 'gone', '--out', 'o'], 'gone'),
  ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
  argv, says, tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(networks, 'FOLDER', tmp_path)  # none comes with this one
  assert cli.main(argv) == 2
  error = capsys.readouterr().err
  assert says in error
  assert error.count('\n') == 1 and 'Traceback' not in error
  assert not any(tmp_path.iterdir())


@pytest.mark.parametrize('verb', ['train', 'evaluate', 'predict', 'prepare'])
def test_help_teaches(verb, capsys):
  with pytest.raises(SystemExit) as stopped:
    cli.main([verb, '--help'])
  assert stopped.value.code == 0
  assert '--' in capsys.readouterr().out


@pytest.mark.parametrize(
  'number, host, says',
  [
    (1, 'localhost', 'nobody answers at --coordinator localhost:{}'),
    (1, 'no.invalid', 'nobody answers at --coordinator no.invalid:{}'),
    (0, 'no.invalid', 'cannot be that of process 0'),
  ],
)
def test_a_first_process_that_is_not_there(
  number, host, says, monkeypatch, capsys
):
  monkeypatch.setattr(distributed, '_WAIT', 0)
  with socket.create_server(('localhost', 0)) as free:
    port = free.getsockname()[1]
  where = ('--processes=2', f'--coordinator={host}:{port}')
  assert cli.main([*TRAIN, *where, f'--process-id={number}']) == 2
  error = capsys.readouterr().err.splitlines()[-1]
  assert error.startswith('vbanana: ') and says.format(port) in error


def test_a_port_that_another_program_has(capsys):
  with socket.create_server(('', 0)) as taken:
    where = f'--coordinator=localhost:{taken.getsockname()[1]}'
    two = ('--processes=2', where, '--process-id=0')
    assert cli.main([*TRAIN, *two]) == 2
  assert 'a port that is free' in capsys.readouterr().err.splitlines()[-1]


def test_jax_keeps_sigterm_from_killing_where_somebody_asks(monkeypatch):
  kept = []

  def connect(**place):
    kept.append(jax.config.jax_enable_preemption_service)

  monkeypatch.setattr(jax.distributed, 'initialize', connect)
  monkeypatch.setattr(distributed, '_look_for_first', lambda *_, **__: None)
  monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
  two = [*TWO, '--process-id=1']
  assert cli.main(['evaluate', '--workdir', 'nowhere', *two]) == 2
  assert cli.main(['train', '--config', 'none', '--workdir', 'w', *two]) == 2
  assert kept == [False, True]


def test_others_who_never_come():
  code = (
    'import sys; from vbanana_jax import cli; '
    'from vbanana_jax.cli import distributed; '
    'distributed._WAIT = 1; cli.main(sys.argv[1:])'
  )
  with socket.create_server(('localhost', 0)) as free:
    where = f'--coordinator=localhost:{free.getsockname()[1]}'
  done = subprocess.run(
    [sys.executable, '-c', code, *TRAIN, where, *TWO[1:], '--process-id=0'],
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert done.returncode == 2
  _, line = done.stderr.splitlines()
  assert line.startswith('vbanana: not all processes of this run came together')


@pytest.mark.parametrize(
  'text, says',
  [
    ('def get_config(arg):\n  return 1 / 0\n', 'line 2: ZeroDivisionError'),
    ('def get_config(arg):\n  retrun 1\n', 'line 2: SyntaxError'),
    ('def get_config(arg):\n  return {}\n', 'returns a dict'),
    ('x = 1\n', 'get_config'),
  ],
)
def test_a_mistake_in_a_config_file_is_one_line(text, says, tmp_path, capsys):
  path = tmp_path / 'mine.py'
  path.write_text(text)
  argv = ['train', '--config', str(path), '--workdir', str(tmp_path / 'w')]
  assert cli.main(argv) == 2
  error = capsys.readouterr().err
  assert f'--config {path}' in error and says in error
  assert error.count('\n') == 1 and not (tmp_path / 'w').exists()


@pytest.mark.parametrize(
  'mixture, commands',
  [
    (
      {'generate': 1.0, 'semantic': 1.0, 'depth': 1.0},
      (
        'evaluate --workdir "runs/a b"',
        'predict photo.jpg --task depth --workdir "runs/a b"',
        'report --workdir "runs/a b"',
      ),
    ),
    (
      {'semantic@mine': 1.0, 'depth': 0.0},
      (
        'predict photo.jpg --task semantic --classes NAME,NAME '
        '--workdir "runs/a b"',
        'predict --protocol FILE --data FOLDER --workdir "runs/a b"',
      ),
    ),
    (
      {'generate': 1.0},
      (
        'evaluate --workdir "runs/a b"',
        'predict --task generate --prompt WORDS --workdir "runs/a b"',
        'report --workdir "runs/a b"',
      ),
    ),
  ],
)
def test_what_follows_a_training(mixture, commands):
  sources = {'scenes': {'kind': 'scenes'}, 'mine': {'kind': 'records'}}
  config = {'mixture': mixture, 'sources': sources}
  first, *lines = train.describe_next(
    config, pathlib.Path('runs/a b')
  ).splitlines()
  assert first == 'next:'
  found = [shlex.split(line) for line in lines]
  assert found == [shlex.split(f'vbanana {command}') for command in commands]
  for words in found:
    cli.build_parser().parse_args(words[1:])


@pytest.mark.parametrize('inside', ['checkpoints', 'checkpoints/12'])
def test_a_folder_inside_of_a_workdir_is_told_apart(inside, tmp_path, capsys):
  (tmp_path / 'checkpoints' / '12').mkdir(parents=True)
  (tmp_path / 'run.json').write_text('{}')
  argv = ['predict', 'x.jpg', '--task', 'depth', '--workdir']
  assert cli.main([*argv, str(tmp_path / inside)]) == 2
  says = f'name the workdir around it, {tmp_path}\n'
  assert says in capsys.readouterr().err
  config = ['--config', 'quickstart:smoke', '--workdir', str(tmp_path / 'w')]
  init_from = f'--config.init_from={tmp_path / inside}'
  assert cli.main(['train', *config, init_from]) == 2
  assert says in capsys.readouterr().err


def test_a_record_of_a_run_that_is_gone_is_named(tmp_path, capsys):
  (tmp_path / 'checkpoints' / '12').mkdir(parents=True)
  assert cli.main(['evaluate', '--workdir', str(tmp_path)]) == 2
  says = f'{tmp_path}/run.json: no such file: bring it back'
  assert says in capsys.readouterr().err


@pytest.mark.parametrize('text', ['{}', '[]', '3', '{"config": {}}'])
def test_a_spoilt_record_of_a_run_is_named(text, tmp_path, capsys):
  (tmp_path / 'run.json').write_text(text)
  (tmp_path / 'checkpoints' / '12').mkdir(parents=True)
  assert cli.main(['evaluate', '--workdir', str(tmp_path)]) == 2
  assert capsys.readouterr().err == (
    f'vbanana: {tmp_path}/run.json holds no config: bring it back from a copy\n'
  )
  with pytest.raises(UserError, match=r'run\.json holds no config'):
    provenance.load_run_json(tmp_path)


@pytest.mark.parametrize(
  'error',
  [
    RuntimeError("Unable to initialize backend 'foo': not known\nmore"),
    AssertionError(),
  ],
)
def test_a_platform_that_is_not_there_is_one_line(error, monkeypatch, capsys):
  def fail(*args):
    raise error

  monkeypatch.setattr('vbanana_jax.cli.config_flags.load', fail)
  monkeypatch.setattr('jax.devices', fail)
  monkeypatch.setattr('jax.config.update', lambda name, value: None)
  monkeypatch.setenv('JAX_PLATFORMS', 'foo,cpu')
  assert cli.main([*TRAIN]) == 2
  told = capsys.readouterr().err
  assert told.startswith(
    "vbanana: JAX_PLATFORMS is 'foo,cpu', and this machine"
  )
  assert told.count('\n') == 1
  monkeypatch.delenv('JAX_PLATFORMS')  # then it is no mistake of the user's
  with pytest.raises(type(error)):
    cli.main([*TRAIN])


def test_processes_of_one_run_ask_no_proxy(monkeypatch):
  monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')
  monkeypatch.setenv('HTTP_PROXY', 'http://127.0.0.1:9')
  seen = []

  def initialize(**settings):
    seen.extend(name for name in os.environ if 'proxy' in name.lower())
    raise RuntimeError('enough')

  monkeypatch.setattr('jax.distributed.initialize', initialize)
  args = argparse.Namespace(
    distributed=True, coordinator=None, processes=None, process_id=None
  )
  with pytest.raises(UserError, match='enough'):
    distributed.start(args, saves=False)
  assert not set(seen) & {'https_proxy', 'HTTP_PROXY'}
  assert os.environ['https_proxy'] == os.environ['HTTP_PROXY']


def test_the_bare_command_shows_its_help(capsys):
  assert cli.main([]) == 0
  assert 'VERB' in capsys.readouterr().out


def test_the_version_is_said(capsys):
  with pytest.raises(SystemExit) as ended:
    cli.main(['--version'])
  assert not ended.value.code
  assert capsys.readouterr().out == f'vbanana_jax {vbanana_jax.__version__}\n'


def list_parsers(parser, name='vbanana'):
  yield name, parser
  for action in parser._actions:
    if isinstance(action, argparse._SubParsersAction):
      for word, inner in action.choices.items():
        yield from list_parsers(inner, f'{name} {word}')


@pytest.mark.parametrize(
  'name, parser', [pair for pair in list_parsers(cli.build_parser())]
)
def test_every_help_says_the_defaults(name, parser):
  said = ' '.join(parser.format_help().split())
  for action in parser._actions:
    if action.default in (None, False, '', (), [], argparse.SUPPRESS):
      continue
    assert 'default' in (action.help or ''), f'{name} {action.dest}'
  assert '%(default)' not in said


def test_default_folders_are_ignored_by_git():
  ignored = pathlib.Path(cli.__file__).parents[2] / '.gitignore'
  lines = ignored.read_text().splitlines()
  for name, parser in list_parsers(cli.build_parser()):
    for action in parser._actions:
      if action.dest == 'out' and action.default is not None:
        assert f'/{action.default}/' in lines, name


@pytest.mark.parametrize(
  'argv',
  [
    ['report', '--workdir', 'a', '--workdir', 'b'],
    ['predict', 'x.png', '--task', 'depth', '--task', 'normals'],
    ['evaluate', '--workdir', 'a', '--level', 'quick', '--level', 'full'],
  ],
)
def test_a_flag_given_twice_is_refused(argv, capsys):
  with pytest.raises(SystemExit) as stopped:
    cli.main(argv)
  assert stopped.value.code == 2
  assert 'is given twice' in capsys.readouterr().err


@pytest.mark.parametrize(
  'words', ['semantic --classes a,b', 'instance', 'depth']
)
def test_a_question_is_worded_before_a_run_is_looked_for(
  words, tmp_path, capsys
):
  for argv in (
    f'predict x.png --workdir {tmp_path} --task {words}',
    f'export --workdir {tmp_path} --out {tmp_path}/o --task {words}',
  ):
    assert cli.main(argv.split()) == 2
    assert 'has no checkpoint' in capsys.readouterr().err
  argv = f'predict x.png --workdir {tmp_path} --task referring --prompt box'
  assert cli.main(argv.split()) == 2
  assert 'has no checkpoint' in capsys.readouterr().err
