"""`vbanana decode`: the pictures of any generator, read from the prompt."""

import json

import numpy as np
import pytest
from PIL import Image

from vbanana_jax import cli
from vbanana_jax.codecs import colormaps, depth, normals

H, W = 40, 60
BOXES = ((slice(4, 20), slice(5, 25)), (slice(15, 36), slice(32, 56)))
LEGEND = '{"cat": "red", "exit sign": #0000ff, "background": <125, 0, 125>}'


def save(path, rgb):
  Image.fromarray(np.rint(255 * np.asarray(rgb)).astype(np.uint8)).save(path)
  return str(path)


def run(tmp_path, *argv):
  out = tmp_path / 'out'
  code = cli.main(['decode', *argv, '--out', str(out), '--overwrite'])
  found = sorted(out.iterdir()) if out.exists() else []
  assert code == 0, found
  stem = next(path.stem for path in found if path.suffix == '.json')
  assert [path.name for path in found] == sorted(
    f'{stem}{end}' for end in ('.json', '.npy', '.png', '_confidence.npy')
  )
  facts = json.loads((out / f'{stem}.json').read_text())
  value = np.load(out / f'{stem}.npy')
  confidence = np.load(out / f'{stem}_confidence.npy')
  assert confidence.shape == value.shape[:2]
  assert (confidence >= 0).all() and (confidence <= 1).all()
  return value, confidence, facts


def test_depth_of_the_walk_and_of_another_map(tmp_path, capsys):
  meters = np.geomspace(0.5, 30, H * W).reshape(H, W)
  image = save(tmp_path / 'd.png', depth.encode(meters))
  value, _, facts = run(tmp_path, image, '--task', 'depth')
  np.testing.assert_allclose(value, meters, rtol=0.01)
  spread = facts['depth_m_percentiles']
  assert spread['50'] == pytest.approx(np.median(meters), rel=0.01)
  assert 'percentiles' in capsys.readouterr().out  # printed too

  ends = {'near_m': 0.0, 'far_m': 10.0}
  meters = np.linspace(0, 10, H * W).reshape(H, W)
  image = save(tmp_path / 'd.png', colormaps.encode(meters, 'plasma', **ends))
  prompt = 'Depth map in the plasma colormap.'
  argv = [image, '--task', 'depth', '--prompt', prompt]
  value, _, facts = run(tmp_path, *argv, '--near-m', '0', '--far-m', '10')
  np.testing.assert_allclose(value, meters, atol=0.05)
  assert facts['colormap'] == 'plasma'
  assert cli.main(['decode', *argv]) == 2
  assert '--near-m' in capsys.readouterr().err


def test_normals_at_the_size_of_the_photo(tmp_path):
  image = save(
    tmp_path / 'n.png', normals.encode(np.full((H, W, 3), (0.0, 1.0, 0.0)))
  )
  photo = save(tmp_path / 'photo.png', np.zeros((31, 47, 3)))
  value, _, facts = run(tmp_path, image, '--task', 'normals', '--photo', photo)
  np.testing.assert_allclose(value - (0, 1, 0), 0, atol=0.01)
  assert facts['painted_length_median'] == pytest.approx(1, abs=0.01)
  assert facts['size'] == [31, 47] and facts['painted_size'] == [H, W]


@pytest.mark.parametrize(
  'sky', [(255, 0, 255), (0, 0, 0), (255, 255, 255), (128, 128, 128)]
)
@pytest.mark.parametrize('size', [(H, W), (25, 90)])
def test_a_painted_sky_has_no_normal(sky, size, tmp_path, capsys):
  rgb = np.array(normals.encode(np.full((H, W, 3), (0.0, 1.0, 0.0))))
  rgb[: H // 2] = np.divide(sky, 255)
  image = save(tmp_path / 'n.png', rgb)
  photo = save(tmp_path / 'photo.png', np.zeros((*size, 3)))
  argv = [image, '--task', 'normals', '--photo', photo]
  value, confidence, facts = run(tmp_path, *argv)
  above = int(size[0] / 2)
  assert not value[:above].any() and not confidence[:above].any()
  np.testing.assert_allclose(value[above:] - (0, 1, 0), 0, atol=0.01)
  assert confidence[above:].min() > 0.9
  assert facts['no_surface_share'] == 0.5
  assert '50.0% of it' in facts['no_surface'] and 'doubt' not in facts
  assert 'no surface' in capsys.readouterr().err


@pytest.mark.parametrize('task', ['semantic', 'referring'])
def test_labels_of_the_legend_without_specks(task, tmp_path):
  rgb = np.full((100, 100, 3), (125, 0, 125)) / 255
  rgb[10:40, 10:40], rgb[50:90, 50:90] = (1, 0, 0), (0, 0.02, 0.98)
  rgb[5, 80] = (1, 0, 0)  # a speck
  image = save(tmp_path / 's.png', rgb)
  argv = [image, '--task', task, '--prompt', LEGEND]
  value, confidence, facts = run(tmp_path, *argv)
  wanted = np.zeros((100, 100), int)
  wanted[10:40, 10:40], wanted[50:90, 50:90] = 1, 2
  np.testing.assert_array_equal(value, wanted)
  assert facts['legend'] == {'cat': [255, 0, 0], 'exit sign': [0, 0, 255]}
  assert facts['pixel_shares']['cat'] == 0.09
  assert confidence[20, 20] > 0.9
  assert run(tmp_path, *argv, '--keep-specks')[0][5, 80] == 1


def test_rims_that_read_as_a_third_class_are_told(tmp_path, capsys):
  rgb = np.zeros((H, W, 3))
  rgb[:, W // 2 :] = 1
  rgb[:, W // 2] = 0.42  # a border drawn smooth: neither side's
  image = save(tmp_path / 's.png', rgb)
  prompt = '{"cat": "white", "dog": "grey"}'
  argv = [image, '--task', 'semantic', '--prompt', prompt, '--keep-specks']
  value, confidence, facts = run(tmp_path, *argv)
  assert (value[:, W // 2] == 2).all()  # the nearest color, as the paper reads
  assert confidence[:, W // 2].max() <= 0.04
  assert confidence[:, : W // 2].min() > 0.99
  share = facts['between_colors_share']
  assert share == pytest.approx(1 / W)
  assert 'read as a third' in facts['between_colors']
  assert 'read as a third' in capsys.readouterr().err


@pytest.mark.parametrize('decoder', ['paper', 'regions'])
def test_instances_are_counted(decoder, tmp_path):
  rgb = np.full((H, W, 3), (1.0, 1.0, 1.0))
  for box, color in zip(BOXES, ((0.9, 0.1, 0.1), (0.1, 0.3, 0.9))):
    rgb[box] = color
  image = save(tmp_path / 'i.png', rgb)
  prompt = 'Each ball is colored differently. The background is white.'
  value, _, facts = run(
    tmp_path, image, '--task', 'instance', '--prompt', prompt,
    '--decoder', decoder,
  )  # fmt: skip
  assert facts['instances'] == value.max() == 2
  assert all(len(np.unique(value[box])) == 1 for box in BOXES)
  assert (value > 0).sum() == sum(value[box].size for box in BOXES)


@pytest.mark.parametrize('task', ['semantic', 'referring', 'instance'])
@pytest.mark.parametrize('ground', [(0, 0, 0), (255, 255, 255), (0, 0, 255)])
def test_transparency_is_the_background_of_the_prompt(
  task, ground, tmp_path, capsys
):
  rgba = np.zeros((H, W, 4), np.uint8)
  rgba[..., :3] = 90  # what a generator leaves where nothing shows
  rgba[BOXES[0]] = (255, 0, 0, 255)
  Image.fromarray(rgba).save(tmp_path / 'a.png')
  prompt = 'The cat is red. Each ball is colored differently. '
  prompt += f'The background is rgb{ground}.'.replace('rgb', 'RGB')
  value, _, facts = run(
    tmp_path, str(tmp_path / 'a.png'), '--task', task, '--prompt', prompt
  )
  wanted = np.zeros((H, W), int)
  wanted[BOXES[0]] = 1
  np.testing.assert_array_equal(value, wanted)
  assert f'laid over the background {ground}' in facts['transparent']
  assert f'transparent: {(wanted == 0).mean():.1%}' in capsys.readouterr().out


def fails(tmp_path, capsys, *argv):
  out = tmp_path / 'out'
  assert cli.main(['decode', *argv, '--out', str(out)]) == 2
  error = capsys.readouterr().err
  assert error.count('\n') == 1 and error.startswith('vbanana: ')
  assert not out.exists()
  return error


@pytest.mark.parametrize('decoder', ['paper', 'regions'])
def test_nothing_there_is_an_answer(decoder, tmp_path):
  image = save(tmp_path / 'none.png', np.zeros((H, W, 3)))
  argv = [image, '--task', 'instance', '--decoder', decoder]
  value, _, facts = run(tmp_path, *argv)
  assert facts['instances'] == 0 and not value.any()


@pytest.mark.parametrize(
  'words, says',
  [
    ('--task depth --near-m 1', 'meters of its own'),
    ('--task depth --prompt viridis --near-m 5 --far-m 5', 'no scale'),
    ('--task depth --prompt viridis --near-m nan --far-m 5', 'no scale'),
    ('--task depth --prompt viridis --near-m 5 --far-m inf', 'no scale'),
    ('--task depth --prompt viridis --near-m -5 --far-m -1', 'no scale'),
    ('--task depth --prompt viridis_r', 'cannot be read'),
    ('--task depth --prompt in_magma', 'cannot be read'),
    ('--task semantic --prompt a:red,b:blue --void-radius 0', 'above 0'),
    ('--task semantic --prompt a:red,a:blue', 'two colors'),
  ],
)
def test_settings_that_make_no_sense(words, says, tmp_path, capsys):
  image = save(tmp_path / 'x.png', np.zeros((H, W, 3)))
  argv = [word.replace('_m', ' m') for word in words.split()]
  assert says in fails(tmp_path, capsys, image, *argv)


def test_mistakes_are_one_line_and_write_nothing(tmp_path, capsys):
  image = save(tmp_path / 'x.png', np.zeros((H, W, 3)))
  for task in ('semantic', 'referring'):
    argv = [image, '--task', task]
    assert 'no legend' in fails(tmp_path, capsys, *argv)
    prompt = ['--prompt', 'The cat is red. The dog is rgb(250, 4, 0).']
    assert 'told apart' in fails(tmp_path, capsys, *argv, *prompt)
  gone = str(tmp_path / 'gone.png')
  assert 'no such file' in fails(tmp_path, capsys, gone, '--task', 'depth')
  cut = tmp_path / 'cut.png'
  cut.write_bytes((tmp_path / 'x.png').read_bytes()[:-30])
  argv = [str(cut), '--task', 'depth']
  assert 'cut.png: damaged' in fails(tmp_path, capsys, *argv)


def test_pictures_of_one_stem_have_names_apart(tmp_path):
  for folder in ('a', 'b'):
    (tmp_path / folder).mkdir()
  images = [
    save(tmp_path / name, np.zeros((H, W, 3)))
    for name in ('x.png', 'x.jpg', 'y.png', 'a/z.png', 'b/z.png')
  ]
  out = tmp_path / 'out'
  argv = [*images, images[0], '--task', 'normals', '--out', str(out)]
  assert cli.main(['decode', *argv]) == 0
  assert sorted(path.stem for path in out.glob('*.json')) == sorted(
    f'{name}_normals' for name in ('x.png', 'x.jpg', 'y', 'a_z.png', 'b_z.png')
  )


def test_what_was_decoded_in_another_way_stays(tmp_path, capsys):
  image = save(tmp_path / 'x.png', np.full((H, W, 3), (1.0, 0, 0)))
  other = save(tmp_path / 'a.png', np.zeros((H, W, 3)))
  out = tmp_path / 'out'
  argv = ['decode', '--task', 'semantic', '--out', str(out), image]
  assert cli.main([*argv, '--prompt', 'cat: red']) == 0
  assert cli.main([*argv, '--prompt', 'cat: red']) == 0  # the same again
  before = {path.name: path.read_bytes() for path in out.iterdir()}
  capsys.readouterr()
  for changed in ('--prompt=dog: red', '--void-radius=9'):
    prompt = ['--prompt', 'cat: red'] if 'void' in changed else []
    assert cli.main([*argv, other, changed, *prompt]) == 2
    said = capsys.readouterr()
    assert 'x_semantic.json is of something else' in said.err
    assert '--overwrite' in said.err and said.err.count('\n') == 1
    now = {path.name: path.read_bytes() for path in out.iterdir()}
    assert now == before  # nor is the other picture decoded
  assert cli.main([*argv, '--prompt', 'dog: red', '--overwrite']) == 0
  assert b'dog' in (out / 'x_semantic.json').read_bytes()
  (out / 'a_semantic.png').write_bytes(b'mine')
  assert cli.main([*argv, other, '--prompt', 'dog: red']) == 2
  assert 'no a_semantic.json says what it is' in capsys.readouterr().err
  assert (out / 'a_semantic.png').read_bytes() == b'mine'


@pytest.mark.parametrize('decoder', ['paper', 'regions'])
@pytest.mark.parametrize('n', [20, 100])
def test_far_too_many_regions_are_refused(n, decoder, tmp_path, capsys):
  """400 are more than the decoder holds, 10,000 are too small to be any."""
  tiles = np.random.default_rng(0).integers(40, 256, (n, n, 3)) / 255
  scale = 300 // n
  image = save(tmp_path / 'many.png', tiles.repeat(scale, 0).repeat(scale, 1))
  argv = [image, '--task', 'instance', '--decoder', decoder]
  assert 'is it an instance picture' in fails(tmp_path, capsys, *argv)
