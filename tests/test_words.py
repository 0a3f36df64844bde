"""Words and palette come from one legend: what is written is painted."""

import re

import numpy as np
import pytest

from vbanana_jax import errors
from vbanana_jax.codecs import palettes
from vbanana_jax.scenes import world
from vbanana_jax.tasks import TASKS, legend_colors
from vbanana_jax.tasks.prompt_styles import PROMPT_STYLES


def colors_in(prompt):
  """Every color of a prompt, by a grammar of its own."""
  names = '|'.join(sorted(palettes.NAMED, key=len, reverse=True))
  pattern = rf'#[0-9a-f]{{6}}|[(<]\d+, \d+, \d+[)>]|\b(?:{names})\b'
  return [palettes.parse_color(text) for text in re.findall(pattern, prompt)]


@pytest.mark.parametrize('level', sorted(world.LEVELS))
def test_semantic_prompt_and_palette_agree(level):
  rng = np.random.default_rng(0)
  classes = world.CLASSES[:4]
  stated = 0
  for _ in range(100):
    question = TASKS['semantic'].ask(
      rng, classes=classes, style=PROMPT_STYLES[level]
    )
    palette = np.rint(255 * question.aux['palette']).astype(int)
    np.testing.assert_array_equal(
      question.aux['palette_valid'], np.arange(9) <= len(classes)
    )
    painted = [tuple(row) for row in palette[1 : len(classes) + 1]]
    if 'background' in question.prompt:
      painted.append(tuple(palette[0]))
      stated += 1
    else:
      assert tuple(palette[0]) == (0, 0, 0)
    assert colors_in(question.prompt) == painted
    places = [question.prompt.index(name) for name in classes]
    assert places == sorted(places)
    gaps = [
      np.linalg.norm(np.subtract(a, b))
      for i, a in enumerate(palette[:5])
      for b in palette[:i]
    ]
    assert min(gaps) >= legend_colors.MIN_DISTANCE
  assert 30 < stated < 70


@pytest.mark.parametrize('count', [2, 26, 27, 150])
def test_a_fixed_style_gives_a_name_one_color(count):
  rng = np.random.default_rng(0)
  style = PROMPT_STYLES['fixed']
  names = [f'thing {k}' for k in range(count)]
  found = legend_colors.find_fixed(names)
  fixed = {name: color.text for name, color in zip(names, found)}
  assert len(set(fixed.values())) == count
  assert all(color.startswith('#') == (count > 26) for color in fixed.values())
  for _ in range(5):
    classes = list(rng.permutation(names))
    question = TASKS['semantic'].ask(rng, classes=classes, style=style)
    rgb = [palettes.parse_color(fixed[name]) for name in classes]
    palette = np.rint(255 * question.aux['palette'])[: count + 1]
    np.testing.assert_array_equal(palette, [(0, 0, 0), *rgb])
    assert colors_in(question.prompt)[:count] == rgb


def test_names_of_a_short_legend_mostly_have_their_first_color():
  names = [f'thing {k}' for k in range(60)]
  alone = [legend_colors.find_fixed([name])[0] for name in names]
  among = [
    color
    for k in range(0, 60, 6)
    for color in legend_colors.find_fixed(names[k : k + 6])
  ]
  assert sum(a == b for a, b in zip(alone, among)) > 48


def test_instance_background_keeps_away_from_instances():
  rng = np.random.default_rng(0)
  for _ in range(100):
    question = TASKS['instance'].ask(rng, category='sphere')
    palette = np.rint(255 * question.aux['palette']).astype(int)
    gaps = np.linalg.norm(palette[1:] - palette[0], axis=-1)
    assert gaps.min() >= legend_colors.MIN_DISTANCE
    found = colors_in(question.prompt)
    assert found == ([tuple(palette[0])] if found else [])


def test_given_words_are_kept():
  rng = np.random.default_rng(0)
  question = TASKS['semantic'].ask(
    rng,
    classes=('cat', 'exit sign'),
    colors=('#80c000', '<1, 2, 250>'),
    background='pink',
  )
  for text in ('cat', 'exit sign', '#80c000', '<1, 2, 250>', 'pink'):
    assert text in question.prompt
  np.testing.assert_allclose(
    question.aux['palette'][:3] * 255,
    [palettes.NAMED['pink'], (128, 192, 0), (1, 2, 250)],
  )


@pytest.mark.parametrize(
  'words_',
  [
    {'classes': ()},
    {'classes': ('cat', 'dog'), 'colors': ('red',)},
    {'classes': ('cat', 'dog'), 'colors': ('red', '(250, 0, 5)')},
    {'classes': ('cat',), 'colors': ('reddish',)},
    {'classes': ('cat',), 'background': 'black', 'colors': ('#000010',)},
  ],
)
def test_bad_legends_are_refused(words_):
  with pytest.raises(errors.UserError):
    TASKS['semantic'].ask(np.random.default_rng(0), **words_)
