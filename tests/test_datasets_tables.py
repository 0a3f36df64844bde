"""Tables of pictures, as pyarrow and Hugging Face's `datasets` write them."""

import io
import json

import numpy as np
import pyarrow
import pytest
from byte_files import assert_refused, make_jpeg, make_png
from pyarrow import parquet

from vbanana_jax.data import prepare, record_source
from vbanana_jax.data.prepare_pictures import Limits
from vbanana_jax.datasets.tables import Tables

H, W = 6, 8
IMAGE = pyarrow.struct(
  [('bytes', pyarrow.binary()), ('path', pyarrow.string())]
)


def photo(level):
  rng = np.random.default_rng(level)
  return make_jpeg(rng.integers(0, 255, (H, W, 3)))


def images(contents):
  rows = [{'bytes': content, 'path': None} for content in contents]
  return pyarrow.array(rows, IMAGE)


def make_table(number=5, **columns):
  found = {
    'image': images([photo(k) for k in range(number)]),
    'caption': [f'number {k}' for k in range(number)],
    **columns,
  }
  return pyarrow.table(found)


def write_parquet(path, table, rows=2):
  path.parent.mkdir(parents=True, exist_ok=True)
  parquet.write_table(table, path, row_group_size=rows)


def write_arrow(path, table, rows=2):
  path.parent.mkdir(parents=True, exist_ok=True)
  with pyarrow.OSFile(str(path), 'wb') as file:
    with pyarrow.ipc.new_stream(file, table.schema) as writer:
      for batch in table.to_batches(max_chunksize=rows):
        writer.write_batch(batch)


def captions_of(out):
  source = record_source.RecordSource(out, 4)
  return [source[k].get('captions') for k in range(len(source))]


@pytest.mark.parametrize('write, name', [
  (write_parquet, 'train-00000-of-00001.parquet'),
  (write_arrow, 'train/data-00000-of-00001.arrow'),
])  # fmt: skip
def test_rows_of_either_file(write, name, tmp_path):
  write(tmp_path / 'in' / name, make_table())
  dataset = Tables(tmp_path / 'in')
  manifest = prepare.prepare_dataset(dataset, tmp_path / 'out')
  dataset.close()
  assert manifest['count'] == 5 and not manifest['skipped']
  assert captions_of(tmp_path / 'out') == [(f'number {k}',) for k in range(5)]
  assert "'image'" in manifest['notes'][0]


def test_splits_are_asked_about(tmp_path):
  for split in ('train', 'test'):
    write_parquet(tmp_path / 'data' / f'{split}-00000.parquet', make_table(2))
  assert_refused(lambda: Tables(tmp_path), '--split', 'test, train')
  assert_refused(lambda: Tables(tmp_path, split='dev'), 'test, train')
  assert len(Tables(tmp_path, split='test').ids) == 2


def test_several_captions_and_none(tmp_path):
  texts = pyarrow.array([['a', ' b  c'], [], None, ['']])
  write_parquet(tmp_path / 'x.parquet', make_table(4, caption=texts))
  prepare.prepare_dataset(Tables(tmp_path / 'x.parquet'), tmp_path / 'out')
  assert captions_of(tmp_path / 'out') == [('a', 'b c'), None, None, None]


def test_classes_with_names_are_captions(tmp_path):
  table = make_table(3, caption=[0, 1, 1]).rename_columns(['image', 'label'])
  features = {'label': {'names': ['tabby_cat', 'dog'], '_type': 'ClassLabel'}}
  said = {'huggingface': json.dumps({'info': {'features': features}})}
  write_parquet(tmp_path / 'x.parquet', table.replace_schema_metadata(said))
  prepare.prepare_dataset(Tables(tmp_path / 'x.parquet'), tmp_path / 'out')
  found = [caption for (caption,) in captions_of(tmp_path / 'out')]
  assert found == ['tabby cat', 'dog', 'dog']


def test_columns_of_labels(tmp_path):
  meters = np.linspace(1, 2, H * W, dtype=np.float32).reshape(H, W)
  file = io.BytesIO()
  np.save(file, meters)
  table = make_table(
    2,
    mask=images([make_png(np.ones((H, W))), make_png(np.zeros((H, W)))]),
    metres=pyarrow.array([file.getvalue(), None], pyarrow.binary()),
  )
  write_parquet(tmp_path / 'in' / 'x.parquet', table)
  assert_refused(lambda: Tables(tmp_path / 'in'), '"classes"')
  said = {
    'depth': {'unit': 'm'}, 'classes': ['sky', 'road'],
    'intrinsics': {'fx': 8, 'fy': 8, 'cx': 4, 'cy': 3},
  }  # fmt: skip
  (tmp_path / 'in' / 'dataset.json').write_text(json.dumps(said))
  dataset = Tables(tmp_path / 'in', labels=['depth=metres'])
  first, second = dataset.load(0), dataset.load(1)
  np.testing.assert_array_equal(first.depth_m, meters)
  assert (first.semantic == 1).all() and (second.semantic == 0).all()
  assert second.depth_m is None and first.intrinsics.fx == 8


BAD = [
  ({'image': images([None, photo(1)])}, 'image is empty'),
  ({'image': images([b'', photo(1)])}, 'not a JPEG'),
  ({'image': images([photo(0)[:50], photo(1)])}, 'damaged picture'),
  ({'image': ['a.jpg', 'b.jpg']}, 'holds no encoded picture'),
  ({'caption': [[1], [2]]}, 'is no text'),
]


@pytest.mark.parametrize('columns, words', BAD)
def test_a_bad_row_is_one_line(columns, words, tmp_path):
  write_parquet(tmp_path / 'x.parquet', make_table(2, **columns))
  try:
    manifest = prepare.prepare_dataset(
      Tables(tmp_path / 'x.parquet'),
      tmp_path / 'out',
      limits=Limits(most_bad='100 percent'),
    )
  except Exception as error:
    assert words in str(error) and '\n' not in str(error)
  else:
    assert words in manifest['skipped'][0]['reason']


def test_what_cannot_be_meant_is_refused(tmp_path):
  path = tmp_path / 'x.parquet'
  assert_refused(lambda: Tables(tmp_path), 'no *.parquet')
  write_parquet(path, make_table(2))
  for options, words in (
    ({'image': 'photo'}, 'it has image, caption'),
    ({'text': 'words'}, "no column 'words'"),
    ({'labels': ['depth']}, '=COLUMN'),
    ({'labels': ['depth=d']}, "no column 'd'"),
  ):
    assert_refused(lambda o=options: Tables(path, **o), words)
  write_parquet(path, make_table(2).rename_columns(['x', 'y']))
  assert_refused(lambda: Tables(path), 'give --image, one of x, y')


@pytest.mark.parametrize('write, ending', [
  (write_parquet, 'parquet'), (write_arrow, 'arrow'),
])  # fmt: skip
def test_damaged_tables_are_refused(write, ending, tmp_path):
  path = tmp_path / f'x.{ending}'
  write(path, make_table())
  whole = path.read_bytes()
  for content in (b'', b'x' * 99, whole[: len(whole) // 2]):
    path.write_bytes(content)
    assert_refused(lambda: Tables(path), f'x.{ending}')
