"""Legends longer than a network was trained for: split, painted, joined."""

import importlib
import itertools

import numpy as np
import pytest

from vbanana_jax import errors
from vbanana_jax.benchmark import protocols, questions, readers
from vbanana_jax.codecs import palettes
from vbanana_jax.inference import engine, outputs, request
from vbanana_jax.inference.predictor import PhotoQuestion, Predictor
from vbanana_jax.tasks import TASKS, legend_parts, legend_text, prompt_parser
from vbanana_jax.tasks.prompt_styles import PROMPT_STYLES

ITEM = readers.Item('x', 'x.png', 'the old clock on the left of the wall')
LEVELS = sorted(PROMPT_STYLES)


def name_classes(count):
  return tuple(
    f'kind {chr(97 + k // 26)}{chr(97 + k % 26)}' for k in range(count)
  )


@pytest.mark.parametrize('count, most', [(1, 4), (4, 4), (5, 4), (80, 8)])
def test_groups_are_even_and_as_few_as_will_do(count, most):
  groups = legend_parts.split_names(count, most, lambda group: True)
  assert [k for group in groups for k in group] == list(range(count))
  sizes = [len(group) for group in groups]
  assert max(sizes) <= most and max(sizes) - min(sizes) <= 1
  assert len(groups) == -(-count // most)


def test_groups_shrink_until_they_fit():
  groups = legend_parts.split_names(10, 8, lambda group: len(group) <= 3)
  assert max(len(group) for group in groups) == 3
  assert legend_parts.split_names(3, 8, lambda group: False) is None


@pytest.mark.parametrize('level', LEVELS)
@pytest.mark.parametrize('count', [9, 19, 60, 80, 150])
def test_a_legend_takes_any_number_of_names(count, level):
  names = name_classes(count)
  question = TASKS['semantic'].ask(
    np.random.default_rng(0), classes=names, style=PROMPT_STYLES[level]
  )
  palette = question.aux['palette'][question.aux['palette_valid']]
  assert len(palette) == count + 1
  assert len(question.aux['palette']) == legend_text.count_rows(count)
  levels = np.rint(255 * palette)
  gaps = [np.linalg.norm(a - b) for a, b in itertools.combinations(levels, 2)]
  assert min(gaps) > prompt_parser.READABLE_DISTANCE


@pytest.mark.parametrize('level', LEVELS)
@pytest.mark.parametrize('count', [11, 19, 80])
def test_perfect_parts_join_to_the_truth(count, level):
  rng = np.random.default_rng(count)
  asked = request.PredictRequest('semantic', classes=name_classes(count))
  _, question = request.build_question(asked, PROMPT_STYLES[level])
  parts = request.split_question(asked, question, PROMPT_STYLES[level], 160)
  most = PROMPT_STYLES[level].entries[1]
  assert len(parts) >= -(-count // most)
  label = rng.integers(0, count + 1, (12, 16))
  painted = []
  for part in parts:
    own = np.zeros(count + 1, int)
    own[part.rows[1:]] = range(1, len(part.rows))  # the others: background
    painted.append(part.palette[own[label]])
  palette = question.aux['palette']
  joined = legend_parts.join_parts(parts, painted, palette)
  found, distance = palettes.decode_nearest(
    joined, palette, question.aux['palette_valid']
  )
  np.testing.assert_array_equal(found, label)
  assert float(distance.max()) == 0


def test_the_surer_part_has_the_pixel():
  red, ground = (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)
  palette = np.array([ground, (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)], np.float32)
  own = np.array([ground, red], np.float32)
  parts = [
    legend_parts.Part('a', own, np.array([0, 1])),
    legend_parts.Part('b', own, np.array([0, 2])),
  ]
  faint = np.array([[[0.6, 0.0, 0.0], red, ground]], np.float32)
  joined = legend_parts.join_parts(parts, [faint, faint[:, ::-1]], palette)
  np.testing.assert_array_equal(joined[0], palette[[1, 1, 2]])


class Box:
  """Paints the legend's own colors: what an ideal network would."""

  def __init__(self, label, parts):
    self.label, self.parts = label, {part.prompt: part for part in parts}
    self.asked = []

  def paint_batches(self, way, items, *, rows):
    for item in items:
      part = self.parts[item.prompt]
      self.asked.append(item.prompt)
      own = np.zeros(self.label.max() + 1, int)
      own[part.rows[1:]] = range(1, len(part.rows))
      yield item, part.palette[own[self.label]]


def test_every_part_of_every_photo_is_asked_and_joined():
  asked = request.PredictRequest('semantic', classes=name_classes(11))
  task, question = request.build_question(asked, PROMPT_STYLES['quick'])
  parts = request.split_question(asked, question, PROMPT_STYLES['quick'], 160)
  label = np.arange(12).repeat(4).reshape(6, 8)
  box = Box(label, parts)
  predictor = object.__new__(Predictor)
  predictor.engine = box
  photos = [
    PhotoQuestion(
      np.zeros((6, 8, 3), np.float32), parts, question.aux['palette'], k
    )
    for k in range(2)
  ]
  painted = predictor.paint_questions(
    task, engine.SamplerConfig(0, 0), photos, 8, rows=1
  )
  for expected, (k, picture) in zip(range(2), painted, strict=True):
    assert k == expected
    value = outputs.decode_value(task, picture, question.aux)
    np.testing.assert_array_equal(value, label)
  assert box.asked == [part.prompt for part in parts] * 2


def test_a_short_legend_is_one_question():
  asked = request.PredictRequest('semantic', classes=('sphere', 'box'))
  _, question = request.build_question(asked, PROMPT_STYLES['quick'])
  (part,) = request.split_question(asked, question, PROMPT_STYLES['quick'], 160)
  assert part.prompt == question.prompt


def load_configs():
  for name in ('quickstart', 'cpu_hour', 'captions', 'pod'):
    module = importlib.import_module(f'vbanana_jax.configs.{name}')
    yield name, module.get_config('tune' if name != 'captions' else '')


@pytest.mark.parametrize('title', protocols.list_protocols())
def test_shipped_configs_can_be_asked_every_protocol(title):
  protocol = protocols.load_protocol(title)
  for name, config in load_configs():
    level, max_text = config.sources.scenes.level, config.model.max_text
    most = PROMPT_STYLES[level].entries[1]
    parts = questions.ask_parts(
      protocol, ITEM, most_names=most, max_text=max_text
    )
    rows = [row for part in parts for row in part.rows[1:]]
    assert rows == [k + 1 for k in range(len(protocol.classes or ()))], name
    if len(parts) > 1:
      assert max(len(part.rows) - 1 for part in parts) <= most
      assert len({part.prompt for part in parts}) == len(parts)


def test_a_network_that_cannot_be_asked_says_what_to_change():
  protocol = protocols.load_protocol('cityscapes_semantic')
  with pytest.raises(errors.UserError, match=r'takes 12.*model\.max_text'):
    questions.ask_parts(protocol, ITEM, most_names=4, max_text=12)
