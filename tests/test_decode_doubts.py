"""What cannot be a painted answer is said; what can be is not."""

import json

import numpy as np
import pytest
from PIL import Image, ImageColor

from vbanana_jax import cli, decode
from vbanana_jax.codecs import depth, normals, palettes
from vbanana_jax.decode.other_colors import find_other_color
from vbanana_jax.tasks import prompts

LEGEND = '{"cat": "red", "dog": "pink", "sky": "blue", "road": "grey"}'
PROMPTS = {
  'depth': '', 'normals': '', 'semantic': LEGEND, 'referring': 'A is red.'
}  # fmt: skip


def to_u8(rgb):
  return np.rint(255 * np.asarray(rgb)).astype(np.uint8)


def paint(task):
  """An exact answer [48 64 3]."""
  rng = np.random.default_rng(0)
  if task == 'depth':
    return to_u8(depth.encode(np.geomspace(0.5, 60, 48 * 64).reshape(48, 64)))
  if task == 'normals':
    vectors = rng.normal(size=(48, 64, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return to_u8(normals.encode(vectors))
  palette, _ = prompts.read_prompt(task, PROMPTS[task]).make_palette()
  label = rng.integers(0, len(palette), (6, 8)).repeat(8, 0).repeat(8, 1)
  return to_u8(palette[label])


def ask(task, picture, prompt=None):
  reading = prompts.read_prompt(task, prompt or PROMPTS[task])
  return decode.find_doubt(reading, picture)


def make_photo():
  rng = np.random.default_rng(1)
  picture = rng.integers(0, 256, (6, 8, 3), np.uint8)
  return np.asarray(Image.fromarray(picture).resize((64, 48)))


@pytest.mark.parametrize('task', PROMPTS)
def test_answers_are_not_doubted(task):
  painted = paint(task)
  assert ask(task, painted) is None
  rng = np.random.default_rng(2)
  noisy = np.clip(painted + rng.normal(0, 12, painted.shape), 0, 255)
  assert ask(task, noisy.astype(np.uint8)) is None


@pytest.mark.parametrize('task', PROMPTS)
def test_photographs_and_gray_maps_are_doubted(task):
  assert 'photograph' in ask(task, make_photo())
  ramp = np.arange(48 * 64).reshape(48, 64) * 255 // (48 * 64)
  gray = ramp.astype(np.uint8)[..., None].repeat(3, -1)
  assert 'it is grey' in ask(task, gray)


def test_class_ids_as_gray_are_doubted():
  ids = np.arange(48 * 64).reshape(48, 64).astype(np.uint8)[..., None] % 19
  assert 'it is grey' in ask('semantic', ids.repeat(3, -1))


@pytest.mark.parametrize('task', ['semantic', 'referring'])
@pytest.mark.parametrize('ids', [2, 3])
def test_masks_of_the_lowest_ids_are_doubted(task, ids):
  areas = np.random.default_rng(0).integers(0, ids, (6, 8), np.uint8)
  gray = areas.repeat(8, 0).repeat(8, 1)[..., None].repeat(3, -1)
  assert 'a mask of 0 and 1' in ask(task, gray)
  noise = np.random.default_rng(1).integers(0, ids, (48, 64, 1), np.uint8)
  assert ask(task, noise.repeat(3, -1)) is None  # black, nothing found


@pytest.mark.parametrize('task', ['depth', 'semantic'])
def test_exchanged_channels_are_named(task):
  assert 'BGR' in ask(task, np.ascontiguousarray(paint(task)[..., ::-1]))


def test_gray_answers_of_gray_legends_are_not_doubted():
  black = np.zeros((48, 64, 3), np.uint8)  # nothing found
  assert ask('semantic', black) is None
  road = black.copy()
  road[10:20] = 128  # the legend's own grey
  assert ask('semantic', road) is None
  mask = black.copy()
  mask[10:20] = 255
  assert ask('referring', mask, 'The cat is white.') is None


def test_the_command_says_it_in_one_line(tmp_path, capsys):
  path = tmp_path / 'photo.png'
  Image.fromarray(make_photo()).save(path)
  argv = ['decode', str(path), '--task', 'depth', '--out', str(tmp_path / 'o')]
  assert cli.main(argv) == 0
  said = capsys.readouterr()
  assert len(said.err.splitlines()) == 1 and 'photograph' in said.err
  assert 'doubt' in (tmp_path / 'o' / 'photo_depth.json').read_text()


def decode_files(tmp_path, *names, more=()):
  files = [str(tmp_path / name) for name in names]
  prompt = '{"cat": "red", "dog": "blue"}'
  argv = ['--task', 'semantic', '--prompt', prompt, '--out', str(tmp_path)]
  return cli.main(['decode', *files, *argv, *more])


def test_oddities_are_said(tmp_path, capsys):
  painted = np.zeros((48, 64, 3), np.uint8)
  Image.fromarray(painted).save(tmp_path / 'black.png')
  painted[10:20] = (255, 0, 0)
  Image.fromarray(painted).save(tmp_path / 'cat.jpg')
  Image.fromarray(painted).save(tmp_path / 'flat.webp', lossless=True)
  Image.fromarray(painted).save(tmp_path / 'soft.webp')
  exif = Image.Exif()
  exif[0x0112] = 6  # to be turned, as telephones write it
  Image.fromarray(painted).save(tmp_path / 'photo.jpg', exif=exif)
  assert decode_files(tmp_path, 'black.png') == 0
  assert 'black.png: nothing found: cat, dog\n' in capsys.readouterr().err
  for name, is_lossy in (
    ('cat.jpg', True), ('flat.webp', False), ('soft.webp', True)
  ):  # fmt: skip
    assert decode_files(tmp_path, name) == 0
    said = capsys.readouterr()
    assert ('lossy: kept with loss' in said.out) == is_lossy and not said.err
  photo = ['--photo', str(tmp_path / 'photo.jpg'), '--overwrite']
  assert decode_files(tmp_path, 'flat.webp', more=photo) == 0
  says = '48 x 64 is another aspect than 64 x 48: is it turned, or cut out?'
  assert says in capsys.readouterr().err


def test_a_bad_picture_among_others_is_named(tmp_path, capsys):
  painted = np.zeros((8, 8, 3), np.uint8)
  painted[:4] = (0, 0, 255)
  for name in ('a.png', 'c.png'):
    Image.fromarray(painted).save(tmp_path / name)
  (tmp_path / 'b.png').write_bytes(b'')
  assert decode_files(tmp_path, 'a.png', 'b.png', 'c.png') == 2
  assert (tmp_path / 'c_semantic.npy').is_file()
  first, last = capsys.readouterr().err.splitlines()
  assert 'b.png' in first and 'the file is empty' in first
  assert last.startswith('vbanana: 1 of 3 pictures are not decoded')


def test_a_brighter_green_is_no_doubt_and_a_photograph_of_shades_is():
  # As a published picture has it: lime where the prompt says green.
  prompt = 'The stretching cat is rendered in green, the other cat is in cyan.'
  picture = np.zeros((48, 64, 3), np.uint8)
  picture[5:40, 5:30] = (2, 254, 3)
  picture[10:40, 35:60] = (0, 255, 255)
  assert ask('referring', picture, prompt) is None
  picture[5:40, 5:30] = (200, 120, 60)
  assert 'photograph' in ask('referring', picture, prompt)
  assert 'photograph' in ask('referring', make_photo(), prompt)


@pytest.mark.parametrize('gap', [29, 40, 49])
def test_near_colors_are_said_with_what_noise_does(gap):
  prompt = f'{{"cat": (90, 90, 90), "dog": (90, {90 + gap}, 90)}}'
  reading = prompts.read_prompt('semantic', prompt)
  line = decode.find_near_colors(reading)
  assert f'cat (90, 90, 90) and dog (90, {90 + gap}, 90) are {gap} levels' in (
    line
  )
  said = float(line.partition('levels reads ')[2].partition('%')[0]) / 100
  rng = np.random.default_rng(0)
  noisy = np.rint(90 + rng.normal(0, 8, (1000, 1000, 3)))
  palette, _ = reading.make_palette()
  label, _ = palettes.decode_nearest(noisy.astype(np.float32) / 255, palette)
  assert abs(np.mean(np.asarray(label) == 2) - said) < 0.1 * said + 2e-3


def test_far_colors_are_not_said_to_be_near():
  near = '{"cat": (90, 90, 90), "dog": (90, 140, 90)}'
  for prompt in (near, '{"cat": "red", "dog": "deeppink"}', LEGEND):
    reading = prompts.read_prompt('semantic', prompt)
    assert decode.find_near_colors(reading) is None


def test_near_colors_are_in_the_json_and_said_once(tmp_path, capsys):
  names = [str(tmp_path / f'{k}.png') for k in range(2)]
  for name in names:
    Image.fromarray(np.full((20, 30, 3), (233, 150, 122), np.uint8)).save(name)
  argv = ['decode', *names, '--task', 'semantic', '--out', str(tmp_path / 'o')]
  prompt = '{"cat": "salmon", "dog": "darksalmon", "background": "white"}'
  assert cli.main([*argv, '--prompt', prompt]) == 0
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith('prompt: cat (250, 128, 114) and dog (233, 150, 122)')
  record = json.loads((tmp_path / 'o' / '0_semantic.json').read_text())
  assert f'prompt: {record["near_colors"]}' == line
  # Nearer ones are refused, as before.
  prompt = '{"cat": "pink", "dog": "lightpink"}'
  assert cli.main([*argv, '--prompt', prompt]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert 'told apart' in line and '(255, 182, 193)' in line


def find_other(picture, prompt, task='semantic'):
  reading = prompts.read_prompt(task, prompt)
  return find_other_color(reading, np.asarray(picture, np.uint8))


@pytest.mark.parametrize('size', [64, 900])
@pytest.mark.parametrize(
  'asked, taken',
  [('green', 'lime'), ('pink', 'hotpink'), ('purple', 'darkviolet')],
)
def test_a_color_in_place_of_another_is_named(asked, taken, size):
  rgb = ImageColor.getrgb
  prompt = f'{{"cat": "{asked}", "dog": "blue", "owl": "yellow"}}'
  picture = np.zeros((size, size, 3)) + rgb('blue')
  picture[: size // 3] = 0
  picture[-size // 8 :, : size // 4] = rgb(taken)
  noise = np.random.default_rng(0).normal(0, 6, picture.shape)
  for painted in (picture, np.clip(picture + noise, 0, 255)):
    line = find_other(painted, prompt)
    assert line.startswith(f'cat was to be {asked} {rgb(asked)}, which is')
    assert f'3.1% of it is {taken} {rgb(taken)}, which the prompt' in line
  # As asked, and where both are painted, there is nothing to say.
  picture[:3] = rgb(asked)
  assert find_other(picture, prompt) is None
  picture[picture[..., 1] == rgb(taken)[1]] = rgb(asked)
  assert find_other(picture, prompt) is None
  assert find_other(make_photo(), prompt) is None
  assert find_other(picture, '', 'depth') is None


def test_a_color_in_place_of_another_is_said_by_the_command(tmp_path, capsys):
  painted = np.zeros((48, 64, 3), np.uint8)
  painted[12:24] = (255, 165, 0)
  Image.fromarray(painted).save(tmp_path / 'a.png')
  assert decode_files(tmp_path, 'a.png') == 0
  capsys.readouterr()
  argv = ['decode', str(tmp_path / 'a.png'), '--task', 'semantic']
  prompt = '{"cat": "gold", "dog": "blue"}'
  argv += ['--prompt', prompt, '--out', str(tmp_path / 'o')]
  assert cli.main(argv) == 0
  (line,) = capsys.readouterr().err.splitlines()
  assert 'cat was to be gold (255, 215, 0)' in line
  assert '25.0% of it is orange (255, 165, 0)' in line
  record = json.loads((tmp_path / 'o' / 'a_semantic.json').read_text())
  assert line.endswith(record['other_color'])
