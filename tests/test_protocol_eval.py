"""A run scored on a benchmark's folder while it trains, as afterwards."""

import dataclasses
import json

import painted
import pytest

from vbanana_jax import cli
from vbanana_jax.benchmark import protocols, readers
from vbanana_jax.data import pairings
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import protocol_eval, score_folder
from vbanana_jax.inference import predict_protocol
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.tasks import prompt_styles

pytestmark = pytest.mark.usefixtures('quick_compilation')


@pytest.mark.parametrize('task', ['depth', 'semantic', 'instance'])
def test_scores_are_those_of_the_painted_folder(task, untrained_run, tmp_path):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark(task, data)
  predictor = Predictor(untrained_run)
  examples = protocol_eval.open_examples(protocol, data)
  evaluator = protocol_eval.ProtocolEval(predictor, protocol, examples)
  found = evaluator.run(predictor.params)
  predict_protocol.paint_protocol(predictor, protocol, data, out, passes=1)
  grade = score_folder.grade(protocol, data, out, passes=1, partial=True)
  assert found == {
    f'{protocol.label}/{name}': grade.results['metrics'][name]['value']
    for name in protocol.headline
  }
  assert found == evaluator.run(predictor.params)  # nothing is left behind


@pytest.fixture
def read_doubt(untrained_run, tmp_path, capsys, monkeypatch):
  """What a painting of a protocol says of colors; nothing is painted."""
  predictor = Predictor(untrained_run)
  monkeypatch.setattr(predict_protocol, 'paint_requests', lambda *_, **__: ())

  def read(protocol):
    predict_protocol.paint_protocol(
      predictor, protocol, tmp_path, tmp_path / 'out', passes=1, overwrite=True
    )
    return ' '.join(capsys.readouterr().err.split())

  return read


def test_colors_that_were_not_learned_are_said(
  read_doubt, tmp_path, monkeypatch
):
  protocol = painted.write_benchmark('semantic', tmp_path)
  assert "style is not 'numbers'" in read_doubt(protocol)
  words = dataclasses.replace(protocol, notation='name')
  assert 'expect wrong colors' not in read_doubt(words)
  style = prompt_styles.PROMPT_STYLES['fixed']
  monkeypatch.setattr(pairings, 'find_style', lambda *_: style)
  assert 'learned by heart' in read_doubt(words)


def test_the_color_of_a_phrase_is_not_learned_by_heart(
  read_doubt, tmp_path, monkeypatch
):
  style = prompt_styles.PROMPT_STYLES['fixed']
  monkeypatch.setattr(pairings, 'find_style', lambda *_: style)
  protocol = painted.write_benchmark('referring', tmp_path)
  assert '2 colors in numbers' in read_doubt(protocol)
  words = dataclasses.replace(protocol, notation='name')
  assert 'expect wrong colors' not in read_doubt(words)


def test_examples_need_no_folder(untrained_run, tmp_path):
  protocol = painted.write_benchmark('depth', tmp_path)
  predictor = Predictor(untrained_run)
  examples = protocol_eval.open_examples(protocol, tmp_path)
  photos = [example.load_photo() for example in examples]
  truths = [example.load_truth() for example in examples]
  in_memory = [
    protocol_eval.ProtocolExample(
      example.item, lambda k=k: photos[k], lambda k=k: truths[k]
    )
    for k, example in enumerate(examples)
  ]
  one, other = (
    protocol_eval.ProtocolEval(predictor, protocol, each).run(predictor.params)
    for each in (examples, in_memory)
  )
  assert one == other


def test_a_limit_takes_the_first_examples(untrained_run, tmp_path, monkeypatch):
  protocol = painted.write_benchmark('depth', tmp_path)
  predictor = Predictor(untrained_run)
  kind, seen = readers.READERS[protocol.reader], []
  load = kind.load_truth
  monkeypatch.setattr(
    kind,
    'load_truth',
    lambda reader, item: seen.append(item) or load(reader, item),
  )
  examples = protocol_eval.open_examples(protocol, tmp_path, 1)
  protocol_eval.ProtocolEval(predictor, protocol, examples).run(
    predictor.params
  )
  items = protocol.open(tmp_path).items
  assert seen == [items[0]] and len(items) > 1


# Without eval.every, after the last step alone.
@pytest.mark.parametrize('every', ['2 steps', ''])
def test_a_training_writes_them_beside_its_own(every, tmp_path, capsys):
  protocol = painted.write_benchmark('depth', tmp_path / 'data')
  code = cli.main(
    [
      'train',
      '--config=quickstart:tune,smoke',
      '--config.length=2 steps',
      '--config.save_every=2 steps',
      f'--config.eval.every={every}',
      f'--config.eval.protocols={protocol.name}={tmp_path / "data"}',
      f'--workdir={tmp_path / "run"}',
    ]
  )
  assert code == 0, capsys.readouterr().err
  (line,) = (tmp_path / 'run' / 'scores.jsonl').read_text().splitlines()
  found = json.loads(line)
  names = {f'{protocol.label}/{name}' for name in protocol.headline}
  assert names <= found.keys() and ('depth/delta1' in found) == bool(every)
  assert found['step'] == 2


@pytest.mark.parametrize(
  'text, message',
  [
    ('nyuv2_depth', 'write NAME=FOLDER'),
    ('nothing=data', 'no protocol'),
    ('nyuv2_depth:tset=data', "no split 'tset'"),
  ],
)
def test_mistakes_in_the_config_are_named(text, message):
  with pytest.raises(UserError, match=message):
    protocol_eval.parse_protocols(text)


def test_a_split_is_named_with_its_protocol():
  (found,) = protocol_eval.parse_protocols('nyuv2_depth:train=data/nyu')
  assert found[0].label == 'nyuv2_depth_v1_train'
  assert found[1].as_posix() == 'data/nyu'


def test_protocol_and_folder_may_lie_in_a_bucket(bucket):
  text = (protocols.FOLDER / 'nyuv2_depth_v1.json').read_bytes()
  bucket['bucket/mine.json'] = text
  parse = protocol_eval.parse_protocols
  ((found, data),) = parse('gs://bucket/mine.json=gs://bucket/nyu')
  assert found.label == 'nyuv2_depth_v1' and str(data) == 'gs://bucket/nyu'
  ((found, _),) = parse('gs://bucket/mine.json:train=data/nyu')
  assert found.label == 'nyuv2_depth_v1_train'
