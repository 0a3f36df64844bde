"""Text states made ahead: where they are found, and what is refused."""

import json
import pathlib

import jax
import jax.numpy as jnp
import klein_files
import numpy as np
import pytest

from vbanana_jax import cli, errors, families, models, sharding, text_cache
from vbanana_jax.config import load_config
from vbanana_jax.data import text_states
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import periodic
from vbanana_jax.inference.sampling import make_text_encoder
from vbanana_jax.models import numerics
from vbanana_jax.plan import programs
from vbanana_jax.runtime import array_cache, paths, workdir_lock
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import setup, weights
from vbanana_jax.training.optim import build_optimizer
from vbanana_jax.training.state import make_params

pytestmark = pytest.mark.usefixtures('quick_compilation')
ABOUT = {'encoder': 'a', 'shape': [2, 3], 'dtype': 'bfloat16'}
EXACT = models.Precision()
TEXT = 256


@pytest.fixture(scope='module')
def snapshot(tmp_path_factory):
  return klein_files.make_import(tmp_path_factory.mktemp('import') / 'klein')


@pytest.fixture
def config(snapshot, tmp_path):
  """Of a tiny training with a cache that is not there yet."""
  config = load_config('klein_lora:smoke').to_dict()
  section = {'snapshot': str(snapshot), 'max_text': TEXT}
  config['model'] |= section | {'text_cache': str(tmp_path / 'cache')}
  config['model']['lora']['rank'] = 2
  config['data']['text_length'] = TEXT
  config['sources']['scenes']['level'] = 'quick'
  return config


def open_cache(folder, **changes):
  return array_cache.ArrayCache(folder, {**ABOUT, **changes})


def test_arrays_are_found_by_their_text_alone(tmp_path):
  cache = open_cache(tmp_path / 'cache')
  cache.save_index()
  array = np.arange(6, dtype=np.float32).reshape(2, 3)
  cache.save('a red box', array)
  again = open_cache(tmp_path / 'cache')
  assert again.has('a red box') and not again.has('a blue box')
  np.testing.assert_array_equal(again.load('a red box'), array)
  assert again.load('a red box').dtype == jnp.bfloat16
  assert again.load('a blue box') is None
  # What another encoder made is not found, and is refused before.
  with pytest.raises(UserError, match=r'another dtype, encoder \(dtype is bf'):
    open_cache(tmp_path / 'cache', encoder='b', dtype='float32')
  (tmp_path / 'cache' / array_cache.INDEX).unlink()
  assert not open_cache(tmp_path / 'cache', encoder='b').has('a red box')


@pytest.mark.parametrize('damage', [lambda d: d[:-1], lambda d: b'x' + d[1:]])
def test_a_damaged_array_is_named(damage, tmp_path):
  cache = open_cache(tmp_path)
  cache.save('a', np.ones((2, 3)))
  (path,) = tmp_path.glob('??/*')
  path.write_bytes(damage(path.read_bytes()))
  with pytest.raises(UserError, match=f'{path.name} is damaged: remove it'):
    cache.load('a')


def test_an_index_that_is_none_is_named(tmp_path):
  for content in ('[]', '{', '{}'):
    (tmp_path / array_cache.INDEX).write_text(content)
    with pytest.raises(UserError, match=r'cache\.json cannot be understood'):
      open_cache(tmp_path)


def test_parts_that_touch_become_one(tmp_path):
  cache = open_cache(tmp_path)
  for part, whole in (
    (range(4), range(4)),
    (range(4, 8), range(8)),
    (range(2, 6), range(8)),
    (range(20, 24), range(20, 24)),  # what lies between is not known
  ):
    cache.mark_filled('s', part)
    assert open_cache(tmp_path).find_filled('s') == whole
  assert cache.find_filled('other') == range(0)


def test_the_last_step_is_the_last_whole_one(config):
  states = text_states.open_states(config, EXACT)
  stream = text_states.describe_stream(config)  # of batches of 8

  def find(start, part, **data):
    states.cache.mark_filled(stream, part)
    told = {**config, 'data': {**config['data'], **data}}
    return states.find_last_step(told, start, 12)

  assert find(0, range(23)) == 2
  assert find(2, range(23, 40)) == 5
  assert find(0, range(0, 960)) == 12
  assert find(12, range(0, 960)) == 12
  # Steps that are sorted together end together.
  states.cache.mark_filled(stream, range(2000, 2001))
  assert find(0, range(88), short_text_length=60) == 8
  with pytest.raises(UserError, match='of the examples from 80 on'):
    find(10, range(88), short_text_length=60)
  other = {**config, 'seed': 1}
  with pytest.raises(UserError, match='of the examples from 0 on'):
    states.find_last_step(other, 0, 12)


def test_an_instruction_that_is_missing_is_named(config):
  with pytest.raises(UserError, match=r"cache has no text states of 'a red bo"):
    text_states.open_states(config, EXACT).load('a red box')


@pytest.mark.parametrize(
  'change', [{'max_text': 300}, {'dtype': 'bfloat16'}, {'text_encoder': 'f'}]
)
def test_states_of_another_kind_are_refused(change, config, monkeypatch):
  text_states.open_states(config, EXACT).cache.save_index()
  family = type(families.FAMILIES['klein'])
  describe = family.describe_memory
  monkeypatch.setattr(
    family, 'describe_memory', lambda *args: {**describe(*args), **change}
  )
  name = next(iter(change))
  with pytest.raises(UserError, match=f'filled with another {name}'):
    text_states.open_states(config, EXACT)


def test_a_network_of_pixels_has_no_text_encoder_to_spare():
  config = load_config('quickstart:smoke').to_dict()
  config['model']['text_cache'] = 'cache'
  with pytest.raises(UserError, match="text_cache is 'cache': only the family"):
    weights.build_network(config, trained=True)


def test_the_step_holds_nothing_of_the_text_encoder(config):
  mesh = sharding.build_mesh()
  model = weights.build_network(config, mesh, trained=True)
  optimizer = build_optimizer(config['optim'], 6, model.precision, mesh)
  state = setup.make_abstract_state(config, model, optimizer, mesh)
  assert set(state.weights) == {'lora', 'transformer', 'vae'}
  section = config['model']
  about = families.FAMILIES['klein'].describe_memory(section, model.precision)
  row = programs.make_row(config['image_size'], TEXT)
  row['memory'] = np.zeros((1, *about['shape']), about['dtype'])
  split = sharding.batch_sharding(mesh)
  batch = {
    key: jax.ShapeDtypeStruct((8, *x.shape[1:]), x.dtype, sharding=split)
    for key, x in row.items()
  }
  step = setup.jit_train_step(config, model, optimizer, mesh, state, 5)
  found = step.lower(state, batch)
  text = klein_files.open_snapshot().parts['text_encoder'].network.config
  table = f'{text.vocab_size}x{text.width}x'
  assert table not in found.as_text()
  # The whole network has that table.
  whole = weights.build_network(config, mesh)
  params = jax.eval_shape(lambda: make_params(whole, size=32, seed=0))
  assert params['text_encoder']['table'].shape == (text.vocab_size, text.width)


def test_scores_while_training_are_those_of_the_whole_network(
  config, monkeypatch
):
  monkeypatch.setattr(numerics, '_cpu_has_bf16', lambda: False)
  config['mixture'] = {'depth': 1.0}
  config['eval'] |= {'every': '50 percent', 'watch': 2}
  mesh = sharding.build_mesh({'replica': 8, 'fsdp': 1, 'tensor': 1})
  whole = weights.build_network(config, mesh)
  params = make_params(whole, size=config['image_size'], seed=0)
  tasks = [TASKS['depth']]
  states = text_states.open_states(config, whole.precision)
  encode = jax.jit(make_text_encoder(whole))
  tokenizer = families.load_tokenizer(config)
  for prompt in periodic.list_prompts(config, tasks):
    tokens = tokenizer.encode(prompt, TEXT)[None]
    states.cache.save(prompt, np.asarray(encode(params, tokens)))

  def score(told, trained):
    network = weights.build_network(config, mesh, trained=trained)
    evals = periodic.build_periodic_eval(
      config, tasks, network, mesh, 6, pathlib.Path('unused'), told
    )
    ((evaluator, batches),) = evals.evaluations
    kept = {k: v for k, v in params.items() if told is None or 'text' not in k}
    batches = [evals._tell(batch) for batch in batches]
    return evaluator.measure(kept, batches)[1]

  painted = score(states, trained=True)
  np.testing.assert_allclose(painted, score(None, trained=False), atol=1e-5)
  config['eval']['protocols'] = 'nyuv2_depth=gone'
  with pytest.raises(UserError, match=r'eval\.protocols asks what'):
    score(states, trained=True)


def test_a_listing_goes_on_and_no_room_is_named(config, monkeypatch, tmp_path):
  monkeypatch.setattr(paths, 'get_free_bytes', lambda folder: 1000.0)
  config['mesh'] |= {'replica': -1, 'fsdp': 1}
  told = []

  def fill():
    def start(total):
      told.append([total])
      return told[-1].append

    text_cache.fill(
      config,
      range(3),
      start_listing=start,
      start_encoding=start,
      tell=told.append,
    )

  for _ in range(2):
    with pytest.raises(errors.DiskFullError, match=r'GB are free: make room'):
      fill()
  (listed,) = (tmp_path / 'cache').glob('listed-*.jsonl')
  assert len(json.loads(listed.read_text())) == 3
  assert told[0] == [3, 0, 3] and told[2] == [3, 3]
  assert told[1].examples == 3 and len(told[1].missing) == told[1].prompts
  assert not list((tmp_path / 'cache').glob('??/*'))


def test_two_do_not_fill_one_folder(config, tmp_path):
  config['mesh'] |= {'replica': -1, 'fsdp': 1}

  def fill():
    nothing = {'start_listing': None, 'start_encoding': None, 'tell': None}
    text_cache.fill(config, range(3), **nothing)

  folder = tmp_path / 'cache'
  with workdir_lock.hold_out(folder):
    with pytest.raises(UserError, match=r'by another .*, or name another fo'):
      fill()
  (tmp_path / 'file').touch()
  config['model']['text_cache'] = str(tmp_path / 'file' / 'cache')
  with pytest.raises(UserError, match='cannot write into'):
    fill()


@pytest.mark.parametrize(
  'args, says',
  [
    (['--examples=3'], 'is not as 0:10000'),
    (['--examples=3:3'], 'holds no example'),
  ],
)
def test_parts_of_examples_are_two_numbers(args, says, capsys):
  with pytest.raises(SystemExit):
    cli.main(['cache', '--config=klein_lora', *args])
  assert says in capsys.readouterr().err
