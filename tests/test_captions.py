"""Captions find their pictures however a table spells the names."""

import io
import json
import unicodedata
import zipfile

import prepared
import pytest
from PIL import Image

from vbanana_jax.cli import main
from vbanana_jax.data import (
  array_records,
  file_names,
  folders,
  selection,
)
from vbanana_jax.errors import UserError


def picture(value):
  file = io.BytesIO()
  Image.new('RGB', (8, 6), (value, 90, 7)).save(file, format='PNG')
  return file.getvalue()


def make_folder(root, names, tables):
  for number, name in enumerate(names):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(number))
  for name, content in tables.items():
    content = content if isinstance(content, bytes) else content.encode()
    (root / name).write_bytes(content)
  return root


def get_captions(source, out, **options):
  manifest = prepared.prepare_images(source, out, **options)
  found = prepared.captions_of(out)
  assert len(found) == manifest['count']
  return found


def to_lines(entries, file_key='file_name', text_key='text'):
  rows = [{file_key: name, text_key: text} for name, text in entries.items()]
  return '\n'.join(map(json.dumps, rows))


NAMES = ('cats/été_1.png', 'dogs/b.png', 'dogs/c.png')
TEXTS = {'cats/été_1.png': 'one', 'dogs/b.png': 'two', 'dogs/c.png': 'three'}
SPELLINGS = {
  'windows': lambda name: name.replace('/', '\\'),
  'mac': lambda name: unicodedata.normalize('NFD', name),
  'case': lambda name: name.upper(),
  'dot': lambda name: f'./{name}',
  'windows dot': lambda name: '.\\' + name.replace('/', '\\'),
  'no ending': lambda name: name.removesuffix('.png'),
  'absolute': lambda name: f'/home/ann/photos/{name}',
  'drive': lambda name: 'D:\\photos\\' + name.replace('/', '\\'),
  'url': lambda name: f'file:///home/ann/photos/{name}',
  'from above': lambda name: f'photos/{name}',
}


@pytest.mark.parametrize('spelling', SPELLINGS)
@pytest.mark.parametrize('on_disk', ['NFC', 'NFD'])
def test_usual_spellings_are_understood(spelling, on_disk, tmp_path):
  names = [unicodedata.normalize(on_disk, name) for name in NAMES]
  spelled = {SPELLINGS[spelling](name): text for name, text in TEXTS.items()}
  tables = {'metadata.jsonl': to_lines(spelled)}
  root = make_folder(tmp_path / 'photos', names, tables)
  assert get_captions(root, tmp_path / 'out') == ['one', 'two', 'three']


@pytest.mark.parametrize(
  'name, content',
  [
    ('metadata.csv', 'file_name,text\na.png,"one, two"\nb.png,three\n'),
    ('metadata.csv', '\ufefffile_name,text\r\na.png,"one, two"\r\nb.png,three'),
    ('metadata.csv', 'image;caption\na.png;one, two\nb.png;three\n'),
    ('Metadata.CSV', 'Filename,Caption,n\na.png,"one,\n two",3\nb.png,three,'),
    ('metadata.tsv', 'file_name\ttext\na.png\tone, two\nb.png\tthree\n'),
    (
      'metadata.csv',
      'file_name,text\na.png,"one, two"\nb.png,three'.encode('utf-16'),
    ),
    (
      'metadata.jsonl',
      '\ufeff'
      + to_lines({'a.png': 'one, two', 'b.png': 'three'}, 'image', 'caption'),
    ),
    (
      'metadata.jsonl',
      to_lines({'a.png': ['one, two', 'x'], 'b.png': ['three']}, 'filename'),
    ),
  ],
)  # fmt: skip
def test_tables_of_every_kind(name, content, tmp_path):
  root = make_folder(tmp_path / 'in', ['a.png', 'b.png'], {name: content})
  assert get_captions(root, tmp_path / 'out') == ['one, two', 'three']


@pytest.mark.parametrize(
  'name, content, says',
  [
    ('metadata.csv', 'file_name,text\na.png,one, two\n', 'line 2.*more cells'),
    ('metadata.csv', 'a.png,one\nb.png,two\n', 'line 2: needs "file_name"'),
    ('metadata.csv', 'file_name,text\na.png,"one\n', 'not a table'),
    ('metadata.jsonl', '[{"file_name": "a.png"}]', 'but a list: one object a'),
    ('metadata.jsonl', '5', 'line 1: not a JSON object'),
    ('metadata.jsonl', '{"file_name": "a.png", "text": 3}', 'must be text'),
    ('metadata.jsonl', '{"file_name": "a.png"}', 'has file_name'),
    ('metadata.parquet', b'PAR1', 'metadata.csv'),
  ],
)
def test_what_is_not_understood_is_named(name, content, says, tmp_path):
  root = make_folder(tmp_path / 'in', ['a.png', 'b.png'], {name: content})
  with pytest.raises(UserError, match=says) as raised:
    prepared.prepare_images(root, tmp_path / 'out')
  assert name in str(raised.value)
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('encoding', ['cp932', 'gbk', 'cp949', 'utf-8'])
def test_a_zip_that_does_not_say_its_encoding(encoding, tmp_path):
  words = {'cp949': ('고양이', '개'), 'gbk': ('小猫', '狗')}
  cat, dog = words.get(encoding, ('猫の表', '犬'))
  entries = {f'{cat}/1.png': 'one', f'{dog}/{dog}2.png': 'two'}
  table = to_lines(entries)
  archive = tmp_path / 'photos.zip'
  raw = {name: name.encode(encoding) for name in entries}
  # As long as the name, in ASCII: `zipfile` would write the others as UTF-8.
  plain = {
    name: f'{k}'.ljust(len(raw[name]), '_') for k, name in enumerate(raw)
  }
  with zipfile.ZipFile(archive, 'w') as file:
    for k, name in enumerate(entries):
      file.writestr(plain[name], picture(k))
    file.writestr('metadata.jsonl', table)
  content = archive.read_bytes()
  for name in entries:
    content = content.replace(plain[name].encode(), raw[name])
  archive.write_bytes(content)
  assert sorted(get_captions(archive, tmp_path / 'out')) == ['one', 'two']
  if encoding in ('cp932', 'utf-8'):  # the others are told by the table alone
    names = {member.name for member in folders.list_members(archive).members}
    assert names == {*entries, 'metadata.jsonl'}


def test_a_zip_with_windows_separators(tmp_path):
  archive = tmp_path / 'old.zip'
  with zipfile.ZipFile(archive, 'w') as file:
    for k, name in enumerate(('cats\\a.png', 'dogs\\b.png')):
      info = zipfile.ZipInfo('x')
      info.filename = name
      file.writestr(info, picture(k))
  assert get_captions(archive, tmp_path / 'out') == ['cats', 'dogs']


def test_what_matches_nothing_is_an_error_or_said(tmp_path, capsys):
  names = [f'{k:02}.png' for k in range(40)]
  entries = {name: f'text {name}' for name in names[2:]}
  entries |= {'gone.png': 'x', 'lost.png': 'y'}
  table = {'metadata.jsonl': to_lines(entries)}
  root = make_folder(tmp_path / 'few', names, table)
  manifest = prepared.prepare_images(root, tmp_path / 'out')
  first, second, third = manifest['notes']
  assert first.startswith('2 of 40 entries') and 'gone.png' in first
  assert 'metadata.jsonl line 39' in first
  assert second.startswith('2 of 40 pictures') and '00.png, 01.png' in second
  assert third == 'captions: 38 from tables'

  folder = [str(root), '--out', str(tmp_path / 'many')]
  (root / '00.png').rename(root / 'x0.png')
  for k in range(2, 4):
    (root / f'{k:02}.png').rename(root / f'x{k}.png')
  assert main(['prepare', 'image_folder', *folder]) == 2
  line = capsys.readouterr().err.splitlines()[-1]
  assert '4 of 40 entries' in line and '--allow-unmatched' in line
  assert '02.png' in line and '5%' in line
  assert not (tmp_path / 'many').exists()
  assert main(['prepare', 'image_folder', *folder, '--allow-unmatched']) == 0
  out = capsys.readouterr().out
  assert '4 of 40 entries' in out and '4 of 40 pictures' in out


def test_an_entry_is_of_one_picture_or_of_none():
  names = file_names.FileNames(
    [('a/1.png',), ('b/1.png',), ('b/A.png',), ('b/a.png',), ('c/2.jpg',)]
  )
  assert names.find('', 'a/1.png') == 'a/1.png'
  assert names.find('', '1.png') is None  # one of two
  assert names.find('b', '1.png') == 'b/1.png'
  assert names.find('', 'c/1.png') is None
  assert names.find('', 'b/a.png') == 'b/a.png'
  assert names.find('', 'B/a.PNG') is None
  assert names.find('', '2') == 'c/2.jpg'
  assert names.find('', '/data/set/b/1.png') == 'b/1.png'
  assert names.find('a', 'x/2.jpg') is None


def test_the_first_of_several_captions_is_taken(tmp_path):
  lines = to_lines({'a.png': 'one'}) + '\n' + to_lines({'a.png': 'two'})
  root = make_folder(tmp_path / 'in', ['a.png'], {'metadata.jsonl': lines})
  assert get_captions(root, tmp_path / 'out') == ['one']
  manifest = array_records.load_manifest(tmp_path / 'out')
  assert manifest['notes'][0].startswith('1 entries are of pictures that had')


@pytest.mark.parametrize('folder', ['', 'photos/'])
def test_loose_pictures_train_without_words(folder, tmp_path, capsys):
  names = [f'{folder}IMG_{k}.png' for k in range(3)]
  root = make_folder(tmp_path / 'in', names, {})
  make_folder(root, [f'{folder}._IMG_1.png'], {'.DS_Store': b'x'})
  argv = ['prepare', 'image_folder', str(root), '--out', str(tmp_path / 'out')]
  assert main(argv) == 0
  assert 'no captions: the pictures train without words' in (
    capsys.readouterr().out
  )
  assert prepared.captions_of(tmp_path / 'out') == [None] * 3


def test_films_are_said_to_be_one_picture(tmp_path):
  root = make_folder(tmp_path / 'in', ['a.png'], {})
  frames = [Image.new('RGB', (8, 6), color) for color in ('red', 'blue')]
  frames[0].save(root / 'b.gif', save_all=True, append_images=frames[1:])
  manifest = prepared.prepare_images(root, tmp_path / 'out', caption='x')
  assert manifest['notes'][-1] == (
    '1 files hold several pictures, of which the first is taken: b.gif'
  )


def test_where_captions_come_from_is_said(tmp_path):
  names = ['cats/a.png', 'cats/b.png', 'dogs/c.png', 'more/d.png']
  root = make_folder(tmp_path / 'in', names, {'cats/b.txt': 'bee'})
  (root / 'more/metadata.csv').write_text('file_name,text\nd.png,dee\n')
  manifest = prepared.prepare_images(root, tmp_path / 'out')
  assert manifest['notes'] == [
    'captions: 2 names of folders, 1 from texts beside them, 1 from tables '
    '(cats, dogs)'
  ]


@pytest.mark.parametrize(
  'text', ['a.txt', 'a.TXT', 'A.txt', 'a.caption', 'A.CAPTION']
)
def test_texts_beside_pictures_however_they_end(text, tmp_path):
  root = make_folder(tmp_path / 'in', ['a.png'], {text: 'one\n'})
  assert get_captions(root, tmp_path / 'out') == ['one']


@pytest.mark.parametrize(
  'name, content',
  [
    ('captions.csv', 'file_name,text\na.png,one\n'),
    ('metadata.json', '[{"file_name": "a.png", "text": "one"}]'),
    ('captions_train2017.json', '{"annotations": [{"caption": "one"}]}'),
    ('train.jsonl', '{"image": "a.png", "prompt": "one"}\n'),
    ('train-00000-of-00001.parquet', b'PAR1'),
  ],
)
def test_captions_that_nobody_reads_are_asked_about(name, content, tmp_path):
  root = make_folder(tmp_path / 'in', ['a.png', 'b.png'], {name: content})
  with pytest.raises(UserError, match='may hold captions') as raised:
    prepared.prepare_images(root, tmp_path / 'out')
  assert name in str(raised.value) and 'metadata.csv' in str(raised.value)
  assert not (tmp_path / 'out').exists()
  (root / 'a.txt').write_text('one')  # words, so that it is no mistake in all
  (root / 'b.txt').write_text('two')
  manifest = prepared.prepare_images(root, tmp_path / 'out')
  assert manifest['notes'][0] == (
    f'1 files may hold captions and are not read: {name}'
  )


def test_texts_that_name_no_picture_are_asked_about(tmp_path):
  names = ['a.png', 'b.png']
  texts = {'a_caption.txt': 'one', 'b_caption.txt': 'two'}
  root = make_folder(tmp_path / 'in', names, texts)
  with pytest.raises(UserError, match=r'2 files.*a_caption\.txt.*--allow'):
    prepared.prepare_images(root, tmp_path / 'out')
  out = tmp_path / 'out'
  assert get_captions(root, out, allow_unmatched=True) == [None, None]
  root = make_folder(tmp_path / 'other', names, {'README.txt': 'of a camera'})
  assert get_captions(root, tmp_path / 'b') == [None, None]


def test_tables_of_other_things_hold_no_captions(tmp_path):
  tables = {
    'instances.json': '{"info": {"description": "x"}, "annotations": []}',
    'boxes.csv': 'file_name,x,y\na.png,1,2\n',
  }
  root = make_folder(tmp_path / 'in', ['a.png'], tables)
  assert get_captions(root, tmp_path / 'out') == [None]


def test_splits_of_a_table_are_asked_about(tmp_path):
  table = 'file_name,text,split\na.png,one,train\nb.png,two,test\n'
  root = make_folder(
    tmp_path / 'in', ['a.png', 'b.png'], {'metadata.csv': table}
  )
  with pytest.raises(UserError, match=r'train 1, test 1.*--all'):
    prepared.prepare_images(root, tmp_path / 'out')
  everything = selection.Selection(take_all=True)
  out = tmp_path / 'out'
  assert get_captions(root, out, chosen=everything) == ['one', 'two']
  (root / 'metadata.csv').write_text(table.replace('test', 'train'))
  assert get_captions(root, tmp_path / 'b') == ['one', 'two']
