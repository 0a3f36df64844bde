"""Where results cannot go is said before the work; nothing is half-written."""

import errno
import json
import types

import numpy as np
import painted
import pytest
from PIL import Image

from vbanana_jax import cli, evaluate
from vbanana_jax.benchmark import protocols, question_list, readers
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import results, score_folder, scores_text
from vbanana_jax.runtime import files
from vbanana_jax.training import provenance


@pytest.fixture
def nowhere(tmp_path):
  """A folder that nobody can make, the owner of the machine neither."""
  (tmp_path / 'file').write_text('')
  return tmp_path / 'file' / 'out'


@pytest.fixture
def answered(tmp_path):
  data, out = tmp_path / 'data', tmp_path / 'painted'
  protocol = painted.write_benchmark('depth', data)
  painted.paint(protocol, data, out, scale=1)
  return (
    f'evaluate --predictions {out} --data {data} --protocol {protocol.name} '
    '--partial'
  )


def never(*args, **options):
  pytest.fail('the work was begun')


def test_scores_are_not_begun_where_they_cannot_be_written(
  answered, nowhere, monkeypatch, capsys
):
  monkeypatch.setattr(score_folder, 'grade', never)
  assert cli.main(f'{answered} --out {nowhere}'.split()) == 2
  error = capsys.readouterr().err
  assert error.count('\n') == 1 and f'cannot write into {nowhere}' in error


def test_the_exam_is_not_begun_where_it_cannot_be_written(nowhere, monkeypatch):
  config = {'mixture': {}, 'sources': {}}
  monkeypatch.setattr(
    provenance, 'load_run_json', lambda run: {'config': config}
  )
  monkeypatch.setattr(evaluate, 'fingerprint', lambda run, reader: 'x')
  monkeypatch.setattr(evaluate, 'evaluate', never)
  with pytest.raises(UserError, match='cannot write into'):
    evaluate.evaluate_and_save(nowhere.parent.parent, nowhere, out=nowhere)


@pytest.mark.parametrize('verb', ['decode', 'prompts', 'predict'])
def test_other_verbs_ask_first(verb, answered, nowhere, tmp_path, capsys):
  picture = next((tmp_path / 'painted').iterdir())
  command = {
    'decode': f'decode {picture} --task depth',
    'prompts': f'prompts --protocol ibims1_depth --data {tmp_path}/data',
    'predict': f'predict --protocol ibims1_depth --data {tmp_path}/data',
  }[verb]
  assert cli.main(f'{command} --out {nowhere}'.split()) == 2
  error = capsys.readouterr().err
  assert error.count('\n') == 1 and f'cannot write into {nowhere}' in error


def test_the_table_is_printed_whatever_happens(
  answered, nowhere, monkeypatch, capsys
):
  monkeypatch.setattr(files, 'check_folder', lambda folder: None)
  assert cli.main(f'{answered} --out {nowhere}'.split()) == 2
  printed = capsys.readouterr()
  assert 'delta1' in printed.out
  assert 'cannot write' in printed.err.splitlines()[-1]


def test_who_reads_the_table_may_leave(answered, tmp_path, monkeypatch, capsys):
  def leave(results):
    raise BrokenPipeError(errno.EPIPE, 'Broken pipe')

  out = tmp_path / 'scores'
  monkeypatch.setattr(scores_text, 'make_table', leave)
  assert cli.main(f'{answered} --out {out}'.split()) == 2
  assert 'Broken pipe' in capsys.readouterr().err
  assert json.loads((out / 'scores_ibims1_depth_v1.json').read_text())['n'] == 2


def test_scores_go_where_they_are_wanted(answered, tmp_path, capsys):
  out = tmp_path / 'scores'
  before = sorted((tmp_path / 'painted').iterdir())
  assert cli.main(f'{answered} --out {out}'.split()) == 0
  assert sorted((tmp_path / 'painted').iterdir()) == before
  path = out / 'scores_ibims1_depth_v1.json'
  assert json.loads(path.read_text())['n'] == 2
  # Scores that cannot be compared are refused before the work, too.
  path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
  assert cli.main([*answered.split(), '--against', str(path)]) == 2
  printed = capsys.readouterr()
  assert 'version is 1 here and 2 there' in printed.err
  assert sorted((tmp_path / 'painted').iterdir()) == before


def make_container(tmp_path):
  """A reader whose photographs have no files of their own."""
  rng = np.random.default_rng(0)
  photos = rng.integers(0, 256, (2, 9, 12, 3), np.uint8)
  return types.SimpleNamespace(
    task='depth',
    root=tmp_path,
    items=tuple(readers.Item(name, '') for name in '01'),
    load_image=lambda item: photos[int(item.id)],
    load_truth=never,
  ), photos


def test_questions_that_were_stopped_are_made_whole(tmp_path):
  protocol = protocols.load_protocol('nyuv2_depth')
  reader, photos = make_container(tmp_path)
  out = tmp_path / 'out'
  for spoil in ('images/0.png', 'images/1.png', 'prompts.jsonl'):
    assert question_list.save_questions(protocol, reader, out, 2)[0] == 4
    path = out / spoil
    path.write_bytes(path.read_bytes()[:40])
  assert question_list.save_questions(protocol, reader, out, 2)[0] == 4
  for k in range(2):
    image = Image.open(out / 'images' / f'{k}.png')
    np.testing.assert_array_equal(np.asarray(image), photos[k])
  lines = (out / 'prompts.jsonl').read_text().splitlines()
  assert [json.loads(line)['id'] for line in lines] == ['0', '0', '1', '1']
  assert len(list(out.rglob('*'))) == 4  # nothing else is left behind


def test_questions_of_another_protocol_or_split_stay(tmp_path):
  reader, _ = make_container(tmp_path)
  out = tmp_path / 'out'
  own = protocols.load_protocol('nyuv2_depth')
  question_list.save_questions(own, reader, out, 1)
  before = (out / 'prompts.jsonl').read_bytes()
  for protocol in (
    own.choose_split('train'),
    protocols.load_protocol('ibims1_depth'),
  ):
    with pytest.raises(UserError, match=r'nyuv2_depth_v1, split test.*another'):
      question_list.save_questions(protocol, reader, out, 1)
    assert (out / 'prompts.jsonl').read_bytes() == before
    question_list.save_questions(protocol, reader, tmp_path / protocol.label, 1)
  question_list.save_questions(protocol, reader, out, 1, overwrite=True)
  assert (out / 'prompts.jsonl').read_bytes() != before


def test_no_listed_question_is_lost_by_other_passes(tmp_path, capsys):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark('semantic', data)
  argv = ['prompts', '--protocol', protocol.name, '--data', str(data)]
  argv += ['--out', str(out)]
  assert cli.main([*argv, '--passes', '2']) == 0
  two = (out / 'prompts.jsonl').read_bytes()
  # More passes ask the same, and more; that is said.
  assert cli.main([*argv, '--passes', '3']) == 0
  assert '6 pictures to paint, 4 of them listed' in capsys.readouterr().out
  three = (out / 'prompts.jsonl').read_bytes()
  assert set(two.splitlines()) < set(three.splitlines())
  # Fewer would drop some.
  assert cli.main([*argv, '--passes', '2']) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert '@2.png, which is not asked for now: give the --passes' in line
  assert (out / 'prompts.jsonl').read_bytes() == three
  changed = three.replace(b'"seed": 1', b'"seed": 9')
  (out / 'prompts.jsonl').write_bytes(changed)
  assert cli.main([*argv, '--passes', '3']) == 2
  assert 'has another seed of ' in capsys.readouterr().err
  assert (out / 'prompts.jsonl').read_bytes() == changed
  assert cli.main([*argv, '--passes', '2', '--overwrite']) == 0
  assert (out / 'prompts.jsonl').read_bytes() == two


def test_a_report_names_a_gallery_that_is_not_its_own(tmp_path, capsys):
  there = dict.fromkeys(results._NEEDED, 0) | {'prompts': {'depth': ['x']}}
  (tmp_path / 'results.json').write_text(json.dumps(there))
  whole = {f'depth/{k}/painted': np.zeros((8, 8, 3)) for k in range(2)}
  encoded = files.to_npz(whole)
  for content in (None, b'', b'x', encoded[:200], encoded[:-9], encoded):
    if content is not None:
      (tmp_path / 'gallery.npz').write_bytes(content)
    assert cli.main(['report', '--workdir', str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and 'gallery.npz: missing, dam' in error
    assert not (tmp_path / 'report.html').exists()
