"""Eight virtual CPU devices, and shapes checked where arrays are public.

VBANANA_TEST_PLATFORMS names other platforms than the CPU; '' is what JAX finds.
"""

import os

# Before jax is imported: it reads both when it makes its backend.
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=8'
)
os.environ['JAX_PLATFORMS'] = os.environ.get('VBANANA_TEST_PLATFORMS', 'cpu')

import pytest
from jaxtyping import install_import_hook

CHECKED = ('codecs', 'metrics', 'diffusion')
install_import_hook(
  [f'vbanana_jax.{name}' for name in CHECKED], 'beartype.beartype'
)


@pytest.fixture(scope='module')
def quick_compilation():
  """For tests that compile much and compute little."""
  import jax

  name = 'jax_disable_most_optimizations'
  before = jax.config.read(name)
  jax.config.update(name, True)
  yield
  jax.config.update(name, before)


@pytest.fixture
def bucket():
  """Objects by BUCKET/NAME: what gs:// paths name; see `bucket.Bucket`."""
  from bucket import open_bucket

  with open_bucket() as objects:
    yield objects


@pytest.fixture(scope='session')
def trainings(tmp_path_factory):
  """Starts trainings in processes of their own; see `trainings.Trainings`."""
  from trainings import Trainings

  trainings = Trainings(tmp_path_factory.mktemp('trainings'))
  yield trainings
  trainings.close()


@pytest.fixture(scope='session')
def whole_run(trainings, tmp_path_factory):
  """A workdir trained without interruption; tests only read it."""
  workdir = tmp_path_factory.mktemp('whole')
  code, error = trainings.run(workdir)
  assert code == 0, error
  return workdir


@pytest.fixture(scope='session')
def stopped_run(trainings, tmp_path_factory):
  """A workdir stopped by SIGTERM in step 5, and its last line on stderr."""
  workdir = tmp_path_factory.mktemp('stopped')
  code, error = trainings.run(workdir, fault='get_signal SIGTERM 5')
  assert code == 75, error
  return workdir, error.splitlines()[-1]
