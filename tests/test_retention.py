"""What the base paints is kept, painted again, and compared."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax import config as config_lib
from vbanana_jax import sharding
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import retention, run_examples, scored_runs
from vbanana_jax.training import weights
from vbanana_jax.training.state import TrainState, make_params

pytestmark = pytest.mark.usefixtures('quick_compilation')


def make_config(prompts='a room with a red sphere; a room', begins='base'):
  config = config_lib.load_config('quickstart:tune,smoke').to_dict()
  config['init_from'] = begins
  config['eval']['retention'] |= {'prompts': prompts}
  return config


@pytest.fixture(scope='module')
def network():
  """The tiny network, a mesh and weights that matter."""
  config = make_config()
  mesh = sharding.build_mesh(config['mesh'])
  model = weights.build_network(config, mesh)
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda x: jnp.asarray(0.1 * rng.standard_normal(x.shape, np.float32)),
    jax.eval_shape(lambda: make_params(model, size=32, seed=0)),
  )
  return model, mesh, params


def make_state(params, step=0):
  return TrainState(jnp.int32(step), None, params, None)


def test_only_what_began_from_weights_has_a_base():
  assert retention.list_prompts(make_config(begins='')) == []
  assert retention.list_prompts(make_config(prompts=' ; ')) == []
  prompts = retention.list_prompts(make_config())
  assert prompts == ['a room with a red sphere', 'a room']


def test_the_base_is_kept_and_what_follows_is_compared(
  network, tmp_path, capsys
):
  model, mesh, params = network
  config = make_config()
  prompts = retention.list_prompts(config)
  kept_by = retention.Retention(config, prompts, model, mesh, tmp_path)
  kept_by.begin(make_state(params))
  found, _ = kept_by.run(make_state(params, 1))
  kept = retention.load_kept(tmp_path)
  assert kept.before.shape == (2, 32, 32, 3)
  assert np.ptp(kept.before) > 100
  assert found == {'retention/distance': 0.0, 'retention/loss': kept.loss}

  # A run that goes on reads the base, and does not paint it again.
  other = jax.tree.map(lambda x: 0.5 * x, params)
  kept_by.begin(make_state(other, 2))
  found, beside = kept_by.run(make_state(other, 3))
  again = retention.load_kept(tmp_path)
  np.testing.assert_array_equal(again.before, kept.before)
  assert found['retention/distance'] > 0.01
  assert found['retention/distance'] == pytest.approx(
    np.abs(again.after / 255 - kept.before / 255).mean()
  )
  assert found['retention/loss'] != kept.loss and int(again.step) == 3
  assert beside.shape == (64, 64, 3)

  # The report of the workdir shows both, and says how far they are apart.
  run = scored_runs.ScoredRun('a', tmp_path, {}, {}, {'tune': tmp_path})
  shown, told = run_examples.make_kept_rows([run])
  rows = shown['retention training']
  assert [row.prompt for row in rows] == prompts
  assert list(rows[0].answers['']) == ['base', 'step 3']
  assert f'{found["retention/loss"]:.4g} now' in told['retention training']
  two = [run, scored_runs.ScoredRun('b', tmp_path, {}, {}, {'tune': tmp_path})]
  shown, told = run_examples.make_kept_rows(two)
  assert list(shown['retention training'][0].answers) == ['a', 'b']
  assert 'b: mean distance' in told['retention training']

  # Pictures of other settings are not compared with.
  kept_by = retention.Retention(config, prompts[:1], model, mesh, tmp_path)
  kept_by.begin(make_state(params, 4))
  assert kept_by.run(make_state(params, 5))[0] == {}
  assert 'painted with other settings' in capsys.readouterr().err


def test_a_prompt_that_is_too_long_is_told_before_the_first_step(
  network, tmp_path
):
  model, mesh, params = network
  config, prompts = make_config(), ['a room with a red sphere' * 60]
  kept = retention.Retention(config, prompts, model, mesh, tmp_path)
  with pytest.raises(UserError, match=r'tokens'):
    kept.begin(make_state(params))
  assert not list(tmp_path.iterdir())
