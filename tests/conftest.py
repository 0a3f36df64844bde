"""Eight virtual CPU devices, and shapes checked where arrays are public.

VBANANA_TEST_PLATFORMS names other platforms than the CPU; '' is what JAX finds.
`XLA_FLAGS=--xla_cpu_max_isa=AVX2 bash launch/test.sh` tests as on a processor
without bfloat16 instructions: XLA compiles for AVX2, the library multiplies in
float32, and so do the processes that tests start.
"""

import os

from virtual_devices import add_flag

# Before jax is imported: it reads both when it makes its backend.
os.environ['XLA_FLAGS'] = add_flag(8)
os.environ['JAX_PLATFORMS'] = os.environ.get('VBANANA_TEST_PLATFORMS', 'cpu')

import pytest
from jaxtyping import install_import_hook

PROCESSORS = ('amx_bf16', 'avx512_bf16', 'avx2')
CHECKED = ('codecs', 'metrics', 'diffusion', 'klein', 'models.klein')
install_import_hook(
  [f'vbanana_jax.{name}' for name in CHECKED], 'beartype.beartype'
)


@pytest.fixture
def set_processor(monkeypatch, tmp_path):
  """Makes the library believe in a processor with these flags; XLA knows."""
  from vbanana_jax.models import numerics

  def set_flags(flags: str) -> None:
    info = tmp_path / 'cpuinfo'
    info.write_text(f'flags : fpu {flags}\n')
    monkeypatch.setattr(numerics, '_CPU_INFO', info)
    monkeypatch.delenv('XLA_FLAGS', raising=False)  # XLA has read it already

  return set_flags


@pytest.fixture(params=PROCESSORS)
def processor(request, set_processor):
  """One of each kind of processor in turn, by the flag that tells it."""
  set_processor(request.param)
  return request.param


@pytest.fixture(scope='module')
def quick_compilation():
  """For tests that compile much and compute little, children included.

  What was compiled this way rounds otherwise in its last digits. Neither it nor
  the scenes that it rendered may serve the modules that follow.
  """
  import jax

  from vbanana_jax.evaluation import held_out

  name = 'jax_disable_most_optimizations'
  before = jax.config.read(name)
  jax.config.update(name, True)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv(name.upper(), '1')
    yield
  jax.config.update(name, before)
  jax.clear_caches()
  held_out.open_held_out_scenes.cache_clear()


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


@pytest.fixture(scope='session')
def untrained_run(tmp_path_factory):
  """A workdir with a checkpoint of the smoke network; tests only read it."""
  from untrained import save_run

  workdir = tmp_path_factory.mktemp('untrained')
  save_run(workdir)
  return workdir
