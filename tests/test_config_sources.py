"""Sources and tasks meet in the config: by any names, refused where wrong."""

import json
import pathlib
import shutil

import pytest
from labeled_rows import LabeledRows

from vbanana_jax import config as config_lib
from vbanana_jax.cli import config_flags
from vbanana_jax.configs import base
from vbanana_jax.data import build, encoder, kinds, pairings, stream
from vbanana_jax.errors import UserError
from vbanana_jax.inference import predictor, request
from vbanana_jax.runtime import processes
from vbanana_jax.tasks.prompt_styles import FULL, QUICK
from vbanana_jax.training import provenance

NEW = '--config.sources.mine.kind=records'


def load(*overrides):
  return config_flags.load('quickstart:smoke', list(overrides))


def test_a_new_source_and_its_weight_come_from_the_command_line():
  config = load(
    '--config.sources.mine.path=data/mine',  # before its kind, too
    '--config.sources.mine.augment.crop_scale=0.5,1',
    '--config.sources.mine.augment.flip=0.5',
    '--config.mixture.semantic@mine=3',
    NEW,
    '--config.mixture.albedo=0.5',
    '--config.sources.scenes.level=full',
  )
  defaults = base.SOURCES['records']
  augment = {**defaults['augment'], 'crop_scale': (0.5, 1.0), 'flip': 0.5}
  mine = {'kind': 'records', 'path': 'data/mine', 'augment': augment}
  assert config['sources'] == {
    'mine': {**defaults, **mine},
    'scenes': {'kind': 'scenes', 'level': 'full', 'textures': ''},
  }
  assert config['mixture']['semantic@mine'] == 3.0
  assert config['mixture']['albedo'] == 0.5


def test_the_config_of_the_page_needs_no_other_run(tmp_path):
  page = pathlib.Path(__file__).parents[1] / 'docs' / 'write_a_config.md'
  path = tmp_path / 'my_depth.py'
  code = page.read_text().split('```python\n')[1].partition('```')[0]
  path.write_text(code)
  config = config_flags.load(f'{path}:smoke', [])
  assert pairings.find_tasks(config) == ['depth', 'normals']
  assert not config['init_from'] and config['model']['size'] == 'smoke'


def test_another_kind_has_other_settings():
  config = load(
    '--config.sources.scenes.kind=records', '--config.sources.scenes.path=a'
  )
  scenes = config['sources']['scenes']
  assert scenes['path'] == 'a' and 'level' not in scenes


@pytest.mark.parametrize(
  'overrides, says',
  [
    (['--config.sources.mine.path=a'], "no source 'mine': a new one"),
    (['--config.sources.scene.level=full'], "mean 'scenes', or a new one"),
    (['--config.sources.mine.kind=record'], 'a kind of scenes, records, tfds'),
    ([NEW, '--config.sources.mine.pth=a'], "did you mean 'path'"),
    (['--config.sources.a-b.kind=records'], 'are letters, digits and _'),
    (['--config.sources=a'], 'is a section'),
    ([NEW, '--config.sources.mine=a'], 'is a section'),
    (['--config.mixture.depth@mine=1'], r"config\.sources has no 'mine'"),
    ([NEW, '--config.mixture.depth@mein=1'], "did you mean 'mine'"),
    ([NEW, '--config.mixture.dept@mine=1'], "task 'dept', did you mean 'depth"),
    (['--config.mixture.dept=1'], "did you mean 'depth'"),
    ([NEW, '--config.mixture.depth@mine=much'], "cannot become 'much'"),
    ([NEW, '--config.sources.mine.augment=1'], 'is a section'),
    ([NEW, '--config.sources.mine.augment.flips=1'], "did you mean 'flip'"),
    ([NEW, '--config.sources.mine.augment.crop_scale=a'], "cannot become 'a'"),
  ],
)
def test_mistakes_on_the_command_line_are_one_line(overrides, says):
  with pytest.raises(UserError, match=says) as caught:
    load(*overrides)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  'source, says',
  [
    ({'path': 'a'}, r'sources\.mine has no kind: choose a kind of'),
    ({'kind': 'photos'}, "kind is 'photos': choose a kind of scenes, records"),
    ({'kind': 'records', 'paths': 'a'}, "setting 'paths'.*did you mean 'path'"),
    ({'kind': 'records', 'path': 3}, "path is 3, and has to be like ''"),
    (
      {'kind': 'records', 'augment': {'flips': 1}},
      r"mine\.augment has no setting 'flips'; did you mean 'flip'",
    ),
    ({'kind': 'records', 'augment': 1}, 'augment is 1, and has to be like'),
  ],
)
def test_mistakes_in_a_config_file_are_one_line(tmp_path, source, says):
  path = tmp_path / 'mine.py'
  path.write_text(
    'from vbanana_jax.configs import base\n'
    'def get_config(arg):\n'
    '  config = base.get_base()\n'
    f'  config.sources.mine = {source!r}\n'
    '  return config\n'
  )
  with pytest.raises(UserError, match=says):
    config_lib.load_config(str(path))


def test_a_config_file_need_not_give_every_setting(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text(
    'from vbanana_jax.configs import base\n'
    'def get_config(arg):\n'
    '  config = base.get_base()\n'
    "  config.sources.mine = {'kind': 'records', 'path': 'a'}\n"
    "  config.mixture['depth@mine'] = 1.0\n"
    '  return config\n'
  )
  config = config_flags.load(str(path), ['--config.sources.mine.style=quick'])
  assert config['sources']['mine'] == {
    **base.SOURCES['records'], 'kind': 'records', 'path': 'a', 'style': 'quick',
  }  # fmt: skip
  with pytest.raises(ValueError, match="'pth' is no setting of 'records'"):
    base.make_source('records', pth='a')
  with pytest.raises(ValueError, match="no kind 'photos'"):
    base.make_source('photos')


def test_a_path_that_is_not_set_is_one_line():
  config = load(NEW, '--config.mixture.generate@mine=1')
  with pytest.raises(UserError, match=r'mine\.path is not set.*prepare KIND'):
    build.build_mixture(config)


@pytest.mark.parametrize(
  'name', ['captions', 'own_classes', 'own_depth', 'referring', 'pod_public']
)
def test_configs_of_labeled_data_say_which_folder_is_missing(name, tmp_path):
  for arg in ('', ':smoke'):
    config = config_flags.load(name + arg, [])
    with pytest.raises(UserError, match=r'sources\.(\w+)\.path is not set'):
      build.build_mixture(config)
  real = [
    name for name, source in config['sources'].items()
    if source['kind'] != pairings.SCENES
  ]  # fmt: skip
  paths = [f'--config.sources.{name}.path={tmp_path}/gone' for name in real]
  with pytest.raises(UserError, match='gone: not a prepared folder'):
    build.build_mixture(config_flags.load(name, paths))
  for pairing in pairings.list_pairings(config):
    style = pairings.make_style(config, pairing.source)
    assert style.entries[0] <= style.entries[1]


@pytest.fixture
def opened(monkeypatch):
  """Sources on disk are rows in memory, with labels by the source's name."""

  def open_source(name, settings, size, needs):
    keys = {
      'all': LabeledRows.ALL,
      'captioned': {'rgb', 'captions'},
      'measured': {'rgb', 'depth_m', 'normals'},
      'ids': {'rgb', 'semantic', 'instance'},
    }[name]
    if settings['path'] == 'gone':
      raise UserError('gone: not a prepared folder')
    return LabeledRows(size, keys=keys, name='rows')

  monkeypatch.setattr(kinds, 'open_source', open_source)


def load_opened(*keys, **paths):
  """Weights of 1 for some keys of the mixture, and the sources they need."""
  names = {key.partition('@')[2] for key in keys} | paths.keys()
  overrides = [f'--config.sources.{name}.kind=records' for name in names]
  overrides += [
    f'--config.sources.{name}.path={path}' for name, path in paths.items()
  ]
  overrides += [f'--config.mixture.{key}=1' for key in keys]
  return load(*overrides)


@pytest.mark.parametrize(
  'key, paths, says',
  [
    (
      'depth@captioned',
      {},
      'depth needs depth_m, and the source captioned has captions, rgb: it '
      'could train generate; depth could learn from scenes',
    ),
    (
      'depth@captioned',
      {'measured': 'a', 'all': 'gone'},
      'could learn from (measured, scenes|scenes, measured)$',
    ),
    ('semantic@ids', {}, 'needs classes, and .* train generate, instance;'),
    ('edit@measured', {}, 'train generate, depth, normals; edit could learn'),
    ('referring@ids', {'all': 'a'}, 'needs phrases.* learn from .*all'),
    ('albedo@all', {}, 'needs albedo, and'),
  ],
)
def test_a_source_that_lacks_what_a_task_needs_is_refused(
  opened, key, paths, says
):
  with pytest.raises(UserError, match=says) as caught:
    build.build_mixture(load_opened(key, **paths))
  assert str(caught.value).startswith(f'config.mixture.{key}: ')
  assert '\n' not in str(caught.value)


def test_tasks_of_a_source_share_its_rows_and_each_has_its_style(opened):
  config = load_opened('semantic@all', 'depth@all', 'generate@captioned')
  config['sources']['all'].update(style='quick', most_classes=7)
  mixed = build.build_mixture(config)
  real = [e for e in mixed.entries if not e.source.endless]
  assert [(e.task.name, e.source.name) for e in real] == [
    ('depth', 'all'), ('generate', 'captioned'), ('semantic', 'all'),
  ]  # fmt: skip
  assert real[0].source is real[2].source
  assert real[0].style.entries == (1, 7)
  assert real[0].style.most_tokens == config['model']['max_text']
  settings = stream.make_settings(config, batch_size=16)
  batches = stream.build_stream(mixed, settings, end_step=8)
  seen = {int(task) for batch in batches for task in batch['task']}
  assert seen == set(range(len(mixed.tasks)))


def test_the_order_and_bad_records_go_by_the_name_in_the_config(opened):
  first, second = (
    encoder.Reader(entry.source, 0)
    for entry in build.build_mixture(
      load_opened('depth@all', 'depth@measured')
    ).entries
    if not entry.source.endless
  )
  rows = [[r.read(k, k)['index'] for k in range(10)] for r in (first, second)]
  assert rows[0] != rows[1] and sorted(rows[0]) == sorted(rows[1])


def test_words_of_a_source_that_cannot_be_are_refused():
  for override, says in (
    ('style=fulll', "style is 'fulll': choose of quick, full, numbers"),
    ('least_classes=0', 'least_classes is 0 and most_classes 20'),
    ('least_classes=21', 'least_classes is 21 and most_classes 20'),
    ('class_balance=1.5', 'class_balance is 1.5'),
  ):
    config = load(
      NEW, f'--config.sources.mine.{override}', '--config.mixture.depth@mine=1'
    )
    with pytest.raises(UserError, match=says):
      pairings.make_style(config, 'mine')


def test_a_source_without_a_weight_is_said_and_not_opened(monkeypatch):
  told = []
  monkeypatch.setattr(processes, 'log', told.append)
  config = load(NEW, '--config.sources.mine.path=nowhere')
  build.build_mixture(config)
  (line,) = told
  assert 'config.sources.mine is not used' in line and '@mine=1' in line


def test_sources_of_scenes_never_draw_the_same():
  config = load(
    '--config.sources.other.kind=scenes',
    '--config.mixture.depth@other=1',
    '--config.mixture.edit@other=1',
  )
  mixed = build.build_mixture(config)
  seeds = {}
  for entry in mixed.entries:
    seeds.setdefault(id(entry.source), entry.source.seed)
  assert len(set(seeds.values())) == len(seeds) == 4
  described = build.describe_data(config)['sources']
  assert set(described) == {'other', 'scenes'}
  for source in described.values():
    assert {source['seed'], source['edit_seed']} <= set(seeds.values())


def test_where_a_task_is_learned():
  config = load(
    NEW,
    '--config.sources.mine.style=quick',
    '--config.sources.hard.kind=scenes',
    '--config.sources.hard.level=full',
    '--config.mixture.albedo@mine=1',
    '--config.mixture.depth@mine=9',
    '--config.mixture.normals@hard=50',
  )
  assert 'albedo' in pairings.find_tasks(config)
  drawn = pairings.find_tasks(config, pairings.SCENES)
  assert 'albedo' not in drawn and 'depth' in drawn
  assert pairings.find_level(config) == 'full'
  assert pairings.find_style(config, 'depth').colors == QUICK.colors
  assert pairings.find_style(config, 'depth').entries == (1, 20)
  assert pairings.find_style(config, 'normals') == FULL
  assert pairings.find_style(config, 'referring') == QUICK
  config['sources'] = {'mine': config['sources']['mine']}
  config['mixture'] = {'depth@mine': 1.0}
  assert pairings.find_level(config) == 'quick'


def test_a_run_of_an_earlier_version_is_refused_in_one_line(tmp_path):
  config = {'data': {'level': 'quick', 'photos': ''}, 'mixture': {'depth': 1.0}}
  (tmp_path / 'run.json').write_text(json.dumps({'config': config}))
  with pytest.raises(UserError, match='of an earlier version') as caught:
    provenance.load_run_json(tmp_path)
  assert '\n' not in str(caught.value)


def drop(folder, name, key):
  """Removes a setting of a source from a run's record, as if it were older."""
  path = folder / 'run.json'
  run = json.loads(path.read_text())
  del run['config']['sources'][name][key]
  path.write_text(json.dumps(run))


@pytest.mark.parametrize('kind', base.SOURCES)
def test_settings_newer_than_a_run_have_their_defaults(kind, tmp_path):
  config = load(f'--config.sources.mine.kind={kind}')
  for key, default in base.SOURCES[kind].items():
    (tmp_path / 'run.json').write_text(json.dumps({'config': config}))
    drop(tmp_path, 'mine', key)
    found = provenance.load_run_json(tmp_path)['config']
    assert found == config and found['sources']['mine'][key] == default


def test_a_run_older_than_a_setting_can_be_asked(untrained_run, tmp_path):
  shutil.copytree(untrained_run, tmp_path, dirs_exist_ok=True)
  run = json.loads((tmp_path / 'run.json').read_text())
  run['config'] |= load(NEW, '--config.mixture.semantic@mine=1')
  (tmp_path / 'run.json').write_text(json.dumps(run))
  drop(tmp_path, 'mine', 'class_balance')
  asked = request.PredictRequest('semantic', classes=('wall', 'floor'))
  prepared = predictor.Predictor(tmp_path).prepare(asked)
  assert prepared.question.names == ('wall', 'floor')


def test_a_run_newer_than_this_version_is_refused_in_one_line(tmp_path):
  config = load(NEW)
  config['sources']['mine']['later'] = 1
  (tmp_path / 'run.json').write_text(json.dumps({'config': config}))
  with pytest.raises(UserError, match=r"no setting 'later'.* use the version "):
    provenance.load_run_json(tmp_path)
