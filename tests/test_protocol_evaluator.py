"""Pictures scored under a protocol: in batches, on a mesh, in few programs."""

import dataclasses

import jax
import numpy as np
import painted
import pytest
from PIL import Image

from vbanana_jax import resizing, sharding
from vbanana_jax.benchmark import protocols, questions, readers
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import protocol_evaluator, score_folder
from vbanana_jax.evaluation.protocol_evaluator import (
  PaintedExample,
  ProtocolEvaluator,
)
from vbanana_jax.tasks import TASKS

ONE = sharding.build_mesh(devices=jax.devices()[:1])
# Two devices have the same rows, which is what `tensor` means.
EIGHT = sharding.build_mesh({'replica': 2, 'fsdp': 2, 'tensor': 2})


def blur_and_shake(rng):
  def spoil(rgb):
    height, width = rgb.shape[:2]
    small = Image.fromarray(rgb).resize((width // 2, height // 2))
    rough = np.asarray(small.resize((width, height))).astype(float)
    rough += rng.normal(0, 6, rough.shape)
    return np.rint(rough).clip(0, 255).astype(np.uint8)

  return spoil


@pytest.mark.parametrize(
  'task, passes, rtol',
  # Angles, not what is counted by them, have last digits of each program's own.
  [('depth', 1, 0), ('normals', 1, 1e-6), ('semantic', 2, 0)],
)
def test_a_mesh_finds_the_digits_of_one_device(task, passes, rtol, tmp_path):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark(task, data)
  protocol = dataclasses.replace(protocol, resampling='smooth')
  spoil = blur_and_shake(np.random.default_rng(0))
  for repeat in range(passes):
    painted.paint(protocol, data, out, repeat=repeat, scale=3, spoil=spoil)
  one, eight = (
    score_folder.grade(
      protocol, data, out, passes=passes, partial=True, mesh=mesh
    )
    for mesh in (ONE, EIGHT)
  )
  for grade in (one, eight):
    del grade.results['date']
  assert rtol or one.results == eight.results
  for name, state in one.states.items():
    assert np.any(state)
    rtol_of_it = rtol if state.dtype.kind == 'f' else 0
    np.testing.assert_allclose(eight.states[name], state, rtol_of_it, 0)


def make_answers(sizes, seed=0):
  """Random squares of two classes, painted at sizes of their own."""
  rng = np.random.default_rng(seed)
  protocol = protocols.load_protocol('cityscapes_semantic')
  spec = questions.ask(protocol, readers.Item('a', '')).spec
  palette_u8 = np.rint(255 * spec.make_palette()[0]).astype(np.uint8)
  answers = []
  for painted_size, size in sizes:
    labels = rng.integers(0, 4, painted_size).repeat(4, 0).repeat(4, 1)
    truth = {'semantic': rng.integers(0, 3, size).astype(np.int32)}
    answers.append(PaintedExample([palette_u8[labels]], [spec], truth))
  return protocol, answers


SIZES = [
  ((9, 12), (30, 44)),
  ((40, 12), (30, 44)),  # a picture of another padded shape
  ((7, 30), (60, 128)),
  ((9, 12), (30, 200)),  # a truth of another one
  ((9, 20), (12, 128)),
]


@pytest.mark.parametrize('limit', [0, 2**28])
def test_scores_are_in_order_however_little_may_wait(limit, monkeypatch):
  monkeypatch.setattr(protocol_evaluator, '_WAITING_BYTES', limit)
  protocol, answers = make_answers(SIZES)
  palette_u8 = np.rint(255 * answers[0].specs[0].make_palette()[0])
  found = protocol_evaluator.build_evaluator(protocol, EIGHT).run(iter(answers))
  for answer, score in zip(answers, found, strict=True):
    true = answer.truth['semantic']
    painted_u8 = resizing.resize_nearest(answer.painted_u8[0], true.shape)
    for k in range(3):
      mine = (painted_u8 == palette_u8[k + 1]).all(-1)
      both, either = mine & (true == k), mine | (true == k)
      assert score.states['intersection'][0, k] == both.sum()
      assert score.states['union'][0, k] == either.sum()


def test_nothing_is_compiled_twice(monkeypatch):
  scoring, traced = TASKS['semantic'].benchmark, []
  score = type(scoring).score
  monkeypatch.setattr(
    type(scoring),
    'score',
    lambda *args: traced.append(args[1].shape) or score(*args),
  )
  protocol, answers = make_answers(SIZES)
  evaluator = ProtocolEvaluator(protocol, EIGHT)
  evaluator.run(answers)
  assert set(traced) == {(1, 128, 128), (1, 128, 256)}
  before = len(traced)
  _, others = make_answers(SIZES[::-1] * 3, seed=1)
  evaluator.run(others)
  assert len(traced) == before
  assert evaluator.evaluate._cache_size() == 3  # sizes of pictures and truths


@pytest.mark.parametrize('old, new', [((9, 14), (31, 20)), ((40, 30), (13, 7))])
def test_smooth_sizes_are_those_of_the_host(old, new):
  rng = np.random.default_rng(0)
  depth_m = np.exp(rng.normal(1, 1, old)).astype(np.float32)
  depth_m[:3, :5] = np.inf
  vectors = rng.normal(0, 1, (*old, 3)).astype(np.float32)
  vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
  vectors[2:6, 3:7] = 0.0
  tables = resizing.make_tables(old, new, (64, 64), (64, 96), is_smooth=True)
  for name, value in (('depth', depth_m), ('normals', vectors)):
    padded = np.ones((64, 64, *value.shape[2:]), np.float32)
    padded[: old[0], : old[1]] = value
    found = jax.jit(TASKS[name].benchmark.resize)(padded, tables)
    np.testing.assert_allclose(
      np.asarray(found)[: new[0], : new[1]],
      TASKS[name].value.resize(value, new),
      rtol=1e-4,
      atol=1e-5,
    )


def test_a_protocol_that_cannot_be_read_is_refused_at_once():
  protocol = protocols.load_protocol('nyuv2_depth')
  prompt = 'A metric depth map in the viridis colormap.'
  other = dataclasses.replace(protocol, prompt=prompt)
  with pytest.raises(UserError, match='viridis has no scale of its own'):
    ProtocolEvaluator(other, ONE)
