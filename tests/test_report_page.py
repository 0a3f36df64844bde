"""The page is valid, escaped, whole, small, and can be used in any way."""

import base64
import csv
import html.parser
import io
import re

import numpy as np
import pytest
from PIL import Image

from vbanana_jax.report import charts, facts, gallery, page, tables
from vbanana_jax.report.tables import Cell, Table

_VOID = {'meta', 'img', 'wbr', 'br'}


class Reader(html.parser.HTMLParser):
  """Elements with their attributes; fails where one is not closed in order."""

  def __init__(self, text):
    super().__init__()
    self.open, self.found, self.words = [], [], []
    self.feed(text)
    self.close()
    assert not self.open

  def handle_starttag(self, tag, attrs):
    self.found.append((tag, dict(attrs)))
    assert tag != 'a' or 'a' not in self.open
    if tag not in _VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.found.append((tag, dict(attrs)))

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if self.open and self.open[-1] not in ('style', 'script'):
      self.words.append(data)


def make_table():
  return Table(
    'scores <1>',
    ['score of', 'a', '<b>'],
    [
      [
        Cell('depth delta_1', 'depth delta_1 ↑'),
        Cell(0.123456789, '', (0.1, 0.2), tables.BETTER),
        Cell(None),
      ],
      [Cell('=cmd', '<i>'), Cell(-2.0, '', None, tables.SAME), Cell('x & y')],
    ],
    'how <to> read',
  )


def make_example(rng, runs=('',), edge=16):
  def draw():
    return rng.integers(0, 256, (edge, edge, 3)).astype(np.uint8)

  return gallery.Example(
    '<script>alert(1)</script>',
    {'input': draw(), 'truth': draw()},
    {run: {'painted': draw(), '<decoded>': draw()} for run in runs},
    {'error': [('right & good', (1, 2, 3))], 'nothing': []},
  )


def make_page(examples):
  notes = {'depth': 'a & b'}
  parts = gallery.draw_galleries({'depth': examples}, notes, 10**6)
  about = facts.draw_card(
    'run <b>', '#123456', {'weights': '<w>'}, {'run.json': 'a%20b/run.json'},
    {'command': facts.draw_text('vbanana <x>')},
  )  # fmt: skip
  drawn = charts.draw_chart(charts.Chart('a < b', {'a': [(0, 1), (1, 2)]}))
  sections = [
    page.Section('Scores', tables.draw_table(make_table())),
    page.Section('Empty'),
    page.Section('Examples', parts=parts),
    page.Section('Curves', f'<figure>{drawn}</figure>'),
    page.Section('Runs', about),
  ]  # fmt: skip
  return page.make_page('run <b>1</b>', '<p>a &amp; b</p>', sections)


@pytest.mark.parametrize('runs', [('',), ('a', '<b>')])
def test_page_is_valid_escaped_and_self_contained(runs):
  text = make_page([make_example(np.random.default_rng(0), runs)] * 2)
  reader = Reader(text)
  assert text.count('<script') == 1 and '&lt;script&gt;' in text
  assert 'run &lt;b&gt;1&lt;/b&gt;' in text
  for words in ('<w>', 'vbanana <x>', '<decoded>', 'right & good', '<i>'):
    assert words in reader.words
  ids = [attrs['id'] for _, attrs in reader.found if 'id' in attrs]
  assert len(ids) == len(set(ids))
  for tag, attrs in reader.found:
    address = attrs.get('src') or attrs.get('href') or 'data:'
    if address.startswith('#'):
      assert address[1:] in ids
    else:
      assert address.startswith(('data:', 'a%20b/')), address
    assert tag != 'link' and (tag != 'img' or attrs['alt'])
    assert not any(name.startswith('on') for name in attrs)
  assert 'url(' not in text and '@import' not in text
  # What is empty is in no list of contents, and what is there is.
  titles = ('scores', 'examples', 'examples-depth', 'curves', 'runs')
  for name in titles:
    assert f'href="#{name}"' in text
  assert 'Empty' not in text


def test_every_picture_is_there_once_and_as_it_was():
  example = make_example(np.random.default_rng(0), ('a', 'b'))
  uris = re.findall('src="data:image/png;base64,([^"]+)"', make_page([example]))
  images = [
    np.asarray(Image.open(io.BytesIO(base64.b64decode(uri)))) for uri in uris
  ]
  expected = [*example.pictures.values()]
  for pictures in example.answers.values():
    expected += pictures.values()
  assert len(images) == len(expected) == 6
  for image, picture in zip(images, expected):
    np.testing.assert_array_equal(image, picture)


def test_single_pictures_of_runs_stand_in_one_row():
  picture = np.zeros((4, 4, 3), np.uint8)
  answers = {'a': {'painted': picture}, 'b': {'painted': picture}}
  example = gallery.Example('p', {'held out': picture}, answers)
  text = make_page([example])
  assert text.count('class="cells"') == 1
  assert '<figcaption>b</figcaption>' in text


def test_the_first_example_is_seen_and_others_unfold():
  text = make_page([make_example(np.random.default_rng(0))] * 3)
  before, _, after = text.partition('<summary>2 more')
  assert before.count('<article') == 1 and after.count('<article') == 2


def test_page_stays_small_and_says_what_it_left_out():
  rng = np.random.default_rng(0)
  examples = [make_example(rng, edge=32) for _ in range(9)]
  parts = gallery.draw_galleries({'depth': examples}, {}, 60_000)
  shown = parts['depth'].count('<article')
  assert 0 < shown < 9 and f'{9 - shown} more left out' in parts['depth']
  assert len(parts['depth']) < 60_500


def test_tables_bring_all_digits_as_csv():
  text = tables.draw_table(make_table())
  (encoded,) = re.findall(
    'href="data:text/csv;charset=utf-8;base64,([^"]+)', text
  )
  head, first, second = csv.reader(
    io.StringIO(base64.b64decode(encoded).decode())
  )
  assert head == ['score of', 'a', 'a low', 'a high', '<b>']
  assert first == ['depth delta_1', '0.123456789', '0.1', '0.2', '']
  # A program that opens it takes no word for a formula.
  assert second == ["'=cmd", '-2.0', '', '', 'x & y']
  assert 'download="scores_1_.csv"' in text
  assert tables.draw_table(Table('t', ['a'], [])) == ''


def test_cells_can_be_sorted_and_say_what_their_color_says():
  text = tables.draw_table(make_table())
  assert 'data-v="0.123456789"' in text and '<td>' in text  # nothing: no key
  assert 'class="better"' in text and 'aria-label="better">▲' in text
  assert 'aria-label="same">≈' in text and 'worse' not in text
  script = page.make_page('t', '', [])
  assert 'ariaSort' in script and 'dataset.v' in script


def test_an_empty_page_is_one():
  assert '<h1>t</h1>' in page.make_page('t', '', [])
  Reader(page.make_page('t', '', []))


def test_pictures_of_another_type_are_refused():
  with pytest.raises(ValueError, match='float32'):
    gallery.make_data_uri(np.zeros((4, 4, 3), np.float32))


def test_links_are_relative_to_the_page(tmp_path):
  folder = tmp_path / 'run 1' / 'tune'
  folder.mkdir(parents=True)
  (folder / 'run.json').write_text('{}')
  found = facts.find_links(folder, ('run.json', 'none'), tmp_path / 'page.html')
  assert found == {'tune/run.json': 'run%201/tune/run.json'}


def test_the_style_knows_dark_paper_and_phones():
  text = page.make_page('t', '', [])
  for condition in ('prefers-color-scheme: dark', 'print', 'max-width: 559px'):
    assert re.search(rf'@media \(?{condition}\)?', text)
