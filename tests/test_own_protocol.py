"""A split of one's own: prepared, asked, answered and scored."""

import json

import numpy as np
import painted
import pytest
from byte_files import assert_refused, make_png

from vbanana_jax import cli, labels
from vbanana_jax.benchmark import own_protocol, protocols, questions
from vbanana_jax.codecs import palettes
from vbanana_jax.data import labeled, prepare
from vbanana_jax.evaluation import protocol_eval
from vbanana_jax.tasks import legend_colors

pytestmark = pytest.mark.usefixtures('quick_compilation')

VOID = labels.VOID
H, W = 24, 32
TASKS = ('depth', 'normals', 'semantic', 'referring', 'instance')
HEADLINES = {
  'depth': ('delta1', 1.0),
  'normals': ('mean_deg', 0.0),
  'semantic': ('miou', 1.0),
  'referring': ('ciou', 1.0),
  'instance': ('pmf1', 1.0),
}


class HeldOut(labeled.DataSet):
  """Two photographs with every label; the second lacks its phrases."""

  name, license, source = 'My Rooms (val)', '', ''
  # A background, which nobody asks for, and two classes.
  classes = labels.Classes(('other', 'wall', 'cup'), (1, 2), (2,))
  ids = ('b/2.png', 'a/1.png')

  def load(self, index):
    semantic = np.zeros((H, W), int)
    semantic[:4], semantic[8:20, 4:28], semantic[20:] = 1, 2, VOID
    instance = np.zeros((H, W), int)
    instance[8:20, 4:14], instance[8:20, 18:28] = 1, 2
    semantic[8:20, 14:18] = 0
    depth_m = np.linspace(1, 6 + index, H * W, dtype=np.float32)
    depth_m[:3] = np.nan, np.inf, np.nan
    phrases = (
      labels.Phrase('the left cup', instance == 1),
      labels.Phrase('a spoon', instance == 7),
      labels.Phrase('both cups', instance > 0),
    )
    return labeled.LabeledPicture(
      id=self.ids[index],
      file=self.ids[index],
      encoded=make_png(np.full((H, W, 3), 100 + index)),
      depth_m=depth_m.reshape(H, W),
      normals=painted.make_room(H, W).astype(np.float32),
      semantic=semantic,
      instance=instance,
      instance_class=(2, 2),
      phrases=() if index else phrases,
    )


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  out = tmp_path_factory.mktemp('rooms') / 'val'
  prepare.prepare_dataset(HeldOut(), out)
  return out


def write_protocol(folder, task, path):
  return cli.main(
    ['protocol', 'new', '--data', str(folder), '--task', task, '--out',
     str(path)]
  )  # fmt: skip


@pytest.mark.parametrize('task', TASKS)
def test_from_a_folder_to_its_scores(task, folder, tmp_path, capsys):
  path = tmp_path / 'mine.json'
  assert write_protocol(folder, task, path) == 0
  assert f'vbanana evaluate --protocol {path}' in capsys.readouterr().out
  protocol = protocols.load_protocol(str(path))
  assert protocol.name == f'my_rooms_val_{task}' and protocol.task == task
  reader = protocol.open(folder)
  assert protocol.has_known_ids(reader.items)
  assert protocol.count == len(reader.items) == {'referring': 3}.get(task, 2)

  assert cli.main(['doctor', str(path), str(folder)]) == 0
  said = capsys.readouterr().out
  assert 'no fault found' in said and 'ids are those of the protocol' in said
  assert 'published' not in said
  shared = ['--protocol', str(path), '--data', str(folder)]
  asked = tmp_path / 'asked'
  assert cli.main(['prompts', *shared, '--out', str(asked)]) == 0
  lines = (asked / 'prompts.jsonl').read_text().splitlines()
  assert len(lines) == protocol.count
  assert all((asked / 'images' / f'{x.id}.png').is_file() for x in reader.items)

  answers = tmp_path / 'answers'
  painted.paint(protocol, folder, answers)
  assert cli.main(['evaluate', *shared, '--predictions', str(answers)]) == 0
  scores = json.loads((answers / f'scores_{protocol.title}.json').read_text())
  name, best = HEADLINES[task]
  assert scores['headline'][0] == name
  assert scores['complete'] and scores['ids_published']
  assert scores['metrics'][name]['value'] == pytest.approx(best, abs=0.5)
  if best:
    assert scores['metrics'][name]['value'] == pytest.approx(best, abs=1e-3)
  capsys.readouterr()
  assert cli.main(['report', '--protocols', str(answers)]) == 0
  table = capsys.readouterr().out
  assert table.startswith(protocol.name) and 'Pictures of your own' in table
  assert 'not measured here' not in table


def test_what_is_asked_and_what_does_not_count(folder):
  semantic = own_protocol.make_protocol(folder, 'semantic')
  assert [name for name, _ in semantic.classes] == ['wall', 'cup']
  for kind in own_protocol.COLORS:
    protocol = own_protocol.make_protocol(folder, 'semantic', colors=kind)
    colors = [(0, 0, 0), *(tuple(color) for _, color in protocol.classes)]
    gaps = np.linalg.norm(np.diff(colors, axis=0), axis=1)
    assert min(gaps) >= legend_colors.MIN_DISTANCE
    prompt, _ = questions.ask(protocol, questions.ANY_ITEM)
    for color in colors:
      assert palettes.format_color(color, own_protocol.COLORS[kind]) in prompt
  reader = semantic.open(folder)
  truth = reader.load_truth(reader.items[0])['semantic']
  # What nobody asks for is none of the classes, and counts; VOID does not.
  assert truth[0, 0] == 0 and truth[8, 4] == 1
  assert truth[5, 0] == -1 and truth[23, 0] == 255
  depth = own_protocol.make_protocol(folder, 'depth')
  assert depth.clamp_m == [depth.near_m, 8.0] and depth.cap_m is None
  reader = depth.open(folder)
  assert [item.id for item in reader.items] == ['b_2.png', 'a_1.png']
  np.testing.assert_array_equal(
    reader.load_truth(reader.items[0])['depth_m'][0, :3], 0
  )
  assert reader.load_image(reader.items[1])[0, 0, 0] == 101
  referring = own_protocol.make_protocol(folder, 'referring')
  items = referring.open(folder).items
  assert [item.phrase for item in items] == [
    'the left cup', 'a spoon', 'both cups'
  ]  # fmt: skip
  assert [item.id for item in items] == [f'b_2.png-{k}' for k in range(3)]
  instance = own_protocol.make_protocol(folder, 'instance')
  assert [item.phrase for item in instance.open(folder).items] == ['cup'] * 2


def test_a_run_in_training_takes_the_file(folder, tmp_path):
  path = tmp_path / 'mine.json'
  write_protocol(folder, 'depth', path)
  ((protocol, data),) = protocol_eval.parse_protocols(f'{path}={folder}')
  assert protocol == protocols.load_protocol(str(path)) and data == folder


def change(path, **fields):
  found = {**json.loads(path.read_text()), **fields}
  kept = {key: value for key, value in found.items() if value != 'gone'}
  path.write_text(json.dumps(kept))


@pytest.mark.parametrize(
  'fields, words',
  [
    ({'prompt': 'gone'}, ('not a protocol', 'prompt')),
    ({'colour': 1}, ('not a protocol', 'colour')),
    ({'reader': 'mine'}, ('no reader', 'mine')),
    ({'reader': ['x']}, ('reader', 'expected str')),
    ({'passes': 'x'}, ('passes', 'expected int')),
    ({'classes': 7}, ('classes', 'expected list')),
    ({'cap_m': '5 m'}, ('cap_m', '5 m')),
    ({'classes': [['wall', [1, 2, 256]]]}, ('classes', '256')),
    ({'task': 'depth'}, ('no reader', 'depth')),
    ({'split': 'val'}, ("split 'val'", 'all')),
    ({'name': '../x'}, ('../x',)),
  ],
)
def test_wrong_files_are_named(fields, words, folder, tmp_path):
  path = tmp_path / 'mine.json'
  write_protocol(folder, 'semantic', path)
  change(path, **fields)
  assert_refused(
    lambda: protocols.load_protocol(str(path)), 'mine.json', *words
  )


def test_a_folder_of_other_classes_and_of_none(folder, tmp_path):
  path = tmp_path / 'mine.json'
  write_protocol(folder, 'semantic', path)
  change(path, classes=[['cup', [9, 9, 9]]])
  protocol = protocols.load_protocol(str(path))
  assert_refused(lambda: protocol.open(folder), str(folder), 'other classes')
  assert_refused(
    lambda: protocols.load_protocol(str(tmp_path / 'no.json')), 'no such file'
  )


def test_what_cannot_be_asked(folder, tmp_path, capsys):
  make = own_protocol.make_protocol
  assert_refused(lambda: make(folder, 'generate'), 'generate', 'depth')
  assert_refused(lambda: make(folder, 'maps'), '--task maps', 'depth')
  assert_refused(lambda: make(tmp_path, 'depth'), 'manifest.json', 'prepare')
  name = 'NYUv2 depth'
  assert_refused(lambda: make(folder, 'depth', name=name), 'published')
  assert_refused(lambda: make(folder, 'depth', name='.'), '--name')
  path = tmp_path / 'mine.json'
  assert write_protocol(folder, 'depth', path) == 0
  text = path.read_text()
  assert write_protocol(folder, 'semantic', path) == 2
  assert 'never changes' in capsys.readouterr().err
  assert path.read_text() == text
  assert write_protocol(folder, 'depth', tmp_path / 'x.txt') == 2


def test_a_label_that_no_picture_has(tmp_path):
  class Depth(HeldOut):
    def load(self, index):
      full = HeldOut().load(index)
      return labeled.LabeledPicture(
        full.id, full.file, full.encoded, depth_m=full.depth_m
      )

  prepare.prepare_dataset(Depth(), tmp_path / 'val')
  assert_refused(
    lambda: own_protocol.make_protocol(tmp_path / 'val', 'semantic'),
    'no picture has semantic',
    'it has depth_m',
  )


def test_more_classes_than_are_scored(tmp_path):
  class Many(HeldOut):
    names = tuple(f'class {k}' for k in range(255))
    classes = labels.Classes(names, tuple(range(255)))

  prepare.prepare_dataset(Many(), tmp_path / 'val')
  assert_refused(
    lambda: own_protocol.make_protocol(tmp_path / 'val', 'semantic'),
    '255 classes',
    '254',
  )


def test_scores_stand_beside_the_best_constant_answer(folder, tmp_path, capsys):
  path, answers = tmp_path / 'mine.json', tmp_path / 'answers'
  write_protocol(folder, 'semantic', path)
  protocol = protocols.load_protocol(str(path))
  # Cups everywhere: of the classes that are asked for, most pixels are cups.
  cup = np.array(protocol.classes[1][1], np.uint8)
  painted.paint(
    protocol, folder, answers, spoil=lambda x: np.zeros_like(x) + cup
  )
  shared = ['--protocol', str(path), '--data', str(folder)]
  assert cli.main(['evaluate', *shared, '--predictions', str(answers)]) == 0
  scores = json.loads((answers / f'scores_{protocol.title}.json').read_text())
  # 4 rows of wall, 12 x 20 pixels of cup, and all else above row 20 is none.
  area, everything = {'wall': 4 * W, 'cup': 12 * 20}, 20 * W
  iou = {'wall': 0.0, 'cup': area['cup'] / everything}
  share = {name: area[name] / sum(area.values()) for name in area}
  for name, row in scores['classes'].items():
    assert row['iou'] == pytest.approx(iou[name])
    assert row['share'] == pytest.approx(share[name])
  for name, constant in scores['constants'].items():
    assert constant == pytest.approx(scores['metrics'][name]['value'])
  assert scores['constants']['miou'] == pytest.approx(iou['cup'] / 2)
  assert scores['constants'].keys() == set(protocol.headline)
  table = capsys.readouterr().out
  assert f'cup       {iou["cup"]:.3f}  {share["cup"]:.1%}' in table
  assert 'constant' in table
  assert cli.main(['report', '--protocols', str(answers)]) == 0
  assert 'best constant answer' in capsys.readouterr().out
