"""Tar archives of examples, read in place; and archives that play tricks."""

import io
import json
import tarfile

import numpy as np
import pytest
from byte_files import assert_refused, make_jpeg, make_png

from vbanana_jax.data import prepare, record_source
from vbanana_jax.data.prepare_pictures import Limits
from vbanana_jax.datasets.webdataset import WebDataset

H, W = 6, 8
SAID = {'depth': {'unit': 'mm'}, 'classes': ['sky', 'road']}


def photo(level=1):
  rng = np.random.default_rng(level)
  return make_jpeg(rng.integers(0, 255, (H, W, 3)))


def depth(low=1000):
  return make_png(low + np.arange(H * W).reshape(H, W), 16)


def make_tar(path, files, changes=()):
  """A tar of files; `changes` are fields of headers, by name."""
  path.parent.mkdir(exist_ok=True)
  with tarfile.open(path, 'w') as archive:
    for name, content in files:
      content = content.encode() if isinstance(content, str) else content
      info = tarfile.TarInfo(name)
      info.size = len(content)
      for key, value in dict(changes).get(name, {}).items():
        setattr(info, key, value)
      archive.addfile(info, io.BytesIO(content))
  return path


def write_set(root):
  make_tar(
    root / 'shard-000.tar',
    [
      ('a/one.jpg', photo(1)),
      ('a/one.txt', 'a road\nthe road\n'),
      ('a/one.depth.png', depth()),
      ('a/one.labels.png', make_png(np.ones((H, W)))),
      ('a/two.1.png', b'another ending'),
      ('a/two.png', make_png(np.zeros((H, W, 3)))),
      ('a/two.json', json.dumps({'captions': ['x', 'y'], 'intrinsics': {
        'fx': 8, 'fy': 8, 'cx': 4, 'cy': 3}})),
    ],
  )  # fmt: skip
  make_tar(
    root / 'shard-001.tar', [('one.webp', photo(2)), ('one.cls', 'tabby_cat')]
  )
  (root / 'dataset.json').write_text(json.dumps(SAID))


def test_examples_of_several_tars(tmp_path):
  write_set(tmp_path / 'in')
  dataset = WebDataset(tmp_path / 'in')
  assert dataset.ids == ('shard-000/a/one', 'shard-000/a/two', 'shard-001/one')
  manifest = prepare.prepare_dataset(dataset, tmp_path / 'out')
  assert manifest['count'] == 3
  assert manifest['labels'] == {
    'depth_m': 1, 'semantic': 1, 'captions': 3, 'intrinsics': 1,
  }  # fmt: skip
  source = record_source.RecordSource(tmp_path / 'out', (H, W))
  captions = [source[k]['captions'] for k in range(3)]
  assert captions == [('a road', 'the road'), ('x', 'y'), ('tabby cat',)]
  first = dataset.load(0)
  assert first.depth_m[0, 1] == np.float32(1.001)
  assert (first.semantic == 1).all() and first.encoded == photo(1)
  assert dataset.load(1).intrinsics == (8, 8, 4, 3)
  # Nothing was unpacked.
  assert sorted(p.name for p in (tmp_path / 'in').iterdir()) == [
    'dataset.json', 'shard-000.tar', 'shard-001.tar',
  ]  # fmt: skip


def test_one_tar_and_a_meaning_elsewhere(tmp_path):
  path = make_tar(
    tmp_path / 'x.tar', [('k.jpg', photo()), ('k.depth.png', depth())]
  )
  assert_refused(lambda: WebDataset(path), '"depth": {"unit"')
  meaning = tmp_path / 'm.json'
  meaning.write_text('{"depth": {"unit": "cm"}}')
  dataset = WebDataset(path, meaning=str(meaning))
  assert dataset.name == 'x' and dataset.load(0).depth_m[0, 0] == 10
  assert_refused(lambda: WebDataset(path, meaning='gone.json'), 'gone.json')


LINK = {'type': tarfile.SYMTYPE, 'linkname': '/etc/passwd', 'size': 0}
TRICKS = [
  ('/a.jpg', {}, 'an absolute name'),
  ('C:/a.jpg', {}, 'an absolute name'),
  ('../a.jpg', {}, 'a name that climbs'),
  ('x/../../a.jpg', {}, 'a name that climbs'),
  ('x\\..\\a.jpg', {}, 'a name that climbs'),
  ('good.jpg', {}, 'a second file of this name'),
  ('./good.jpg', {}, 'a second file of this name'),
  ('a.jpg', LINK, 'a link'),
  ('a.jpg', {**LINK, 'type': tarfile.LNKTYPE}, 'a link'),
  ('a.jpg', {'type': tarfile.FIFOTYPE, 'size': 0}, 'not a plain file'),
  ('a.jpg', {'type': tarfile.CHRTYPE, 'size': 0}, 'not a plain file'),
]


@pytest.mark.parametrize('name, changes, reason', TRICKS)
def test_tricks_are_left_out_and_said(name, changes, reason, tmp_path):
  path = make_tar(
    tmp_path / 'b.tar',
    [('good.jpg', photo()), (name, photo(2))],
    {name: changes} if changes else (),
  )
  dataset = WebDataset(path)
  assert dataset.ids == ('b/good',)
  ((file, why),) = dataset.skipped
  assert file == f'b.tar/{name}' and why.startswith(reason)
  manifest = prepare.prepare_dataset(dataset, tmp_path / 'out')
  assert manifest['skipped'][0]['reason'].startswith(reason)


@pytest.mark.parametrize('blocks', [1, 2, 3, 4, 5])
def test_a_tar_that_is_cut_short_is_refused(blocks, tmp_path):
  path = make_tar(tmp_path / 'a.tar', [('a.jpg', photo()), ('b.jpg', photo(2))])
  whole = path.read_bytes()
  end = whole.rindex(photo(2)) + len(photo(2))
  for size in (end * blocks // 6, (end * blocks // 6) // 512 * 512):
    path.write_bytes(whole[:size])
    assert_refused(lambda: WebDataset(path), 'a.tar')


@pytest.mark.parametrize(
  'content, words',
  [
    (b'', 'a.tar'),
    (b'no tar at all' * 99, 'not a whole tar'),
    (b'\x1f\x8b' + b'x' * 600, '(gunzip a.tar)'),
    (b'BZh9' + b'x' * 600, '(bunzip2 a.tar)'),
  ],
)
def test_what_is_no_tar_is_refused(content, words, tmp_path):
  path = tmp_path / 'a.tar'
  path.write_bytes(content)
  assert_refused(lambda: WebDataset(path), words)


def test_folders_without_a_tar(tmp_path):
  packed = tmp_path / 'packed' / 'a.tar.zst'
  packed.parent.mkdir()
  packed.write_bytes(b'(\xb5/\xfd' + b'x' * 600)
  assert_refused(lambda: WebDataset(packed.parent), '(unzstd a.tar.zst)')
  assert_refused(lambda: WebDataset(tmp_path), 'no *.tar')
  assert_refused(lambda: WebDataset(tmp_path / 'gone'), 'no such file')


BAD = [
  (('k.json', b'[]'), 'not a JSON object'),
  (('k.json', b'{'), 'not valid JSON'),
  (('k.txt', b'\xff\xfe'), 'not UTF-8'),
  (('k.json', b'{"intrinsics": {"fx": 1}}'), 'intrinsics.fy'),
  (('k.json', b'{"intrinsics": 3}'), 'no object'),
  (('k.depth.png', depth()[:50]), 'k.depth.png'),
  (('k.depth.png', make_png(np.zeros((W, H)), 16)), '6 x 8'),
  (('k.labels.png', make_png(np.full((H, W), 2))), 'value 2'),
  (('k.depth.npy', b'\x93NUMPY'), 'k.depth.npy'),
]


@pytest.mark.parametrize('part, words', BAD)
def test_a_bad_part_is_one_line(part, words, tmp_path):
  (tmp_path / 'dataset.json').write_text(json.dumps(SAID))
  path = make_tar(
    tmp_path / 'a.tar', [('k.jpg', photo()), part, ('l.jpg', photo(2))]
  )
  manifest = prepare.prepare_dataset(
    WebDataset(path, meaning=str(tmp_path / 'dataset.json')),
    tmp_path / 'out',
    limits=Limits(most_bad='100 percent'),
  )
  assert manifest['count'] == 1
  (entry,) = manifest['skipped']
  assert words in entry['reason'] and '\n' not in entry['reason']


def test_keys_without_a_photograph_or_with_two(tmp_path):
  path = make_tar(
    tmp_path / 'a.tar',
    [('k.jpg', photo()), ('k.png', b''), ('l.txt', 'x'), ('m.jpg', photo())],
  )
  dataset = WebDataset(path)
  assert dataset.ids == ('a/m',)
  assert [why for _, why in dataset.skipped] == [
    'several photographs of this key', 'no photograph of this key',
  ]  # fmt: skip
