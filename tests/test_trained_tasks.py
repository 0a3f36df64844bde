"""A run knows what it has learned, and from whom."""

import json

import pytest
import untrained

from vbanana_jax import cli, evaluate
from vbanana_jax.evaluation import results
from vbanana_jax.training import weights


def save_run(folder, mixture, init_from=''):
  folder.mkdir()
  sources = {'scenes': {'kind': 'scenes'}, 'mine': {'kind': 'records'}}
  config = {
    'mixture': mixture, 'init_from': str(init_from), 'sources': sources,
  }  # fmt: skip
  (folder / 'run.json').write_text(json.dumps({'config': config}))
  return config


def test_tasks_of_a_run_and_of_those_it_began_from(tmp_path):
  save_run(tmp_path / 'a', {'generate': 1.0, 'depth': 0.0})
  save_run(tmp_path / 'b', {'generate': 0.0, 'normals': 2.0}, tmp_path / 'a')
  config = save_run(tmp_path / 'c', {'edit': 1.0, 'depth': 0}, tmp_path / 'b')
  assert weights.find_trained_tasks(config) == {'generate', 'normals', 'edit'}


def test_tasks_of_scenes_alone(tmp_path):
  config = save_run(
    tmp_path / 'a', {'depth@mine': 1.0, 'edit': 1.0, 'edit@mine': 1.0}
  )
  assert weights.find_trained_tasks(config) == {'depth', 'edit'}
  assert weights.find_trained_tasks(config, 'scenes') == {'edit'}


@pytest.mark.parametrize('start', ['nowhere', 'itself'])
def test_a_beginning_that_is_gone_hides_nothing(tmp_path, start):
  config = save_run(tmp_path / 'itself', {'depth': 1.0}, tmp_path / start)
  assert weights.find_trained_tasks(config) == {'depth'}


def test_tasks_are_chosen_whether_trained_or_not(
  tmp_path, monkeypatch, capsys, quick_compilation
):
  untrained.save_run(tmp_path, 'normals')
  monkeypatch.setattr(
    evaluate,
    'make_sample_fn',
    lambda *_, **__: lambda p, batch: batch['source'],
  )
  argv = ['evaluate', '--workdir', str(tmp_path), '--tasks']
  assert cli.main([*argv, 'depth']) == 0
  said = capsys.readouterr().out
  assert 'Scored though this run never trained on them: depth.' in said
  assert {path.name for path in tmp_path.glob('results*')} == {
    'results_depth.json'
  }
  found = json.loads((tmp_path / 'results_depth.json').read_text())
  assert {row['task'] for row in found['rows']} == {'depth'}
  assert (tmp_path / 'gallery_depth.npz').exists()
  assert cli.main([*argv, 'depth']) == 0
  assert 'scored already' in capsys.readouterr().out
  out = tmp_path / 'out'
  out.mkdir()
  other = json.dumps({**found, 'run': 'other', 'weights': 'of others'})
  (out / 'results_depth.json').write_text(other)
  assert cli.main([*argv, 'depth', '--out', str(out)]) == 2
  assert "(run 'other', not" in capsys.readouterr().err
  assert (out / 'results_depth.json').read_text() == other
  for names, says in (
    ('depth,dept', "'dept' is none; choose of"),
    ('', 'choose of'),
  ):
    assert cli.main([*argv, names]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count('\n') == 1


def test_a_run_that_learned_nothing_from_scenes_says_where_to_score(
  tmp_path, capsys
):
  untrained.save_run(tmp_path, 'depth')
  run = json.loads((tmp_path / 'run.json').read_text())
  run['config']['sources']['mine'] = {'kind': 'records', 'path': 'gone'}
  run['config']['mixture'] = {'depth@mine': 1.0, 'semantic@mine': 2.0}
  (tmp_path / 'run.json').write_text(json.dumps(run))
  assert cli.main(['evaluate', '--workdir', str(tmp_path)]) == 2
  error = capsys.readouterr().err
  (line,) = [x for x in error.splitlines() if x.startswith('vbanana: ')]
  assert 'learned nothing from scenes' in line
  assert 'score depth, semantic with config.eval.protocols' in line


def test_scores_say_what_was_learned_elsewhere():
  config = {
    'sources': {'scenes': {'kind': 'scenes'}, 'rooms': {'kind': 'records'}},
    'mixture': {'edit': 1.0, 'depth@rooms': 1.0},
  }
  row = {'task': 'edit', 'metric': 'mae'}
  found = {
    'config': config, 'rows': [row], 'untrained': ['normals'],
    'elsewhere': ['depth'],
  }  # fmt: skip
  said = results.describe_scores(found)
  assert 'none of the pictures of rooms that this run learned from' in said
  assert 'since this run never trained on them: normals.' in said
  assert 'Not scored, since this run learned them from other pictures' in said
  assert said.endswith('predict --protocol): depth.')
  said = results.describe_scores({**found, 'rows': [{'task': 'depth'}]})
  assert 'Scored though this run learned them from other pictures' in said
  del config['mixture']['depth@rooms']
  assert 'rooms' not in results.describe_scores(found)


def test_tasks_that_the_held_out_set_does_not_ask_are_refused(tmp_path, capsys):
  untrained.save_run(tmp_path, 'normals')
  run = json.loads((tmp_path / 'run.json').read_text())
  run['config']['eval']['sampled_limit'] = 0
  (tmp_path / 'run.json').write_text(json.dumps(run))
  argv = ['evaluate', '--workdir', str(tmp_path), '--tasks', 'depth,generate']
  assert cli.main(argv) == 2
  error = capsys.readouterr().err
  (line,) = [x for x in error.splitlines() if x.startswith('vbanana: ')]
  assert 'sampled_limit 0, which ask nothing of generate' in line
  assert 'Traceback' not in error
  assert not list(tmp_path.glob('results*'))
