"""Any generator's pictures under a protocol: right answers score right."""

import json

import numpy as np
import painted
import pytest
from PIL import Image, ImageFilter

from vbanana_jax import cli
from vbanana_jax.benchmark import protocols
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import score_folder, scores

pytestmark = pytest.mark.usefixtures('quick_compilation')

PERFECT = {
  'depth': {'delta1': 1.0, 'abs_rel': 0.0, 'aligned_median_delta1': 1.0},
  'normals': {'mean_deg': 0.0},
  'semantic': {'miou': 1.0},
  'referring': {'ciou': 1.0, 'giou': 1.0},
  'instance': {'pmf1': 0.99985},
}
SLACK = {'abs_rel': 0.01, 'mean_deg': 0.6, 'pmf1': 1e-4}


@pytest.fixture(scope='module', params=list(painted.PROTOCOLS))
def answered(request, tmp_path_factory):
  """A benchmark of each task with right answers of another size."""
  root = tmp_path_factory.mktemp(request.param)
  protocol = painted.write_benchmark(request.param, root / 'data')
  painted.paint(protocol, root / 'data', root / 'out')
  return protocol, root / 'data', root / 'out'


def test_right_answers_of_another_size_are_right(answered):
  protocol, data, out = answered
  found = score_folder.grade(protocol, data, out, partial=True).results
  for name, value in PERFECT[protocol.task].items():
    got = found['metrics'][name]['value']
    assert got == pytest.approx(value, abs=SLACK.get(name, 1e-6)), name
    low, high = found['metrics'][name]['interval']
    assert low - 1e-9 <= got <= high + 1e-9
  assert (found['protocol'], found['version']) == (protocol.name, 1)
  assert found['n'] == 2 and set(protocol.headline) <= set(found['metrics'])
  assert not any(found['odd_pictures'].values())


def test_part_of_a_split_is_refused_unless_asked_for(answered):
  protocol, data, out = answered
  if protocol.count is None:
    return  # how many there should be is not known
  with pytest.raises(UserError, match=f'{protocol.count} examples'):
    score_folder.grade(protocol, data, out)
  assert not score_folder.grade(protocol, data, out, partial=True).results[
    'complete'
  ]


def test_the_command_scores_compares_and_reports(tmp_path, capsys):
  data, good, bad = (tmp_path / name for name in ('data', 'good', 'bad'))
  protocol = painted.write_benchmark('depth', data)
  painted.paint(protocol, data, good)
  painted.paint(protocol, data, bad, spoil=np.zeros_like)
  argv = ['--protocol', protocol.name, '--data', str(data), '--partial']
  for out in (bad, good):
    command = ['evaluate', '--predictions', str(out), *argv]
    assert cli.main(command) == 0
  path = bad / f'scores_{protocol.title}.json'
  assert cli.main([*command, '--against', str(path)]) == 0
  printed = capsys.readouterr().out
  assert 'PART OF THE SPLIT' in printed and protocol.known_difference in printed
  assert '+1' in printed.partition('difference, this minus the other')[2]

  assert cli.main(['report', '--protocols', str(good)]) == 0
  table = capsys.readouterr().out
  assert 'ibims1_depth' in table and str(good) in table
  assert '0.934' in table  # the paper's
  assert 'not measured here' not in table and 'nyuv2' not in table

  other = json.loads(path.read_text())
  path.write_text(json.dumps({**other, 'version': 2}))
  assert cli.main([*command, '--against', str(path)]) == 2
  assert 'version is 1 here and 2 there' in capsys.readouterr().err


def test_the_last_that_was_scored_comes_first(tmp_path):
  result = {'protocol': 'x', 'version': 1, 'n': 3, 'passes': 1, 'metrics': {},
            'complete': True}  # fmt: skip
  dates = {'a': '2026-01-02T09:00:00', 'b': '2026-01-02T10:00:00', 'c': ''}
  for name, date in dates.items():
    path = tmp_path / f'scores_{name}.json'
    path.write_text(json.dumps({**result, 'protocol': name, 'date': date}))
  found = [each['protocol'] for each in scores.find_results([tmp_path])]
  assert found == ['b', 'a', 'c']


def test_saco_is_the_mean_of_seven_subsets(tmp_path):
  metrics = {'pmf1': {'value': 0.0, 'interval': [0.0, 0.1]}}
  for k, title in enumerate(
    t for t in protocols.list_protocols() if t.startswith('saco')
  ):
    metrics['pmf1']['value'] = k / 10
    result = {
      'protocol': title.removesuffix('_v1'),
      'version': 1,
      'n': 3,
      'passes': 1,
      'complete': True,
      'headline': ['pmf1'],
      'metrics': metrics,
    }
    (tmp_path / f'scores_{title}.json').write_text(json.dumps(result))
  *_, mean = found = scores.find_results([tmp_path])
  assert len(found) == 8 and mean['protocol'] == 'saco_gold_instance'
  assert mean['metrics']['pmf1']['value'] == pytest.approx(0.3)
  assert mean['n'] == 21
  (tmp_path / f'scores_{title}.json').unlink()
  assert len(scores.find_results([tmp_path])) == 6


def test_scores_load_as_saved(answered, tmp_path):
  grade = score_folder.grade(*answered, partial=True)
  scores.save_scores(grade, tmp_path / 'scores_x.json')
  results, states = scores.load_scores(tmp_path / 'scores_x.json')
  assert results == json.loads(json.dumps(grade.results))
  for name, state in grade.states.items():
    np.testing.assert_array_equal(states[name], state)
  same = scores.compare(grade, results, states)
  assert all(value == (0.0, (0.0, 0.0)) for value in same.values())


def test_a_vote_outvotes_one_spoiled_pass(tmp_path):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark('semantic', data)
  painted.paint(protocol, data, out, spoil=lambda rgb: rgb[:, ::-1])
  for repeat in (1, 2):
    painted.paint(protocol, data, out, repeat=repeat)
  found = score_folder.grade(
    protocol, data, out, passes=3, partial=True
  ).results
  assert found['passes'] == 3
  assert found['metrics']['miou']['value'] == 1.0
  assert found['single_pass']['miou']['value'] < 0.9
  single = score_folder.grade(protocol, data, out, partial=True).results
  assert single['metrics'] == found['single_pass']
  assert single['single_pass'] is None


def test_odd_pictures_are_counted(tmp_path, capsys):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark('instance', data)
  painted.paint(protocol, data, out, scale=1, spoil=_tile)
  argv = ['evaluate', '--predictions', str(out), '--data', str(data)]
  assert cli.main([*argv, '--protocol', protocol.name]) == 0
  printed = capsys.readouterr().out
  assert '2 pictures of another aspect' in printed
  assert '2 pictures of too many instances' in printed
  assert 'nobody has said how many' in printed


def test_pictures_of_nothing_and_kept_with_loss_are_counted(tmp_path):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark('semantic', data)
  painted.paint(protocol, data, out, scale=1)
  first, second = sorted(out.iterdir())
  picture = Image.open(first).convert('RGB')
  first.unlink()
  picture.save(first.with_suffix('.jpg'))
  black = np.zeros((painted.H, painted.W, 3), np.uint8)
  Image.fromarray(black).save(second)
  results = score_folder.grade(protocol, data, out, partial=True).results
  counts = {text: n for text, n in results['odd_pictures'].items() if n}
  assert counts == {
    'that show nothing but the background': 1,
    'kept with loss, as JPEG, which changes colors where they meet': 1,
  }


def test_colors_in_place_of_others_are_counted(tmp_path, capsys):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark('referring', data)

  def repaint(rgb):
    return np.where(rgb == 255, np.uint8(211), rgb)  # lightgrey for white

  painted.paint(protocol, data, out, scale=1, spoil=repaint)
  argv = ['evaluate', '--predictions', str(out), '--data', str(data)]
  assert cli.main([*argv, '--protocol', protocol.name, '--partial']) == 0
  path = out / f'scores_{protocol.title}.json'
  odd = json.loads(path.read_text())['odd_pictures']
  assert odd['with a named color in place of one that was asked for'] == 2
  assert '2 pictures with a named color in place' in capsys.readouterr().out


def test_rims_are_counted_as_a_share(tmp_path, capsys):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark('semantic', data)

  def smooth(rgb):
    return np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(1)))

  painted.paint(protocol, data, out, scale=8, spoil=smooth)
  argv = ['evaluate', '--predictions', str(out), '--data', str(data)]
  assert cli.main([*argv, '--protocol', protocol.name, '--partial']) == 0
  path = out / f'scores_{protocol.title}.json'
  shares = json.loads(path.read_text())['shares_of_pixels']
  (name,) = shares
  assert name == 'between_colors_share'
  assert 1e-3 < shares[name] < 0.1
  printed = capsys.readouterr().out
  assert f'{shares[name]:.2%} lie between two colors' in printed
  assert '2 pictures with borders that mix two colors' in printed


def test_where_no_surface_is_painted_90_degrees_are_counted(tmp_path, capsys):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark('normals', data)

  def erase(rgb):  # the left quarter
    rgb[:, : rgb.shape[1] // 4] = (255, 0, 255)
    return rgb

  painted.paint(protocol, data, out, spoil=erase)
  argv = ['evaluate', '--predictions', str(out), '--data', str(data)]
  assert cli.main([*argv, '--protocol', protocol.name, '--partial']) == 0
  path = out / f'scores_{protocol.title}.json'
  results = json.loads(path.read_text())
  mean = results['metrics']['mean_deg']['value']
  assert mean == pytest.approx(90 / 4, abs=0.6)
  assert results['shares_of_pixels'] == {'no_surface_share': 0.25}
  assert results['metrics']['within_11.25']['value'] == pytest.approx(0.75)
  assert '2 pictures with colors that no direction has' in (
    capsys.readouterr().out
  )


@pytest.mark.parametrize('task', ['semantic', 'referring', 'instance'])
def test_right_answers_on_transparency_are_right(task, tmp_path, capsys):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark(task, data)
  ground = tuple(protocol.background or (0, 0, 0))

  def cut_out(rgb):
    shown = (rgb != ground).any(-1, keepdims=True)
    return np.concatenate([rgb * shown, 255 * shown.astype(np.uint8)], -1)

  painted.paint(protocol, data, out, spoil=cut_out)
  argv = ['evaluate', '--predictions', str(out), '--data', str(data)]
  argv += ['--protocol', protocol.name, '--partial']
  assert cli.main(argv) == 0
  path = out / f'scores_{protocol.title}.json'
  found = json.loads(path.read_text())['metrics']
  for name, value in PERFECT[task].items():
    assert found[name]['value'] == pytest.approx(value, abs=1e-4)
  assert '2 pictures with transparency, laid over' in capsys.readouterr().out


def _tile(rgb):
  """Four hundred squares, too many for the decoder."""
  tiles = np.random.default_rng(0).integers(60, 256, (10, 40, 3), np.uint8)
  return tiles.repeat(8, 0).repeat(8, 1)


@pytest.mark.parametrize(
  'spoil, says',
  [
    (lambda out: [p.unlink() for p in out.iterdir()], 'no picture lies there'),
    (
      lambda out: [p.rename(out / f'0{p.name}') for p in out.iterdir()],
      'its 2 pictures have other names, as 0a_1.png',
    ),
    (lambda out: _shorten(out / 'a_1.png'), 'a_1.png: damaged picture'),
    (lambda out: (out / 'a_1.JPG').write_bytes(b''), 'answers the same'),
  ],
)
def test_wrong_predictions_are_one_line(spoil, says, tmp_path, capsys):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark('depth', data)
  painted.paint(protocol, data, out, scale=1)
  spoil(out)
  before = sorted(out.iterdir())
  argv = ['evaluate', '--predictions', str(out), '--data', str(data)]
  assert cli.main([*argv, '--protocol', protocol.title, '--partial']) == 2
  error = capsys.readouterr().err.splitlines()[-1]
  assert error.startswith('vbanana: ') and says in error
  assert sorted(out.iterdir()) == before


def _shorten(path):
  path.write_bytes(path.read_bytes()[:-40])
