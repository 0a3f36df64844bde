"""Tasks: a painted target reads back as its labels; words match colors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax import errors, labels
from vbanana_jax.data import texts
from vbanana_jax.scenes import labels as scene_labels
from vbanana_jax.scenes import render, world
from vbanana_jax.tasks import TASKS, base, legend_text
from vbanana_jax.tasks.instance import task as instance_task
from vbanana_jax.tasks.prompt_styles import PROMPT_STYLES
from vbanana_jax.tokenizer.tokenizer import Tokenizer

SIZE = 32
VISION = [name for name, task in TASKS.items() if task.vision]


def make_examples(level_name, count=8):
  level = world.LEVELS[level_name]
  scenes = [
    world.sample_scene(level, 7, i, count=i % (level.max_objects + 1))
    for i in range(count)
  ]
  view = render.render_scenes(scenes, SIZE, SIZE)
  albedo = render.render_albedos(scenes, SIZE, SIZE)
  return [
    {
      'index': i,
      'rgb': view.rgb[i],
      'depth_m': view.depth_m[i],
      'normals': view.normals[i],
      'semantic': view.semantic[i],
      'instance': view.instance[i],
      'albedo': albedo[i],
      'classes': scene_labels.make_classes(level),
      'instance_class': scene_labels.list_instance_classes(scene),
      'phrases': scene_labels.ScenePhrases(scene, level, view.instance[i]),
      'captions': scene_labels.SceneCaptions(scene, view.instance[i]),
      'style': PROMPT_STYLES[level.name],
      'scene': scene,
      'edit': {
        'instruction': 'Remove it.',
        'rgb': view.rgb[(i + 1) % count],
      },
    }
    for i, scene in enumerate(scenes)
  ]


@pytest.fixture(scope='module')
def examples():
  return {name: make_examples(name) for name in world.LEVELS}


def pose_all(task, examples, seed=0):
  encoded = [
    task.encode(example, np.random.default_rng([seed, i]))
    for i, example in enumerate(examples)
  ]
  keys = encoded[0].aux
  aux = {key: jnp.stack([p.aux[key] for p in encoded]) for key in keys}
  return encoded, jnp.stack([p.target for p in encoded]), aux


@functools.partial(jax.jit, static_argnums=0)  # tasks are hashable
def run(task, rgb, aux, valid):
  return task.score(task.decode(rgb, aux), aux, valid)


def summarize(task, states):
  wide = {
    key: np.asarray(value).astype(
      np.int64 if np.issubdtype(value.dtype, np.integer) else np.float64
    )
    for key, value in states.items()
  }
  return task.summarize({key: value.sum(0) for key, value in wide.items()})


PERFECT = {
  'depth': {'delta1': 1, 'abs_rel': 0, 'rmse': 0, 'color_distance': 0},
  'normals': {'mean_deg': 0, 'within_11.25': 1, 'color_distance': 0},
  'semantic': {
    'miou': 1,
    'background_iou': 1,
    'pixel_accuracy': 1,
    'color_distance': 0,
  },
  'instance': {'pmf1': 1, 'pmf1_0.75': 1, 'pq': 1, 'color_distance': 0},
  'referring': {'ciou': 1, 'giou': 1, 'no_target_accuracy': 1},
  'edit': {'mae': 0, 'edited_mae': 0, 'kept_mae': 0, 'made': 1},
  'generate': {'fd_random_conv': 0},
  'albedo': {'mae': 0, 'psnr': 100},
}


@pytest.mark.parametrize('level', sorted(world.LEVELS))
@pytest.mark.parametrize('name', sorted(TASKS))
def test_target_reads_back_as_its_labels(examples, name, level):
  task = TASKS[name]
  encoded, target, aux = pose_all(task, examples[level], seed=3)
  assert target.dtype == jnp.float32
  assert 0 <= target.min() and target.max() <= 1
  states = run(task, target, aux, jnp.ones(len(encoded), bool))
  assert all(len(value) == len(encoded) for value in states.values())
  result = summarize(task, states)
  assert set(task.metrics) <= set(result)
  for metric, value in PERFECT[name].items():
    if not np.isnan(result[metric]):
      assert result[metric] == pytest.approx(value, abs=2e-3), metric
  assert not np.isnan(result[next(iter(task.metrics))])


@pytest.mark.parametrize('name', sorted(TASKS))
def test_padding_rows_add_nothing(examples, name):
  task = TASKS[name]
  encoded, target, aux = pose_all(task, examples['quick'])
  noisy = jnp.clip(target + 0.1, 0, 1)
  every = jnp.ones(len(encoded), bool)
  clean = run(task, noisy, aux, every)
  padded = run(task, noisy.at[-3:].set(jnp.nan), aux, every.at[-3:].set(False))
  for key, value in padded.items():
    np.testing.assert_array_equal(value[-3:], 0, err_msg=key)
    np.testing.assert_array_equal(value[:-3], clean[key][:-3], err_msg=key)


@pytest.mark.parametrize('name', sorted(TASKS))
def test_constants_have_the_shape_of_decoded_answers(examples, name):
  task = TASKS[name]
  encoded, target, aux = pose_all(task, examples['quick'])
  decoded = task.decode(target, aux)
  valid = jnp.ones(len(encoded), bool)

  @jax.jit
  def score(candidate):
    prediction = task.constant_prediction(candidate, aux)
    assert {k: v.shape for k, v in prediction.items()} == {
      k: v.shape for k, v in decoded.items()
    }
    return task.score(prediction, aux, valid)

  headline, better = next(iter(task.metrics.items()))
  scores = [
    summarize(task, score(jnp.asarray(candidate)))[headline]
    for candidate in task.constants
  ]
  perfect = PERFECT[name][headline]
  assert not np.any(np.isnan(scores))
  assert (np.array(scores) != perfect).all(), (better, scores)


def test_an_edit_is_made_where_more_than_half_of_the_way_is_gone(examples):
  task = TASKS['edit']
  _, target, aux = pose_all(task, examples['quick'])
  valid = jnp.ones(len(target), bool)
  for share, made in ((0.0, 0), (0.45, 0), (0.55, 1), (1.0, 1)):
    rgb = aux['source'] + share * (target - aux['source'])
    found = summarize(task, run(task, rgb, aux, valid))
    assert found['made'] == made
    assert found['kept_mae'] < 8 / 255
    assert found['edited_mae'] == pytest.approx(
      (1 - share)
      * summarize(task, run(task, aux['source'], aux, valid))['edited_mae'],
      abs=1e-6,
    )


def test_semantic_legends_have_distractors_and_omissions(examples):
  seen = {'absent': 0, 'omitted': 0, 'entries': set()}
  for i, example in enumerate(examples['quick'] * 10):
    encoded = TASKS['semantic'].encode(example, np.random.default_rng(i))
    listed = set(encoded.aux['class_id'][1:][encoded.aux['palette_valid'][1:]])
    present = set(np.unique(example['semantic']))
    assert listed & present
    seen['absent'] += bool(listed - present)
    seen['omitted'] += bool(present - listed)
    seen['entries'].add(len(listed))
    named = np.isin(example['semantic'], list(listed))
    np.testing.assert_array_equal(encoded.aux['label'] > 0, named)
  assert seen['absent'] > 10 and seen['omitted'] > 10
  assert seen['entries'] == {1, 2, 3, 4}


def test_instance_ids_run_from_left_to_right():
  instance = np.zeros((SIZE, SIZE), np.int32)
  instance[4:10, 20:26] = 1
  instance[4:10, 2:8] = 5
  instance[20:26, 10:16] = 3
  instance[0, 0] = 2  # a sliver
  ids = instance_task.make_canonical_ids(instance)
  assert [ids[5, 3], ids[22, 12], ids[5, 22], ids[0, 0]] == [1, 2, 3, 0]
  assert ids.max() == 3


def test_instance_slivers_are_neither_painted_nor_scored():
  instance = np.zeros((SIZE, SIZE), np.int32)
  instance[4:14, 4:14] = 1
  instance[20, 20] = 2
  example = {
    'rgb': np.zeros((SIZE, SIZE, 3), np.float32),
    'instance': instance,
    'instance_class': [0, 0],
    'classes': labels.Classes(('sphere',), (0,), (0,)),
  }
  task = TASKS['instance']
  encoded, target, aux = pose_all(task, [example])
  assert (
    encoded[0].weight_px[20, 20] == 0
    and (encoded[0].weight_px > 0).sum() == SIZE**2 - 1
  )
  ids = task.decode(target.at[0, 30, 0].set((1.0, 0.5, 0.0)), aux)['ids'][0]
  np.testing.assert_array_equal(ids, np.where(instance == 1, 1, 0))


def test_absent_words_are_answered_by_background(examples):
  empty = [e for e in examples['quick'] if e['scene'].count == 0]
  assert empty
  for i in range(10):
    for name in ('instance', 'referring'):
      encoded = TASKS[name].encode(empty[0], np.random.default_rng(i))
      np.testing.assert_array_equal(
        encoded.target,
        np.broadcast_to(encoded.aux['palette'][0], (SIZE, SIZE, 3)),
      )


def test_referring_paints_exactly_the_denoted_objects(examples):
  absent = 0
  for i, example in enumerate(examples['full'] * 6):
    encoded = TASKS['referring'].encode(example, np.random.default_rng(i))
    instance, label = example['instance'], encoded.aux['label']
    for slot in np.unique(instance):
      assert len(np.unique(label[instance == slot])) == 1  # whole objects
    assert (label[instance == 0] == 0).all()
    rows = int(encoded.aux['palette_valid'].sum())
    assert label.max() < rows
    absent += label.max() == 0
  assert 0 < absent < 24


@pytest.mark.parametrize('name', ['semantic', 'referring', 'instance'])
def test_colors_weigh_more_than_the_background(examples, name):
  encoded, _, aux = pose_all(TASKS[name], examples['quick'])
  label = aux['ids' if name == 'instance' else 'label']
  weight_px = np.stack([one.weight_px for one in encoded])
  assert (weight_px[label > 0] == legend_text.FOREGROUND_WEIGHT).all()
  assert set(np.unique(weight_px[label == 0])) <= {0.0, 1.0}
  assert (weight_px > 0).mean() > 0.99


def test_sky_is_white_and_has_no_normal():
  example = {
    'rgb': np.zeros((2, 2, 3), np.float32),
    'depth_m': np.array([[np.inf, np.inf], [1, 2]], np.float32),
    'normals': np.zeros((2, 2, 3), np.float32),
  }
  example['normals'][1] = (0, 1, 0)
  rng = np.random.default_rng(0)
  encoded = TASKS['depth'].encode(example, rng)
  assert encoded.weight_px.all() and (encoded.target[0] == 1).all()
  encoded = TASKS['normals'].encode(example, rng)
  np.testing.assert_array_equal(
    encoded.weight_px > 0, [[False] * 2, [True] * 2]
  )
  np.testing.assert_allclose(encoded.target[1], [[0.5, 1, 0.5]] * 2)


def test_copying_the_source_is_the_constant_of_edit(examples):
  task = TASKS['edit']
  encoded, _, aux = pose_all(task, examples['quick'])
  prediction = task.constant_prediction(task.constants[0], aux)
  np.testing.assert_array_equal(prediction['rgb'], aux['source'])
  assert all(p.has_source for p in encoded)


def test_captions_are_sometimes_empty(examples):
  example = examples['quick'][3]
  prompts = [
    TASKS['generate'].encode(example, np.random.default_rng(i)).prompt
    for i in range(200)
  ]
  assert 8 <= prompts.count('') <= 35
  photo = {'rgb': example['rgb'], 'captions': texts.CaptionList(['a dog'])}
  prompts = {
    TASKS['generate'].encode(photo, np.random.default_rng(i)).prompt
    for i in range(50)
  }
  assert prompts == {'', 'a dog'}


LIMITS = {'generate': 64, 'semantic': 64}


@pytest.mark.parametrize('name', sorted(TASKS))
def test_quick_prompts_are_short(examples, name):
  tokenizer = Tokenizer.load()
  lengths = []
  for i in range(500):
    example = examples['quick'][i % 8]
    encoded = TASKS[name].encode(example, np.random.default_rng(i))
    lengths.append(tokenizer.count(encoded.prompt))
  assert max(lengths) <= LIMITS.get(name, 48)


def test_a_pose_is_a_function_of_example_and_rng(examples):
  for name, task in TASKS.items():
    example = examples['full'][5]
    one, two, other = (
      task.encode(example, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one.prompt == two.prompt
    np.testing.assert_array_equal(one.target, two.target)
    if name == 'semantic':
      assert one.prompt != other.prompt


def test_missing_labels_are_named():
  photo = {'rgb': np.zeros((4, 4, 3), np.float32), 'depth_m': None}
  with pytest.raises(errors.UserError, match='depth_m'):
    TASKS['depth'].encode(photo, np.random.default_rng(0))


@pytest.mark.parametrize('name', sorted(TASKS))
def test_tasks_are_hashable_and_named(name):
  task = TASKS[name]
  assert task.name == name and hash(task) == hash(type(task)())
  assert base.get_style({}) is PROMPT_STYLES['full']


@pytest.mark.parametrize('balance', [0.0, 0.5, 1.0])
def test_rare_colors_weigh_more_at_the_same_sum(balance):
  label = np.zeros((10, 10), np.int32)
  label[2:4], label[4, :5], label[5:], label[0] = 1, 3, 4, labels.VOID
  weights = legend_text.make_weights(label, balance)
  assert weights.dtype == np.float32
  np.testing.assert_array_equal(weights[label == labels.VOID], 0)
  np.testing.assert_array_equal(weights[label == 0], 1)
  sums = np.array([weights[label == k].sum() for k in (1, 3, 4)])
  area = np.array([20, 5, 50])
  expected = area.astype(float) ** (1 - balance)
  np.testing.assert_allclose(
    sums, 3 * 75 * expected / expected.sum(), rtol=1e-6
  )
