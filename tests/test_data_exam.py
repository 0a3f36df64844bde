"""The held-out set is the frozen one, fair, and padded without effect."""

import numpy as np
import pytest

from vbanana_jax.data import sources
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import held_out
from vbanana_jax.scenes import world
from vbanana_jax.tasks import TASKS

LEVELS = ('quick', 'full')


@pytest.mark.parametrize('level', LEVELS)
def test_prefix_is_the_frozen_one(level):
  frozen = held_out.load_eval_set(level)
  assert (
    held_out.hash_eval_set(frozen, frozen.prefix_n) == frozen.prefix_sha256
  ), (
    'the held-out set eval_v2 is frozen: scores on another one cannot be '
    'compared. '
    'Undo the change to scenes, language or tasks, or start eval_v2.'
  )


@pytest.mark.parametrize('level', LEVELS)
def test_counts_are_uniform_and_every_class_occurs(level):
  frozen = held_out.load_eval_set(level)
  source = held_out.open_held_out_scenes(level, frozen.scene_seed, frozen.size)
  scenes = [source.scene(row) for row in range(frozen.n)]
  counts = np.bincount([int(scene.count) for scene in scenes])
  assert len(counts) == source.level.max_objects + 1
  assert counts.max() - counts.min() <= 1
  present = np.unique(np.concatenate([scene.class_id for scene in scenes]))
  names = {world.OBJECTS[k] for k in present if k >= 0}
  assert names == set(source.level.classes)


def test_batches_are_padded_and_do_not_depend_on_batch_size():
  task = TASKS['semantic']
  (whole,) = held_out.make_frozen_batches(task, 'quick', 8, 5, max_text=512)
  assert whole['valid'].tolist() == [True] * 5 + [False] * 3
  assert whole['index'].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
  assert whole['count'].tolist()[:5] == [0, 1, 2, 3, 4]
  assert len(whole['prompt']) == 8
  parts = list(held_out.make_frozen_batches(task, 'quick', 2, 5, max_text=512))
  assert [part['valid'].sum() for part in parts] == [2, 2, 1]
  for key in ('tokens', 'source', 'target', 'weight_px'):
    joined = np.concatenate([part[key] for part in parts])[:5]
    np.testing.assert_array_equal(joined, whole[key][:5])
  for key, leaf in whole['aux'].items():
    joined = np.concatenate([part['aux'][key] for part in parts])[:5]
    np.testing.assert_array_equal(joined, leaf[:5])


@pytest.mark.parametrize('name', sorted(TASKS))
def test_every_task_is_posed(name):
  batches = held_out.make_frozen_batches(
    TASKS[name], 'full', 4, 4, max_text=1024
  )
  (batch,) = batches
  assert batch['target'].shape == batch['source'].shape
  assert all(batch['prompt'])


def test_exam_seed_is_out_of_reach_of_training():
  frozen = held_out.load_eval_set('quick')
  assert frozen.scene_seed > 2**32
  mine = held_out.open_held_out_scenes(
    'quick', frozen.scene_seed, frozen.size
  ).scene(3)
  yours = sources.SceneSource('quick', 0, 64).scene(3)
  assert not np.array_equal(mine.camera, yours.camera)


def test_scores_say_which_exam_they_are_of(monkeypatch):
  frozen = held_out.load_eval_set('quick')
  monkeypatch.setattr(held_out, 'hash_eval_set', lambda held_out: frozen.sha256)
  whole = {'limit': frozen.n, 'size': frozen.size}
  assert held_out.describe_eval_set('quick', **whole) == 'eval_v2'
  assert 'first 8' in held_out.describe_eval_set(
    'quick', limit=8, size=frozen.size
  )
  assert '32 px' in held_out.describe_eval_set('quick', limit=frozen.n, size=32)
  monkeypatch.setattr(held_out, 'hash_eval_set', lambda held_out: 'other')
  assert 'other digests' in held_out.describe_eval_set('quick', **whole)
  with pytest.raises(UserError, match="no level 'hard'"):
    held_out.load_eval_set('hard')
