"""What the doctor says of a snapshot: pass or fail, line by line."""

import json
import shutil

import jax
import jax.numpy as jnp
import klein_files
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from vbanana_jax import cli
from vbanana_jax.klein import doctor, findings, published, round_trip

pytestmark = pytest.mark.usefixtures('quick_compilation')
STATES = ','.join(map(str, klein_files.states()))
VAE = 'vae/diffusion_pytorch_model.safetensors'


def run(*words):
  return cli.main(['doctor', 'klein', *map(str, words), '--states', STATES])


def lines(text):
  return {row['about']: row for row in json.loads(text)}


def test_every_line_passes_or_fails(tmp_path, capsys):
  """Random networks fail where a trained one is known by its numbers."""
  copy = shutil.copytree(klein_files.SNAPSHOT, tmp_path / 'snapshot')
  tensors = safetensors.numpy.load_file(copy / VAE)
  tensors['bn.running_var'] = np.full_like(tensors['bn.running_var'], 3.0)
  safetensors.numpy.save_file(tensors, copy / VAE)
  y, x = np.mgrid[:64, :64]
  photo_u8 = np.stack([x, y, x + y], -1).astype(np.uint8)
  Image.fromarray(photo_u8).save(tmp_path / 'photo.png')
  words = (copy, '--size', 64, '--photo', tmp_path / 'photo.png', '--json')
  assert run(*words) == 2
  found = lines(capsys.readouterr().out)
  for name in ('transformer', 'vae', 'text_encoder'):
    assert found[f'{name}: names, shapes and types']['passed']
  assert found[f'{VAE}: SHA-256']['passed']
  assert found['vae: running variance of the latents']['passed']
  assert not found['painted masks, decoded: mIoU']['passed']
  assert found['the photograph through the autoencoder']['value'] < 25
  assert found['nine published pixels']['passed'] is None
  for name in ('transformer', 'text_encoder'):
    logit = found[f'{name}: largest logit that its gains allow']['value']
    assert logit == pytest.approx(find_logit(name), rel=1e-6)


def find_logit(name):
  """The largest product of gains in one block, from the stored names."""
  part = klein_files.open_snapshot().parts[name]
  gains = {}
  for file in (klein_files.SNAPSHOT / name).glob('*.safetensors'):
    for tensor, array in safetensors.numpy.load_file(file).items():
      words = tensor.removesuffix('.weight').split('.')
      block = '.'.join(words[:-1])
      if 'norm' in words[-1] and words[-1][-1] in 'qk':
        gains.setdefault(block, {'q': 0, 'k': 0})
        side, gain = words[-1][-1], float(np.abs(array.astype('f')).max())
        gains[block][side] = max(gains[block][side], gain)
      elif words[-1] in ('q_norm', 'k_norm'):
        gains.setdefault(block, {})[words[-1][0]] = float(
          np.abs(array.astype('f')).max()
        )
  last = max(klein_files.states())
  largest = max(
    gain['q'] * gain['k']
    for block, gain in gains.items()
    if name != 'text_encoder' or int(block.split('.')[2]) < last
  )
  return largest * part.network.config.head_width**0.5


def test_a_damaged_snapshot_ends_in_a_line_that_says_so(tmp_path, capsys):
  copy = shutil.copytree(klein_files.SNAPSHOT, tmp_path / 'snapshot')
  (copy / VAE).write_bytes((copy / VAE).read_bytes()[:-1])
  assert run(copy) == 2
  *before, last = capsys.readouterr().out.splitlines()
  assert last.startswith('FAIL  stopped here') and VAE in last
  assert [line[:4] for line in before] == ['pass']


def test_an_import_whose_bytes_changed_is_told(tmp_path):
  out = tmp_path / 'klein'
  words = (klein_files.SNAPSHOT, '--states', STATES, '--out', out)
  assert cli.main(['import', 'klein', *map(str, words)]) == 0
  data = bytearray((out / VAE).read_bytes())
  data[-1] ^= 1
  (out / VAE).write_bytes(data)
  part = klein_files.open_snapshot().parts['vae']
  (found,) = doctor._examine_files(out, {'vae': part.list_tensors(out)})
  assert not found.passed and found.found != found.wanted


def test_painted_numbers_survive_where_colors_do():
  rooms = round_trip.render_rooms(64)
  noise = jax.random.normal(jax.random.key(0), (64, 64, 3))
  for back, passes in (
    (lambda x: x, True),
    (lambda x: x + 0.5 * noise, False),
  ):
    found = [
      *round_trip.examine_painted(back, rooms),
      *round_trip.examine_photo(back, jnp.asarray(rooms.rgb[:1]), 'it'),
    ]
    assert len(found) == 7
    assert [each.passed for each in found] == 7 * [passes]


def test_the_loss_is_that_of_the_flow():
  """A velocity that is right has none, and one of zero has about 2."""
  x = jax.random.normal(jax.random.key(9), (1, 8, 8, 16))

  def point(z, sigma, text, references):
    (seen,) = references
    return (z - seen) / sigma

  def stay(z, sigma, text, references):
    return jnp.zeros_like(z)

  text = jnp.zeros((1, 2, 3))
  assert doctor.find_loss(point, x, text) < 1e-9
  assert doctor.find_loss(stay, x, text) == pytest.approx(2, rel=0.1)


def test_published_pixels_are_compared():
  check = published.load_check()
  assert check.noise.shape == (1, 32, 32, 128)
  assert abs(float(check.noise.std()) - 1) < 0.01
  picture = np.zeros((1, 512, 512, 3), 'f')
  picture[0, -3:, -3:, -1] = check.corner.reshape(3, 3)
  assert published.compare(jnp.asarray(picture), check.corner).passed
  shifted = jnp.asarray(picture[:, :, ::-1])
  assert not published.compare(shifted, check.corner).passed


def test_a_line_says_what_is_asked():
  judged = findings.judge('it', float('nan'), 'dB', least=3.0)
  assert not judged.passed
  assert findings.make_line(judged).startswith('FAIL  it ')
  assert findings.make_line(judged).endswith('nan dB  (at least 3)')
  assert json.loads(findings.to_json([judged]))[0]['value'] is None
  assert findings.judge('it', 3.0, 'dB', 3.0, 3.0).passed


@pytest.mark.parametrize(
  'words, says',
  [
    (['klein', 'gone'], 'no such folder'),
    (['klein', '.', '--size', '72'], 'no multiple of 16'),
    (['ibims1', '.', '--json'], 'go with vbanana doctor klein'),
  ],
)
def test_mistaken_words(words, says, capsys):
  assert cli.main(['doctor', *words]) == 2
  assert says in capsys.readouterr().err
