"""Label maps and evaluation splits beside photographs are asked about."""

import io

import numpy as np
import prepared
import pytest
from PIL import Image

from vbanana_jax.cli import main
from vbanana_jax.data import array_records, label_maps, selection
from vbanana_jax.errors import UserError

SIZE = (24, 32)
RNG = np.random.default_rng(0)
IDS = np.kron(RNG.integers(0, 11, (3, 4)), np.ones((8, 8))).astype(np.uint8)


def encode(pixels, form, **options):
  file = io.BytesIO()
  image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
  image.save(file, format=form, **options)
  return file.getvalue()


def photograph(form='JPEG'):
  return encode(RNG.integers(0, 256, (*SIZE, 3), np.uint8), form)


def gray_labels():
  return encode(IDS, 'PNG')


def palette_labels():
  image = Image.fromarray(IDS, 'L').convert('P')
  image.putpalette(RNG.integers(0, 256, 768).tolist())
  return encode(image, 'PNG')


def color_labels():
  return encode(RNG.integers(0, 256, (256, 3), np.uint8)[IDS], 'PNG')


def depth_16():
  return encode(RNG.integers(0, 9000, SIZE).astype(np.uint16), 'PNG')


def make(root, files):
  for name, content in files.items():
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content() if callable(content) else content)
  return root


def camvid(labels=gray_labels):
  files = {}
  for split, count in (('train', 4), ('test', 3), ('val', 2)):
    for k in range(count):
      files[f'{split}/{split}_{k}.png'] = lambda: photograph('PNG')
      files[f'{split}annot/{split}_{k}.png'] = labels
  return files


def run(root, out, *flags):
  argv = ['prepare', 'image_folder', str(root), '--out', str(out), *flags]
  return main(argv)


@pytest.mark.parametrize(
  'labels', [gray_labels, palette_labels, color_labels, depth_16]
)
def test_the_layout_of_camvid(labels, tmp_path, capsys):
  root = make(tmp_path / 'camvid', camvid(labels))
  out = tmp_path / 'out'
  assert run(root, out) == 2
  (line,) = capsys.readouterr().err.splitlines()
  for words in (
    'among 18 pictures', '9 label maps', 'trainannot 4', 'testannot 3',
    'valannot 2', 'train 4', 'test 3', 'val 2', '--exclude trainannot',
    '--include train,', '--all',
  ):  # fmt: skip
    assert words in line, words
  assert not out.exists()
  # Labels that are left out say nothing of splits.
  assert run(root, out, '--exclude', '*annot') == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert 'label maps' not in line and 'val 2' in line
  assert run(root, out, '--include', 'train') == 0
  manifest = array_records.load_manifest(out)
  assert manifest['count'] == 4
  assert '14 pictures are not chosen' in manifest['notes']
  assert run(root, tmp_path / 'all', '--all') == 0
  assert array_records.load_manifest(tmp_path / 'all')['count'] == 18


CITY = 'aachen_000000_0000{k:02}_'
LAYOUTS = {
  'cityscapes': (
    f'leftImg8bit/train/aachen/{CITY}leftImg8bit.png',
    {
      f'gtFine/train/aachen/{CITY}gtFine_color.png': color_labels,
      f'gtFine/train/aachen/{CITY}gtFine_labelIds.png': gray_labels,
      f'gtFine/train/aachen/{CITY}gtFine_instanceIds.png': depth_16,
    },
    '--exclude gtFine,',
  ),
  'coco': (
    'train2017/{k:012}.jpg',
    {'annotations/panoptic_train2017/{k:012}.png': color_labels},
    '--exclude annotations,',
  ),
  'voc': (
    'JPEGImages/2007_{k:06}.jpg',
    {
      'SegmentationClass/2007_{k:06}.png': palette_labels,
      'SegmentationObject/2007_{k:06}.png': palette_labels,
    },
    '--exclude SegmentationClass --exclude SegmentationObject,',
  ),
  'side by side': (
    'x{k}.jpg', {'x{k}.png': palette_labels}, "--exclude '*.png',"
  ),
  'endings': (
    'street/x{k}.png', {'street/x{k}_mask.png': gray_labels},
    "--exclude '*_mask.png',",
  ),
  'satellite': (
    'in/{k}_sat.jpg', {'in/{k}_mask.png': color_labels},
    "--exclude '*_mask.png',",
  ),
  'a folder a scene': (
    '{k}/rgb.png', {'{k}/depth.png': depth_16}, "--exclude '*depth.png',"
  ),
  'lossy': (
    'images/{k}.jpg', {'depth/{k}.jpg': photograph}, '--exclude depth,'
  ),
  'unnamed colors': (
    'a/{k}.jpg', {'b/{k}.png': color_labels}, '--exclude b,'
  ),
}  # fmt: skip


@pytest.mark.parametrize('layout', LAYOUTS)
def test_layouts_of_data_sets(layout, tmp_path):
  photo, labels, flags = LAYOUTS[layout]
  files = {}
  for k in range(12):
    form = 'JPEG' if photo.endswith('jpg') else 'PNG'
    files[photo.format(k=k)] = photograph(form)
    files |= {name.format(k=k): make for name, make in labels.items()}
  root = make(tmp_path / 'set', files)
  with pytest.raises(UserError) as raised:
    prepared.prepare_images(root, tmp_path / 'out')
  message = str(raised.value)
  assert flags in message
  assert f'{12 * len(labels)} label maps' in message
  # What it proposes leaves the photographs, all of them.
  patterns = flags.strip(',').replace("'", '').split('--exclude ')[1:]
  chosen = selection.Selection(exclude=tuple(p.strip() for p in patterns))
  manifest = prepared.prepare_images(root, tmp_path / 'out', chosen=chosen)
  assert manifest['count'] == 12


def test_what_only_sounds_like_labels_is_taken(tmp_path):
  """Masks that people wear, a flat drawing, grey photographs, one split."""
  gray = encode(RNG.integers(0, 256, SIZE, np.uint8), 'PNG')
  files = {f'mask/m{k}.jpg': photograph for k in range(3)}
  files |= {f'train/t{k}.jpg': photograph for k in range(3)}
  files |= {f'flag/f{k}.png': color_labels for k in range(3)}
  files |= {f'old/o{k}.png': gray for k in range(3)}
  root = make(tmp_path / 'things', files)
  manifest = prepared.prepare_images(root, tmp_path / 'out')
  assert manifest['count'] == 12


def test_a_folder_of_labels_alone(tmp_path):
  root = make(tmp_path / 'in', {f'{k}.png': gray_labels for k in range(3)})
  with pytest.raises(UserError, match=r'all of 3 pictures.*--all'):
    prepared.prepare_images(root, tmp_path / 'out')


@pytest.mark.parametrize(
  'folders, found',
  [
    (('images/train2017', 'images/val2017'), ('train2017', 'val2017')),
    (('train/images', 'valid/images'), ('train', 'valid')),
    (('train_img', 'test_img'), ('train_img', 'test_img')),
    (('Training', 'Testing'), ('Training', 'Testing')),
    (('train', 'bus'), ()),
    (('train/cat', 'train/dog'), ()),
    (('a/train', 'b/val'), ()),
    (('part_1', 'part_2'), ()),
  ],
)
def test_splits(folders, found):
  names = [f'{folder}/{k}.jpg' for folder in folders for k in range(2)]
  assert selection.find_splits(names) == dict.fromkeys(found, 2)


@pytest.mark.parametrize(
  'name, pattern, is_match',
  [
    ('a/train/x.png', 'train', True),
    ('a/trainannot/x.png', 'train', False),
    ('a/trainannot/x.png', '*annot/', True),
    ('a/x_mask.png', '*_mask.png', True),
    ('a/b/x.png', 'a/b', True),
    ('a/b/x.png', './a/*', True),
    ('c/a/b/x.png', 'a/b', False),
    ('x.png', 'a/b', False),
    ('x.png', '*', True),
  ],
)
def test_patterns(name, pattern, is_match):
  assert selection.matches(name, pattern) == is_match


def test_a_pattern_that_matches_nothing_is_named(tmp_path):
  root = make(tmp_path / 'in', {'a.jpg': photograph})
  with pytest.raises(UserError, match='--exclude tset: matches no picture'):
    prepared.prepare_images(
      root,
      tmp_path / 'out',
      chosen=selection.Selection(exclude=('tset',)),
    )


def test_looks_that_say_nothing():
  assert label_maps.look(encode(np.zeros(SIZE, np.uint8), 'PNG')) is None
  assert label_maps.look(gray_labels()[:50]) is None
  assert label_maps.look(photograph()) == (False, False)
