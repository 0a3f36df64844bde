"""Runs are compared where they can be, and it is said where they cannot."""

import json

import numpy as np
import pytest

from vbanana_jax import cli
from vbanana_jax import config as config_lib
from vbanana_jax.evaluation import (
  example_scores,
  gallery_file,
  run_curves,
  run_examples,
  run_tables,
  scored_runs,
)
from vbanana_jax.report import tables

N, EDGE = 24, 8
HARD = np.random.default_rng(0).uniform(0.1, 0.5, N)  # of each example


def make_edit_states(errors):
  """States of edits, by the mean absolute error of each."""
  ones = np.ones(N, np.int32)
  states = {}
  for part in ('', 'edited_', 'kept_'):
    states[f'{part}images'] = ones
    states[f'{part}mae'] = np.asarray(errors, np.float32)
    states[f'{part}psnr'] = np.full(N, 20, np.float32)
  return {**states, 'made': ones}


def write_run(
  workdir, offset=0.0, *, states=True, level='quick', n=N, size=8, seed=0
):
  """A run that was scored on edits, and watched while it was trained."""
  workdir.mkdir(parents=True)
  errors = HARD + offset
  value = float(np.mean(errors))
  rows = [
    {
      'task': 'edit@16', 'metric': metric, 'value': value, 'n': n,
      'interval': [value - 0.1, value + 0.1], 'constant': constant,
      'better': better,
    }
    for metric, constant, better in (
      ('mae', 0.2, 'min'), ('odd', None, None), ('bare', None, 'max')
    )
  ]  # fmt: skip
  config = config_lib.load_config('quickstart:smoke').to_dict()
  config |= {'batch_size': size, 'seed': seed}
  target = np.random.default_rng(0).random((EDGE, EDGE, 3)).astype(np.float32)
  example = {
    'prompt': 'move <it>', 'source': target, 'painted': target + offset,
    'target': target, 'valid_px': np.ones((EDGE, EDGE), bool), 'aux': {},
  }  # fmt: skip
  shown = {'edit@16': [example]}
  results = {
    'eval_set': 'eval_v2', 'level': level, 'rows': rows,
    'by_count': {'edit@16': {'0': {'mae': value}, '10': {'mae': 2 * value}}},
    'phases': {}, 'seconds': 1.0, 'seconds_train_eval': 1.0, 'untrained': [],
    'elsewhere': [], 'weights': 'of nobody', 'versions': {'jax': '<1>'},
    'git': {'commit': 'c0ffee' * 6, 'changed': 'yes'},
    'config': config, 'prompts': gallery_file.list_prompts(shown),
  }  # fmt: skip
  (workdir / 'results.json').write_text(json.dumps(results))
  gallery_file.save_gallery(workdir / 'gallery.npz', shown)
  if states:
    found = {'edit@16': make_edit_states(errors)}
    example_scores.save_states(workdir / 'example_scores.npz', found)
  lines = [
    {'step': step, 'loss': 1 / step, 'images_per_second': 40 + step}
    for step in range(1, 30)
  ]
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (workdir / 'metrics.jsonl').write_text(text)
  command = ['/somewhere/bin/vbanana', 'train', '--workdir', 'a b']
  run = {'config': config, 'command': command, 'git': results['git']}
  (workdir / 'run.json').write_text(json.dumps(run))
  return workdir


def compare(*workdirs):
  runs = scored_runs.load_runs(workdirs)
  places, pairs = run_tables.list_places(runs), run_tables.find_pairs(runs)
  return run_tables.make_difference_table(runs, places, 'differences', pairs)


def test_the_same_examples_tell_runs_apart_that_intervals_do_not(tmp_path):
  base = write_run(tmp_path / 'a')
  worse = write_run(tmp_path / 'b', 0.01)
  table, reasons = compare(base, worse)
  assert not reasons
  mae, odd, bare = (row[1] for row in table.rows)
  assert mae.value == pytest.approx(0.01) and mae.verdict == tables.WORSE
  assert mae.interval == pytest.approx((0.01, 0.01), abs=1e-5)
  # Whose examples are not known, as of obedience, by their intervals alone.
  assert odd.verdict == bare.verdict == tables.SAME
  low, high = bare.interval
  assert (low, high) == pytest.approx(
    (0.01 - 0.1 * 2**0.5, 0.01 + 0.1 * 2**0.5)
  )
  assert 'but for edit@16 bare, edit@16 odd' in table.hint
  better = compare(worse, base)[0].rows[0][1]
  assert better.value == pytest.approx(-0.01)
  assert better.verdict == tables.BETTER


def test_results_from_before_are_compared_by_their_intervals(tmp_path):
  base = write_run(tmp_path / 'a', states=False)
  table, reasons = compare(base, write_run(tmp_path / 'b', 0.01))
  assert not reasons and 'unpaired' in table.hint
  assert table.rows[0][1].verdict == tables.SAME
  far = compare(base, write_run(tmp_path / 'c', 0.5))[0].rows
  assert far[0][1].verdict == tables.WORSE
  assert far[1][1].verdict == ''  # neither end is better
  assert far[2][1].verdict == tables.BETTER


def test_other_examples_are_not_compared_and_it_is_said(tmp_path):
  base = write_run(tmp_path / 'a')
  other = write_run(tmp_path / 'b', level='full')
  fewer = write_run(tmp_path / 'c', n=N - 1)
  table, reasons = compare(base, other, fewer)
  assert not table.rows and len(reasons) == 2
  assert 'b was scored on eval_v2, level full' in reasons[0]
  assert f'edit@16 ({N} examples of a, {N - 1} of c)' in reasons[1]
  runs = scored_runs.load_runs([base, other])
  scores = run_tables.make_score_table(runs, run_tables.list_places(runs), 's')
  assert [cell.value for cell in scores.rows[0][2:]] == [
    pytest.approx(np.mean(HARD))
  ] * 2


def test_a_score_without_a_constant_to_beat_has_no_color(tmp_path):
  runs = scored_runs.load_runs([write_run(tmp_path / 'a')])
  places = run_tables.list_places(runs)
  table = run_tables.make_score_table(runs, places, 's')
  assert [row[2].verdict for row in table.rows] == [tables.WORSE, '', '']
  counts = run_tables.make_count_table(runs)
  assert counts.columns == ['objects', '0', '10']


def test_curves_lie_over_each_other(tmp_path):
  folders = [write_run(tmp_path / name) for name in 'ab']
  runs = scored_runs.load_runs(folders)
  loss, speed = run_curves.make_curves(runs)[run_curves.COURSE]
  assert list(loss.series) == ['a', 'b'] and speed.from_zero
  assert loss.x_name == 'steps' and loss.series['b'][-1][0] == 29
  assert len(set(loss.colors.values())) == 2
  # A step of twice the batch is two of the other's.
  runs = scored_runs.load_runs(
    [folders[0], write_run(tmp_path / 'wide', size=16)]
  )
  loss, _ = run_curves.make_curves(runs)[run_curves.COURSE]
  assert loss.x_name == 'examples'
  assert [series[-1][0] for series in loss.series.values()] == [232, 464]


def test_the_same_example_is_shown_once_with_every_answer(tmp_path):
  folders = [write_run(tmp_path / 'a'), write_run(tmp_path / 'b', 0.2)]
  runs = scored_runs.load_runs(folders)
  (example,) = run_examples.make_galleries(runs)['edit@16']
  assert list(example.pictures) == ['input', 'held out']
  shown = [answer['painted'] for answer in example.answers.values()]
  assert list(example.answers) == ['a', 'b'] and np.any(shown[0] != shown[1])
  runs[1].gallery['edit@16'][0]['target'][0, 0] = 0  # another scene
  one, other = run_examples.make_galleries(runs)['edit@16']
  assert list(one.answers) == ['a'] and list(other.answers) == ['b']


def test_what_a_reader_saw_does_not_part_the_same_caption(tmp_path):
  folders = [write_run(tmp_path / 'a'), write_run(tmp_path / 'b')]
  runs = scored_runs.load_runs(folders)
  for run, saw in zip(runs, ('seen: a box', 'not seen: a box')):
    run.gallery['edit@16'][0]['prompt'] = f'a box ({saw})'
  (example,) = run_examples.make_galleries(runs)['edit@16']
  assert example.prompt == 'a box\na: (seen: a box)\nb: (not seen: a box)'


def test_the_page_of_two_runs(tmp_path, capsys, monkeypatch):
  monkeypatch.chdir(tmp_path)
  write_run(tmp_path / 'runs' / 'a')
  write_run(tmp_path / 'runs' / 'b', 0.01, seed=7)
  assert cli.main(['report', 'runs/a', 'runs/b']) == 0
  said = capsys.readouterr().out.splitlines()
  assert said[0] == 'runs/a/comparison.html' and 'runs/a is the base' in said[1]
  text = (tmp_path / 'runs' / 'a' / 'comparison.html').read_text()
  for words in (
    'b against a', 'vbanana train --workdir &#x27;a b&#x27;', 'c0ffee' * 6,
    'href="../b/run.json"', 'href="metrics.jsonl"', 'id="configs-that-differ"',
    'all of the config', '&lt;1&gt;', 'move &lt;it&gt;',
  ):  # fmt: skip
    assert words in text
  # What is seen first is short, and examples come before all other tables.
  assert text.index('id="examples"') < text.index('id="more-tables"')
  assert cli.main(['report', 'runs/a', '--out', 'page.html']) == 0
  said = capsys.readouterr().out
  assert said.startswith('page.html\n') and 'report runs/a OTHER_RUN' in said
  text = (tmp_path / 'page.html').read_text()
  assert 'href="runs/a/run.json"' in text and 'Differences' not in text


def test_mistakes_are_named(tmp_path, capsys, monkeypatch):
  monkeypatch.chdir(tmp_path)
  write_run(tmp_path / 'a')
  write_run(tmp_path / 'b')
  (tmp_path / 'b' / 'results.json').rename(tmp_path / 'b' / 'results_full.json')

  def fails(*argv):
    assert cli.main(['report', *argv]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not list(tmp_path.rglob('*.html'))
    return line

  assert 'needs either' in fails()
  assert 'needs either' in fails('a', '--protocols', 'x')
  assert 'gone has no results.json' in fails('a', 'gone')
  assert 'a/results.json is given twice' in fails('a', 'a/results.json')
  assert 'name that file, b/results_full.json' in fails('a', 'b')
  assert 'gone.json: no such file' in fails('gone.json')
  assert '--markdown and --all are of --protocols' in fails('a', '--all')
  # Scores of other examples than those that results.json is of.
  states = {'edit@16': make_edit_states(HARD + 1)}
  example_scores.save_states(tmp_path / 'a' / 'example_scores.npz', states)
  write_run(tmp_path / 'c')
  assert 'not of the results beside it' in fails('a', 'c')


def test_results_of_another_level_are_named_by_their_file(tmp_path):
  a = write_run(tmp_path / 'a')
  for name in ('results.json', 'gallery.npz', 'example_scores.npz'):
    stem, _, end = name.partition('.')
    (a / f'{stem}_full.{end}').write_bytes((a / name).read_bytes())
  one, full = scored_runs.load_runs([a, a / 'results_full.json'])
  assert (one.name, full.name) == ('a', 'a full')
  assert full.name_file('gallery.npz') == a / 'gallery_full.npz'
  assert full.states.keys() == {'edit@16'}


def test_a_run_that_was_scored_elsewhere_brings_its_curves(tmp_path):
  trained = write_run(tmp_path / 'run' / 'tune')
  scored = tmp_path / 'scored'
  scored.mkdir()
  found = scored_runs.find_folders(scored, str(trained))
  assert found == {'tune': trained}
  found = scored_runs.find_folders(trained.parent)
  assert found == {'tune': trained}
  assert scored_runs.find_folders(scored) == {}
