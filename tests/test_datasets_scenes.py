"""Scenes frozen as records train what drawn ones do."""

import numpy as np
import pytest

from vbanana_jax import cli
from vbanana_jax.data import record_source, sources
from vbanana_jax.datasets.frozen_scenes import FrozenScenes
from vbanana_jax.tasks import TASKS

SIZE, NUMBER = 16, 3
pytestmark = pytest.mark.usefixtures('quick_compilation')


@pytest.fixture(scope='module')
def frozen(tmp_path_factory):
  out = tmp_path_factory.mktemp('scenes') / 'out'
  command = (
    f'prepare scenes --out {out} --number {NUMBER} --size {SIZE} --seed 3'
  )
  assert cli.main(command.split()) == 0
  return record_source.RecordSource(out, SIZE)


def test_labels_come_back(frozen):
  drawn = sources.SceneSource('quick', 3, SIZE, extras=['edit'])
  assert len(frozen) == NUMBER
  for row in range(NUMBER):
    example, twin = frozen[row], drawn[row]
    for key in ('depth_m', 'normals', 'semantic', 'instance', 'instance_class'):
      np.testing.assert_array_equal(example[key], twin[key], err_msg=key)
    assert example['classes'] == twin['classes']
    for one, other in (
      (example['rgb'], twin['rgb']),
      (example['edit']['rgb'], twin['edit']['rgb']),
    ):
      assert np.abs(one - other).max() <= 0.5 / 255 + 1e-6
    assert example['edit']['instruction'] == twin['edit']['instruction']
    assert example['captions'] and example['phrases']
    assert example['intrinsics'].cx == SIZE / 2


def test_every_task_encodes_from_them(frozen):
  for name, task in TASKS.items():
    if not frozen.labels.issuperset(task.needs):
      assert name == 'albedo'
      continue
    for row in range(NUMBER):
      encoded = task.encode(frozen[row], np.random.default_rng(row))
      assert encoded.target.shape == (SIZE, SIZE, 3)


def test_words_are_a_function_of_the_row():
  one, other = (FrozenScenes(number=2, size=8, seed=5) for _ in range(2))
  first, second = one.load(1), other.load(1)
  assert first.captions == second.captions
  assert [p.text for p in first.phrases] == [p.text for p in second.phrases]
