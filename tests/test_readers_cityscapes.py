"""Cityscapes from bytes, and the protocols of the segmentation sets."""

import dataclasses

import numpy as np
import pytest
from byte_files import make_png, write

from vbanana_jax.benchmark import protocols, questions, readers
from vbanana_jax.benchmark.readers import cityscapes
from vbanana_jax.codecs import palettes
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import prompts

STEM = 'frankfurt/frankfurt_000000_000294'
RGB = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
LABELS = [[7, 8, 0, 33], [26, 6, 11, 18]]
TRUTH = [[0, 1, 255, 18], [13, 255, 2, 255]]


def photo(stem=STEM):
  return f'leftImg8bit/val/{stem}_leftImg8bit.png'


def truth(stem=STEM):
  return f'gtFine/val/{stem}_gtFine_labelIds.png'


def write_folder(root, labels=None):
  second = 'lindau/lindau_000001_000019'
  instances = truth().replace('labelIds', 'instanceIds')
  write(
    root,
    {
      photo(second): make_png(RGB[::-1]),
      truth(second): make_png(np.zeros((2, 4), int)),
      photo(): make_png(RGB, filters=(1, 4)),
      truth(): make_png(LABELS if labels is None else labels),
      instances: make_png(np.full((2, 4), 26001), 16),
    },
  )
  return root


def test_items_and_pixels(tmp_path):
  reader = readers.READERS['cityscapes'](write_folder(tmp_path), 'val')
  assert isinstance(reader, readers.Reader) and reader.task == 'semantic'
  assert [item.id for item in reader.items] == [
    'frankfurt_000000_000294',
    'lindau_000001_000019',
  ]
  first, second = reader.items
  assert first.image == photo() and first.phrase is None
  np.testing.assert_array_equal(reader.load_image(first), RGB)
  semantic = reader.load_truth(first)['semantic']
  assert semantic.dtype == np.int32
  np.testing.assert_array_equal(semantic, TRUTH)
  assert (reader.load_truth(second)['semantic'] == 255).all()


def test_every_label_id(tmp_path):
  ids = np.arange(34).reshape(2, 17)
  root = write_folder(tmp_path, ids)
  (root / photo()).write_bytes(make_png(np.zeros((2, 17, 3), int)))
  reader = cityscapes.Cityscapes(root, 'val')
  semantic = reader.load_truth(reader.items[0])['semantic'].ravel()
  # The table of the set's scripts, as the range of each train id.
  listed = [7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33]
  expected = np.full(34, 255)
  expected[listed] = range(19)
  np.testing.assert_array_equal(semantic, expected)


@pytest.mark.parametrize(
  'content, complaint',
  [
    (make_png([[7, 8, 255, 34], [7, 7, 7, 7]]), 'label id 255 is beyond'),
    (make_png([[7, 8, 34, 1], [7, 7, 7, 7]]), 'label id 34 is beyond'),
    (make_png(np.full((2, 4), 26001), 16), 'label id 26001 is beyond'),
    (make_png([[7, 8, 0]]), '3 x 1 pixels, expected 4 x 2'),
    (make_png(LABELS)[:-20], 'damaged picture'),
    (make_png(RGB), 'expected a PNG of labels'),
    (b'', 'not a PNG'),
  ],
)
def test_damaged_truth_is_named(content, complaint, tmp_path):
  root = write_folder(tmp_path)
  (root / truth()).write_bytes(content)
  reader = cityscapes.Cityscapes(root, 'val')
  with pytest.raises(UserError) as error:
    reader.load_truth(reader.items[0])
  message = str(error.value)
  assert message.startswith(f'{root / truth()}: ') and '\n' not in message
  assert complaint in message


def test_missing_parts_are_named(tmp_path):
  with pytest.raises(UserError, match=r'no leftImg8bit/val.*cityscapes'):
    cityscapes.Cityscapes(tmp_path, 'val')
  with pytest.raises(UserError, match="no split 'test': choose from val"):
    cityscapes.Cityscapes(tmp_path, 'test')
  root = write_folder(tmp_path)
  (root / truth()).unlink()
  with pytest.raises(UserError, match=r'_000294_gtFine_labelIds\.png: no such'):
    cityscapes.Cityscapes(root, 'val')


def test_protocol_lists_the_classes_far_apart():
  protocol = protocols.load_protocol('cityscapes_semantic_v1')
  assert (
    protocol.count == 500 and protocol.split in cityscapes.Cityscapes.splits
  )
  names = [name for name, _ in protocol.classes]
  assert names == [name for name, _ in cityscapes.CLASSES]
  colors = [protocol.background, *(color for _, color in protocol.classes)]
  fixed = palettes.farthest_point_palette(20)
  assert [tuple(color) for color in colors] == fixed
  gaps = np.linalg.norm(np.subtract(colors, np.asarray(colors)[:, None]), 2, -1)
  assert gaps[np.triu_indices(20, 1)].min() >= 127


def test_protocol_prompt_is_read_back():
  protocol = protocols.load_protocol('cityscapes_semantic_v1')
  asked = questions.ask(protocol, readers.Item('a', 'a.png'))
  reading = prompts.read_prompt('semantic', asked.prompt)
  assert reading.entries == asked.spec.entries
  assert reading.background == (0, 0, 0) and reading.background_stated
  assert len(reading.entries) == 19


@pytest.mark.parametrize(
  'name, phrase',
  [
    ('refcocog_umd_val_referring', 'the man in pink t shirt'),
    ('refcocog_umd_val_referring', 'a cat, the smaller of the two'),
    ('reasonseg_val_referring', 'What keeps the rain off? It is folded.'),
  ],
)
def test_referring_protocols_ask_for_white_on_black(name, phrase):
  protocol = protocols.load_protocol(name)
  assert protocol.count == {'ref': 4896, 'rea': 200}[name[:3]]
  asked = questions.ask(protocol, readers.Item('a', 'a.png', phrase))
  assert phrase in asked.prompt and '<255, 255, 255>' in asked.prompt
  assert asked.spec.entries == ((phrase, (255, 255, 255)),)
  reading = prompts.read_prompt('referring', asked.prompt)
  assert [color for _, color in reading.entries] == [(255, 255, 255)]
  assert reading.background == (0, 0, 0) and reading.background_stated


def test_subsets_of_saco_are_asked_alike():
  subsets = readers.READERS['saco_gold'].splits
  assert len(subsets) == 7
  shared = set()
  for subset in subsets:
    protocol = protocols.load_protocol(f'saco_gold_{subset}_instance')
    assert protocol.split == subset and protocol.reader == 'saco_gold'
    asked = questions.ask(protocol, readers.Item('a', 'a.png', 'fish ball'))
    reading = prompts.read_prompt('instance', asked.prompt)
    assert reading.category == 'fish ball' and reading.background == (0, 0, 0)
    fields = dataclasses.asdict(protocol)
    for field in ('name', 'split', 'known_difference'):
      del fields[field]
    shared.add(str(fields))
  assert len(shared) == 1
