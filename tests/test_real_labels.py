"""Tasks on labels as pictures from elsewhere have them: void, many classes."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from labeled_rows import NAMES, LabeledRows

from vbanana_jax import errors, labels
from vbanana_jax.data import (
  bad_records,
  encoder,
  fitting_words,
  mixture,
  stream,
  texts,
)
from vbanana_jax.tasks import TASKS, legend_text
from vbanana_jax.tasks.prompt_styles import NUMBERS, QUICK
from vbanana_jax.tokenizer.tokenizer import Tokenizer

SIZE = 32
VOID = np.s_[:, :4]


def encode(name, row=0, seed=0, **changes):
  example = {**LabeledRows(SIZE)[row], 'style': QUICK, **changes}
  return TASKS[name].encode(example, np.random.default_rng(seed))


def with_entries(least, most, most_tokens=0):
  return dataclasses.replace(
    NUMBERS,
    entries=(least, most),
    least_share=0.0,
    most_tokens=most_tokens,
  )


def score(name, encoded, rgb=None):
  """Metrics of one example, painted as the target if not otherwise."""
  task = TASKS[name]
  rgb = jnp.asarray(encoded.target if rgb is None else rgb)[None]
  aux = {key: jnp.asarray(leaf)[None] for key, leaf in encoded.aux.items()}
  states = task.score(task.decode(rgb, aux), aux, jnp.ones(1, bool))
  return task.summarize(
    {key: np.asarray(leaf).astype(float).sum(0) for key, leaf in states.items()}
  )


@pytest.mark.parametrize(
  'name', ['depth', 'normals', 'semantic', 'instance', 'referring']
)
def test_what_is_not_known_neither_weighs_nor_is_scored(name):
  encoded = encode(name)
  assert np.isfinite(encoded.target).all()
  if name != 'referring':  # a phrase denotes what it denotes, and no more
    assert (encoded.weight_px[VOID] == 0).all()
    assert encoded.weight_px.mean() > 0.8
  wrong = encoded.target.copy()
  wrong[VOID] = (0.3, 0.9, 0.2)
  if name != 'referring':
    headline = next(iter(TASKS[name].metrics))
    assert score(name, encoded, wrong)[headline] == pytest.approx(
      score(name, encoded)[headline], abs=1e-3
    )


@pytest.mark.parametrize('least, most', [(20, 20), (30, 60), (60, 60)])
def test_legends_of_many_classes(least, most):
  style = with_entries(least, most)
  counts = set()
  for seed in range(30):
    encoded = encode('semantic', row=seed % 10, seed=seed, style=style)
    valid = encoded.aux['palette_valid']
    ids = encoded.aux['class_id'][valid][1:]
    assert len(set(ids)) == len(ids) and set(ids) <= set(range(len(NAMES)))
    counts.add(len(ids))
    for row, k in enumerate(ids, 1):
      assert NAMES[k] in encoded.prompt or k == 1  # which has other names
      there = LabeledRows(SIZE)[seed % 10]['semantic'] == k
      np.testing.assert_array_equal(encoded.aux['label'] == row, there)
    colors = np.rint(255 * encoded.aux['palette'][valid])
    gaps = np.linalg.norm(colors[:, None] - colors, axis=-1)
    assert gaps[~np.eye(len(colors), dtype=bool)].min() >= 28
  assert min(counts) >= least and max(counts) <= most


def test_a_legend_is_as_long_as_the_instruction_can_be():
  tokenizer = Tokenizer.load()
  lengths, names = [], []
  for seed in range(20):
    style = with_entries(40, 40, most_tokens=200)
    encoded = encode('semantic', seed=seed, style=style)
    lengths.append(tokenizer.count(encoded.prompt))
    names.append(int(encoded.aux['palette_valid'].sum()) - 1)
  assert max(lengths) <= 200 and np.mean(lengths) > 150
  assert min(names) >= 6


def test_a_class_of_few_pixels_is_asked_about_where_all_are():
  semantic = np.zeros((SIZE, SIZE), np.int32)
  semantic[0, 0] = 1
  classes = labels.Classes(('ground', 'dot'), (0, 1))
  example = {'semantic': semantic, 'classes': classes}
  for seed in range(10):
    encoded = encode('semantic', seed=seed, style=with_entries(2, 2), **example)
    assert encoded.aux['palette_valid'].sum() == 3
    assert (encoded.aux['label'] > 0).all()
    only = encode('semantic', seed=seed, style=QUICK, **example)
    assert (only.aux['label'] > 0).sum() != 1


def test_all_void_can_be_asked_and_weighs_nothing():
  void = np.full((SIZE, SIZE), labels.VOID, np.int32)
  assert not encode('semantic', semantic=void).weight_px.any()
  assert not encode('instance', instance=void).weight_px.any()


def test_synonyms_are_drawn_and_no_name_is_used_twice():
  classes = labels.Classes(
    ('a', 'b', 'c'), (0, 1, 2), synonyms={0: ('d', 'e'), 1: ('d',)}
  )
  seen = set()
  for seed in range(60):
    rng = np.random.default_rng(seed)
    names = legend_text.draw_names(rng, classes, (0, 1, 2))
    assert len(set(names)) == 3 and names[2] == 'c'
    seen.add(tuple(names[:2]))
  assert seen == {('a', 'b'), ('a', 'd'), ('d', 'b'), ('e', 'b'), ('e', 'd')}


def test_objects_are_asked_for_by_class_and_as_objects_where_all_are_labeled():
  prompts = [encode('instance', seed=k).prompt for k in range(60)]
  assert not any('object ' in prompt for prompt in prompts)
  assert any('stuff' in prompt for prompt in prompts)
  rows = LabeledRows(SIZE)
  named = dataclasses.replace(rows.classes, any_thing='item')
  prompts = [
    encode('instance', seed=k, classes=named).prompt for k in range(60)
  ]
  assert 5 < sum('item' in prompt for prompt in prompts) < 30
  encoded = encode('instance', classes=None)
  assert 'object' in encoded.prompt and encoded.aux['ids'].max() == 3


def test_one_phrase_or_two_that_do_not_overlap():
  whole = np.zeros((SIZE, SIZE), bool)
  whole[:8] = True
  part = np.zeros((SIZE, SIZE), bool)
  part[4:6] = True
  other = np.zeros((SIZE, SIZE), bool)
  other[20:] = True
  phrases = texts.PhraseList(
    [
      labels.Phrase('the whole', whole),
      labels.Phrase('its part', part),
      labels.Phrase('another', other),
      labels.Phrase('no such thing', np.zeros_like(whole)),
    ]
  )
  counts = set()
  for seed in range(60):
    encoded = encode('referring', seed=seed, phrases=phrases, style=NUMBERS)
    asked = [p for p in phrases if p.text in encoded.prompt]
    counts.add(len(asked))
    assert not {'the whole', 'its part'} <= {p.text for p in asked}
    for row in range(1, 3):
      mask = encoded.aux['label'] == row
      assert not mask.any() or any((mask == p.mask).all() for p in asked)
  assert counts == {1, 2}
  short = dataclasses.replace(NUMBERS, most_tokens=60)
  tokenizer = Tokenizer.load()
  for seed in range(20):
    encoded = encode('referring', seed=seed, phrases=phrases, style=short)
    assert tokenizer.count(encoded.prompt) <= 60


def test_a_part_of_a_picture_without_its_phrases_weighs_nothing():
  encoded = encode('referring', phrases=texts.PhraseList())
  assert encoded.prompt and not encoded.weight_px.any()


def test_words_that_are_too_long_are_left_out():
  mask = np.zeros((2, 2), bool)
  example = {
    'captions': texts.CaptionList(['a', '1 ' * 50]),
    'phrases': texts.PhraseList(
      [labels.Phrase('2 ' * 80, mask), labels.Phrase('b', mask)]
    ),
    'edit': {'instruction': 'Do it.', 'rgb': None},
  }
  kept = fitting_words.keep_fitting(example, 40)
  assert kept['captions'] == ('a',) and type(kept['captions']).draw
  assert [phrase.text for phrase in kept['phrases']] == ['b']
  for key, value, says in (
    ('captions', texts.CaptionList(['1 ' * 50]), 'its caption has 50 tokens'),
    ('phrases', example['phrases'][:1], 'its phrase has 80 tokens'),
    ('edit', {'instruction': '1 ' * 41}, 'its instruction has 41 tokens'),
  ):
    with pytest.raises(errors.UserError, match=says):
      fitting_words.keep_fitting({key: value}, 40)


class VariedRows(LabeledRows):
  """Rows of which each reading is another one."""

  def draw(self, index, rng):
    example = self[index]
    return {**example, 'rgb': example['rgb'] * np.float32(rng.random())}


def take(source, start_step=0, end_step=6, **options):
  mixed = mixture.Mixture(
    [
      mixture.Entry(TASKS[name], source, 1.0, with_entries(1, 20, 160))
      for name in ('semantic', 'depth', 'generate')
    ]
  )
  settings = stream.StreamSettings(
    batch_size=4, seed=3, max_text=160, **options
  )
  return list(
    stream.build_stream(
      mixed, settings, start_step=start_step, end_step=end_step
    )
  )


def assert_equal(one, other):
  for a, b in zip(one, other, strict=True):
    for key in a:
      np.testing.assert_array_equal(a[key], b[key], err_msg=key)


@pytest.mark.parametrize('lengths', [{}, {'text_length': 100}])
def test_varied_readings_are_functions_of_seed_and_step(lengths):
  source = VariedRows(SIZE)
  whole = take(source, **lengths)
  assert_equal(take(source, start_step=2, **lengths), whole[2:])
  assert_equal(take(source, threads=5, **lengths), whole)
  shares = [take(source, rows=rows, **lengths) for rows in ((0, 2), (1, 3))]
  joined = [
    {
      key: np.stack([a[key], b[key]], 1).reshape(whole[k][key].shape)
      for key in a
    }
    for k, (a, b) in enumerate(zip(*shares, strict=True))
  ]
  assert_equal(joined, whole)


def test_a_row_is_varied_by_the_example_and_plain_by_the_row():
  source = VariedRows(SIZE, count=1)
  reader = encoder.Reader(source, seed=3)
  one, again, other = (
    reader.read(k, index) for k, index in ((0, 5), (0, 5), (0, 6))
  )
  np.testing.assert_array_equal(one['rgb'], again['rgb'])
  assert (one['rgb'] != other['rgb']).any()
  plain = encoder.read_example(source, 0)
  np.testing.assert_array_equal(plain['rgb'], source[0]['rgb'])


class BadRows(VariedRows):
  """Rows of which two are bad, as is found once they have drawn."""

  def draw(self, index, rng):
    rng.random(1 + index)
    if index in (3, 7):
      raise bad_records.BadRecordError(f'row {index}: bad')
    return super().draw(index, rng)


def test_a_bad_record_changes_nothing_once_it_is_known(tmp_path):
  def open_source():
    return bad_records.ReplacingSource(
      BadRows(SIZE),
      name='rows',
      allowed='5 records',
      seed=3,
      max_text=160,
      log=bad_records.BadRecordLog(tmp_path),
    )

  found = take(open_source())
  assert len((tmp_path / 'bad_records.jsonl').read_text().splitlines()) == 2
  assert_equal(take(open_source()), found)  # which reads the list
  assert_equal(take(open_source(), start_step=4), found[4:])


def test_long_legends_come_in_few_lengths():
  """A retrace for each length: three at most, whatever is drawn."""
  source = LabeledRows(SIZE)
  mixed = mixture.Mixture(
    [
      mixture.Entry(TASKS['semantic'], source, 1.0, with_entries(1, 40, 640)),
      mixture.Entry(TASKS['depth'], source, 3.0),
    ]
  )
  settings = stream.StreamSettings(
    batch_size=4, seed=3, max_text=640, text_length=320, short_text_length=40
  )
  batches = list(stream.build_stream(mixed, settings, end_step=24))
  lengths = [batch['tokens'].shape[1] for batch in batches]
  assert set(lengths) == {40, 320, 640}
  assert lengths.count(40) >= 12
