"""From words, noise and pictures to pictures, as the published pipeline."""

import jax
import jax.numpy as jnp
import klein_files
import numpy as np
import pytest
from klein_files import channels_last, error

from vbanana_jax.diffusion import schedules
from vbanana_jax.errors import UserError
from vbanana_jax.klein import pictures, sampling

pytestmark = pytest.mark.usefixtures('quick_compilation')
CASES = klein_files.load_json('pipeline')['cases']
GOLDEN = klein_files.load_cases('pipeline')
TOLERANCE = 5e-4


def prepare(case):
  """Prompts, noise and references of a case, and the golden arrays."""
  golden, prompts = GOLDEN[case['name']], case['prompt']
  prompts = [prompts] if isinstance(prompts, str) else prompts
  pipeline = klein_files.open_pipeline()
  token_px = pipeline.snapshot.parts['vae'].network.config.token_px
  references = []
  for number in range(case['images']):
    picture = pictures.prepare_reference(golden[f'image.{number}'], token_px)
    references.append(jnp.stack([picture] * len(prompts)))
  return prompts, channels_last(golden['noise']), references, golden


@pytest.mark.parametrize('case', CASES, ids=lambda case: case['name'])
def test_every_step_equals_the_published_one(case):
  prompts, z, references, golden = prepare(case)
  pipeline = klein_files.open_pipeline()
  sigmas = schedules.sampling_sigmas(z[0, ..., 0].size, case['steps'])
  assert error(sigmas, golden['sigmas']) < 1e-6
  text = pipeline.encode_prompts(prompts)
  if case['guidance'] > 1:
    untold = jnp.repeat(pipeline.encode_prompts(['']), len(prompts), axis=0)
    text = jnp.concatenate([text, untold])
  encoded = [pipeline.encode_picture(picture) for picture in references]
  for step, wanted in enumerate(golden['path']):
    levels = sigmas[step : step + 2]
    z = pipeline.sample(z, text, encoded, levels, case['guidance'])
    assert error(z, wanted.reshape(z.shape)) < TOLERANCE


def test_pictures_equal_the_published_ones():
  cases = [case for case in CASES if 'picture' in GOLDEN[case['name']]]
  assert cases
  for case in cases:
    prompts, noise, references, golden = prepare(case)
    painted = klein_files.open_pipeline().generate(
      prompts,
      noise,
      references,
      steps=case['steps'],
      guidance=case['guidance'],
    )
    assert error(painted, golden['picture']) < TOLERANCE


@pytest.mark.parametrize('steps', [1, 3])
def test_a_straight_flow_ends_where_it_goes(steps):
  noise, x = jax.random.normal(jax.random.key(0), (2, 2, 5, 3))
  ends = sampling.integrate(
    lambda z, sigma: (z - x) / sigma[:, None, None],
    noise,
    jnp.asarray(schedules.sampling_sigmas(5, steps)),
  )
  np.testing.assert_allclose(ends, x, atol=1e-6)


def test_guidance_goes_beyond_the_prompt():
  told, untold = jax.random.normal(jax.random.key(0), (2, 2, 5, 3))
  velocity = sampling.guide(
    lambda z, sigma: jnp.concatenate([told, untold]), 4.0
  )
  guided = velocity(told, jnp.ones(2))
  np.testing.assert_allclose(guided, 4 * told - 3 * untold, atol=1e-5)


def test_a_prompt_that_is_too_long_is_refused():
  pipeline = klein_files.open_pipeline()
  with pytest.raises(UserError, match='shorten it'):
    pipeline.encode_prompts(['word ' * pipeline.text_length])
