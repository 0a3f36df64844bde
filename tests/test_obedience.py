"""What a reader finds of captions in pictures, between floor and ceiling."""

import types

import numpy as np
import pytest

from vbanana_jax import sharding
from vbanana_jax.config import load_config
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import (
  caption_exam,
  obedience,
  results,
)
from vbanana_jax.inference import request
from vbanana_jax.scenes.claims import KINDS, Claim
from vbanana_jax.scenes.forms import Form
from vbanana_jax.tasks import TASKS
from vbanana_jax.tokenizer.tokenizer import Tokenizer
from vbanana_jax.training import weights
from vbanana_jax.training.state import make_params

SIZE = 32
WHITE, BLACK = np.ones((SIZE, SIZE, 3)), np.zeros((SIZE, SIZE, 3))
BOX, RED_BOX = Form('', 'box'), Form('red', 'box')
CHECKS = TASKS['generate'].claims
CLAIMS = [
  [Claim('class', BOX), Claim('color', RED_BOX), Claim('count', BOX, 2)],
  [Claim('class', BOX), Claim('count', BOX, 1)],
]

CONFIG = {
  'image_size': SIZE,
  'sources': {'scenes': {'kind': 'scenes', 'level': 'quick'}},
  'mixture': {'referring': 1.0, 'instance': 1.0},
}


class SeesWhite:
  """Finds what it is asked for in white pictures alone, and two of a class."""

  config = CONFIG
  model = types.SimpleNamespace(
    config=types.SimpleNamespace(patch=8, max_text=160)
  )
  tokenizer = Tokenizer.load()

  def __init__(self):
    self.prompts = []

  def word_question(self, asked):
    return request.word_question(self.config, asked, 160, self.tokenizer)

  def count_rows(self, rows):
    return rows

  def paint_questions(self, task, sampler, asked, size, *, rows):
    assert sampler.steps == 0 and size == SIZE
    for each in asked:
      (part,) = each.parts
      self.prompts.append(part.prompt)
      painted = np.tile(each.palette[0], (SIZE, SIZE, 1))
      if each.source.mean() > 0.5:
        painted[4:10, 4:10] = each.palette[1]
        if task.name == 'instance':
          painted[4:10, 20:26] = each.palette[2]
      yield each.label, painted


def find(painted, true):
  looked = {
    'held': painted,
    'floor': painted[1:] + painted[:1],
    'ceiling': true,
  }
  held = {
    side: obedience.find_held(SeesWhite(), CHECKS, CLAIMS, shown)
    for side, shown in looked.items()
  }
  found = obedience.measure_obedience(KINDS, CLAIMS, held)
  assert [each.kind for each in found] == [obedience.ALL, *KINDS]
  return {each.kind: each for each in found}


def test_what_holds_is_between_floor_and_ceiling():
  found = find([WHITE, BLACK], [WHITE, WHITE])
  everything = found['all']
  # White holds two facts and a count of two, but no count of one.
  assert (everything.asked, everything.n) == (5, 2)
  assert everything.held == pytest.approx(3 / 5)
  assert everything.floor == pytest.approx(1 / 5)
  assert everything.ceiling == pytest.approx(4 / 5)
  assert everything.reached == pytest.approx((3 - 1) / (4 - 1))
  low, high = everything.interval
  assert low <= everything.reached <= high
  one = found['class']
  assert (one.asked, one.held, one.floor, one.ceiling) == (2, 0.5, 0.5, 1.0)
  assert one.reached == 0
  assert (found['count'].held, found['count'].ceiling) == (0.5, 0.5)
  assert found['size'].asked == 0 and np.isnan(found['size'].held)


def test_pictures_of_other_captions_reach_nothing_and_true_ones_all():
  assert find([BLACK, BLACK], [WHITE, WHITE])['all'].reached == 0
  found = find([WHITE, WHITE], [WHITE, WHITE])['all']
  assert np.isnan(found.reached)  # the floor is the ceiling
  assert found.held == found.ceiling


def test_questions_are_of_the_words_of_the_claims():
  reader = SeesWhite()
  obedience.find_held(reader, CHECKS, CLAIMS, [WHITE, WHITE])
  assert len(reader.prompts) == 5
  assert sum('red box' in prompt for prompt in reader.prompts) == 1
  assert all('box' in prompt for prompt in reader.prompts)
  again = SeesWhite()
  obedience.find_held(again, CHECKS, CLAIMS, [BLACK, BLACK])
  assert again.prompts == reader.prompts  # whatever is shown


def test_a_small_speck_is_nothing():
  value = np.zeros((64, 64), int)
  value[0, :5] = 1
  assert not CHECKS.holds(CLAIMS[0][0], value)
  value[0, 5] = 1
  assert CHECKS.holds(CLAIMS[0][0], value)


def test_the_row_of_results_is_of_all_kinds():
  rows = [
    {'kind': 'all', 'reached': 0.25, 'interval': [0.1, 0.4], 'n': 3},
    {'kind': 'color', 'reached': 0.5, 'interval': [0.1, 0.9], 'n': 3},
  ]
  (row,) = results.make_obedience_rows({'generate@16': rows})
  assert (row['task'], row['metric']) == ('generate@16', 'obedience')
  assert (row['value'], row['constant'], row['better']) == (0.25, 0.0, 'max')
  assert results.make_obedience_rows({}) == []


def test_claims_have_names():
  names = obedience.name_claims(CHECKS, CLAIMS[0])
  assert len(names) == 3 and 'red box' in names[1] and names[2] == '2 of box'


@pytest.fixture(scope='module')
def config():
  config = load_config('quickstart:pretrain,smoke').to_dict()
  config['eval'] |= {'every': '50 percent', 'watch_sampled': 3, 'reader': 'r'}
  return config


@pytest.fixture(scope='module')
def exam(config):
  model = weights.build_network(config)
  return caption_exam.CaptionExam(
    TASKS['generate'],
    config,
    model,
    sharding.build_mesh(),
    'quick',
    3,
    SeesWhite(),
  ), make_params(model, size=config['image_size'], seed=0)


def test_captions_are_painted_and_looked_at(exam):
  exam, params = exam
  found = exam.run(params)
  every = found.rows[0]
  assert (every.kind, every.n) == ('all', 3) and every.asked > 6
  (shown,) = found.shown
  assert shown['painted'].shape == (SIZE, SIZE, 3)
  light = shown['painted'].mean() > 0.5
  assert ('(seen: ' if light else '(not seen: ') in shown['prompt']
  scores = caption_exam.make_scores(exam.task, found)
  assert scores['generate/held'] == every.held
  assert 0 <= every.held <= 1 and every.asked * every.held % 1 == 0
  rows = caption_exam.make_rows(found)
  assert rows[0]['asked'] == every.asked and len(rows) == 1 + len(KINDS)


def test_a_reader_that_never_looked_for_things_is_refused(config):
  blind = SeesWhite()
  blind.run, blind.config = 'runs/d', {**CONFIG, 'mixture': {'depth': 1.0}}
  with pytest.raises(UserError, match='never learned referring and instance'):
    caption_exam.CaptionExam(
      TASKS['generate'], config, None, None, 'quick', 3, blind
    )


def test_captions_are_watched_while_training(config, monkeypatch):
  monkeypatch.setattr(caption_exam.trained_folders, 'find_run', str)
  monkeypatch.setattr(caption_exam, 'Predictor', lambda run: SeesWhite())
  tasks = [TASKS[name] for name in ('generate', 'edit', 'depth')]
  mesh, model = sharding.build_mesh(), weights.build_network(config)
  (exam,) = caption_exam.build_watched(config, tasks, model, mesh)
  assert exam.task.name == 'generate'
  for off in ({'every': ''}, {'watch_sampled': 0}, {'reader': ''}):
    quiet = {**config, 'eval': config['eval'] | off}
    assert caption_exam.build_watched(quiet, tasks, model, mesh) == []
