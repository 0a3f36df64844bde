"""Flags, overrides and exit codes; nothing is trained here."""

import pytest

from vbanana_jax import cli
from vbanana_jax import config as config_lib
from vbanana_jax.errors import UserError

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
    ('--config.optim=3', 'cannot become'),
    ('--seed=3', 'unknown argument'),
    ('--config.seed', 'unknown argument'),
    ('--config.seed.deep=3', 'no key'),
  ],
)
def test_mistaken_overrides_are_named(override, says):
  config = config_lib.load_config('quickstart:tune')
  with pytest.raises(UserError, match=says):
    config_lib.apply_overrides(config, [override])


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
    ([*SCORE, '--distributed'], 'takes one process'),
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
    (['predict', '--prompt', 'x', '--steps=0', '--guidance=2'], '--steps'),
    (['predict', '--prompt', 'x', '--guidance', '2'], 'quickstart.sh'),
    (['train', '--config', 'base', '--workdir', 'w'], 'get_config'),
    (['prepare', 'image_folder', '--out', 'o'], 'needs the folder'),
    (['prepare', 'image_folder', 'gone', '--out', 'o'], 'gone'),
  ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
  argv, says, tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
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
