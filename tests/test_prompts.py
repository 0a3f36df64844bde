"""Instructions read back as the legend, thing or color map they name."""

import numpy as np
import pytest

from vbanana_jax.benchmark import protocols, questions, readers
from vbanana_jax.errors import UserError
from vbanana_jax.scenes import referring, world
from vbanana_jax.tasks import TASKS, prompts
from vbanana_jax.tasks.depth.painted import COLORMAPS
from vbanana_jax.tasks.prompt_styles import PROMPT_STYLES

YELLOW, GREEN, CYAN = (255, 255, 0), (0, 128, 0), (0, 255, 255)
RED, BLUE, WHITE, GRAY = (255, 0, 0), (0, 0, 255), (255,) * 3, (128,) * 3
PINK, MEDIUM_PURPLE = (255, 192, 203), (147, 112, 219)

# As published: prompt, entries, background (None where it is not stated). The
# first says 'light purple', which is no color of CSS and is refused.
PAPER_LEGENDS = (
  (
    'Generate a semantic segmentation visualization image, using this color '
    'mapping: {"cat": "red", "lock": "pink", "exit sign": "medium purple", '
    '"background": yellow}.',
    {'cat': RED, 'lock': PINK, 'exit sign': MEDIUM_PURPLE},
    YELLOW,
  ),
  (
    'Generate a visualization image of semantic segmentation, using this '
    'color mapping: {"cat ears": <255, 165, 0>, "exit sign": <0, 0, 255>, '
    '"background":<125,0, 125>}',
    {'cat ears': (255, 165, 0), 'exit sign': BLUE},
    (125, 0, 125),
  ),
  (
    'This image is a per-pixel class labeling of the input. The macaron cakes '
    'are represented by (255, 255, 0). The round plates are represented by '
    '(255, 192, 128). The slice cakes are depicted in (64, 192, 64). The '
    'flowers are shown in (128, 0, 64). The tongs are (255, 0, 192).',
    {
      'macaron cakes': YELLOW,
      'round plates': (255, 192, 128),
      'slice cakes': (64, 192, 64),
      'flowers': (128, 0, 64),
      'tongs': (255, 0, 192),
    },
    None,
  ),
  (
    'Generate a semantic segmentation visualization of the input. The menu is '
    '#80C000. The dessert is #800000. The patterns on the wall is #40FFC0',
    {
      'menu': (128, 192, 0),
      'dessert': (128, 0, 0),
      'patterns on the wall': (64, 255, 192),
    },
    None,
  ),
  (
    'Conduct per-class semantic segmentation for the given image. The sitting '
    'person are represented by (255, 255, 0)... The sky is in (255, 0, 192). '
    'The fence is in (0,0,255)...',
    {'sitting person': YELLOW, 'sky': (255, 0, 192), 'fence': BLUE},
    None,
  ),
  (
    'Segment the skateboard category in pure yellow (<255, 255, 0>)',
    {'skateboard': YELLOW},
    None,
  ),
  (
    'A segmentation map image. The area that corresponds to the man in pink t '
    'shirt is rendered solid white; the other man is rendered in green.',
    {'man in pink t shirt': WHITE, 'other man': GREEN},
    None,
  ),
  (
    'A segmentation map image. The stretching cat is rendered in green, the '
    'cat that is cleaning itself is in cyan.',
    {'stretching cat': GREEN, 'cat that is cleaning itself': CYAN},
    None,
  ),
  (
    'This image shows segmentation masks from the given image. The background '
    'is black color. The game control device is represented by a solid yellow.',
    {'game control device': YELLOW},
    (0, 0, 0),
  ),
  (
    "The chef's names in both Chinese and English are rendered as cyan color.",
    {"chef's names in both Chinese and English": CYAN},
    None,
  ),
  (
    'A segmentation map of the input image. The pig not in the glass is '
    'rendered cyan, and the pig in the glass reflection is rendered yellow.',
    {'pig not in the glass': CYAN, 'pig in the glass reflection': YELLOW},
    None,
  ),
)
PAPER_INSTANCES = (
  (
    'Generate an instance segmentation visualization of this image. Each '
    'piece of garlic is colored differently.',
    'piece of garlic',
    None,
  ),
  (
    'This image is a segmentation task derived from the input. The '
    '"crescent"-shaped croissant instances are each represented by a unique, '
    'solid color. Background is RGB(88, 50, 82).',
    'crescent-shaped croissant',
    (88, 50, 82),
  ),
  (
    'This image shows segmentation masks for the basketballs from the input '
    'image. The background is set to #10aa05. Each basketball instance is '
    'represented by a solid circular mask, and a different color is used for '
    'each mask.',
    'basketball',
    (16, 170, 5),
  ),
  (
    'This image shows segmentation masks for the balls from the input image. '
    'The background is set to white color. Each ball is represented by a '
    'different color.',
    'ball',
    WHITE,
  ),
  (
    'Segment all the price on the price tags, color them differently.',
    'price on the price tags',
    None,
  ),
)
# What people write besides.
LEGENDS = (
  ('cat: red\ndog: blue\nbackground: white', {'cat': RED, 'dog': BLUE}, WHITE),
  ("{'chef's hat': 'red', 'sky': [0, 0, 255]}",
   {"chef's hat": RED, 'sky': BLUE}, None),
  ('{“cat”: “red”, "sky": "rgb(0, 0, 255)"}',
   {'cat': RED, 'sky': BLUE}, None),
  ('{"salt, pepper and rye": "red", "say: cheese.": #0000ff}',
   {'salt, pepper and rye': RED, 'say: cheese.': BLUE}, None),
  ('Sky = blue, tree -> #00ff00, dog (white), elk (255,0,255)',
   {'Sky': BLUE, 'tree': (0, 255, 0), 'dog': WHITE, 'elk': (255, 0, 255)},
   None),
  ('The pig is shown in red (#ff0000); the cow, in (0, 0, 255) (blue).',
   {'pig': RED, 'cow': BLUE}, None),
  ('the cat is red. the dog is blue.', {'cat': RED, 'dog': BLUE}, None),
  ('{"cat": 0xff0000, "dog": "0x0000FF"}', {'cat': RED, 'dog': BLUE}, None),
  ('{"cat": "pink", "dog": "hot pink"}',
   {'cat': PINK, 'dog': (255, 105, 180)}, None),
  # 'Light purple' describes a dress here, and is no color of the legend.
  ('The lady in light purple, waving, is rendered in cyan.',
   {'lady in light purple, waving': CYAN}, None),
  ('Segment the cat in red and the dog in #0000ff on a white background.',
   {'cat': RED, 'dog': BLUE}, WHITE),
  ('On a solid grey background, the cat is red.', {'cat': RED}, GRAY),
  ('The cat should be colored in the color red, everything else is white.',
   {'cat': RED}, WHITE),
  ('The cats are all red and the dogs are all blue.',
   {'cats': RED, 'dogs': BLUE}, None),
  ('Highlight the cat with a red mask', {'cat': RED}, None),
  ('A is rendered in red, B in blue', {'A': RED, 'B': BLUE}, None),
  # A color inside a phrase is no entry.
  ('The man in red, waving, is rendered in cyan, the other man in blue',
   {'man in red, waving': CYAN, 'other man': BLUE}, None),
  ('Segment the car that is red and white in cyan.',
   {'car that is red and white': CYAN}, None),
  ('The man in red. is rendered solid white', {'man in red': WHITE}, None),
  ('The black and white cat on the red mat is blue.',
   {'black and white cat on the red mat': BLUE}, None),
)  # fmt: skip
PHRASES = (
  'the man in black and white',
  'the red cup, left of "the blue one"',
  "man who's wearing red, 2nd from the left.",
  'the sign: stop',
  'St. Bernard that is in the snow',
  'a black, white and {brown} dog',
)


@pytest.mark.parametrize('prompt, entries, ground', PAPER_LEGENDS + LEGENDS)
@pytest.mark.parametrize('task', ['semantic', 'referring'])
def test_legends(task, prompt, entries, ground):
  reading = prompts.read_prompt(task, prompt)
  assert reading.entries == tuple(entries.items())
  assert reading.background_stated == (ground is not None)
  assert reading.background == (ground or (0, 0, 0))
  palette, valid = reading.make_palette()
  assert valid.all() and palette.dtype == np.float32
  np.testing.assert_allclose(
    palette * 255, [reading.background, *entries.values()], atol=1e-4
  )


@pytest.mark.parametrize('prompt, category, ground', PAPER_INSTANCES)
def test_instances(prompt, category, ground):
  reading = prompts.read_prompt('instance', prompt)
  assert (reading.category, reading.entries) == (category, ())
  assert reading.background_stated == (ground is not None)
  assert reading.background == (ground or (0, 0, 0))


def test_an_instance_prompt_of_unknown_form_still_has_its_background():
  reading = prompts.read_prompt('instance', 'Birds! On a white background.')
  assert (reading.category, reading.background) == (None, WHITE)


@pytest.mark.parametrize(
  'prompt, name',
  [
    ('Visualized in the rainbow colormap.', 'rainbow'),
    (
      'Predict the metric depth of this scene as an image. Visualized in the '
      'rainbow (black-red-yellow-green-cyan-blue-violet-white) color palette.',
      'rainbow',
    ),
    ('Generate a metric depth map of the provided image.', 'rainbow'),
    ('Metric depth of the jet, in the Viridis color map.', 'viridis'),
    ('depth, plasma palette', 'plasma'),
    ('INFERNO', 'inferno'),
    ('A gray-scale depth map', 'grayscale'),
    ('in greyscale', 'grayscale'),
    ('in grey scale', 'grayscale'),
  ],
)
def test_depth_names_its_color_map(prompt, name):
  assert prompts.read_prompt('depth', prompt).colormap == name
  assert name in COLORMAPS


def test_normals_need_nothing():
  reading = prompts.read_prompt('normals', 'Predict the surface normal.')
  assert reading == prompts.PromptSpec('normals')


CLASSES = (
  *world.CLASSES, 'traffic sign', "chef's hat", 'salt and pepper',
  'man in red shirt', 'St. Bernard', 'cup, plate and bowl', 'sign: stop',
  'orange', 'paint bucket',
)  # fmt: skip


def draw_question(task, level, rng):
  """A question of one of our own tasks, and the names in it."""
  if task == 'semantic':
    count = int(rng.integers(1, 9))
    names = [CLASSES[i] for i in rng.permutation(len(CLASSES))[:count]]
    return TASKS[task].ask(
      rng, classes=names, style=PROMPT_STYLES[level]
    ), names
  if task == 'referring':
    count = int(rng.integers(1, 3))
    names = [draw_phrase(rng) for _ in range(count)]
    return TASKS[task].ask(
      rng, phrases=names, style=PROMPT_STYLES[level]
    ), names
  category = CLASSES[rng.integers(len(CLASSES))]
  return TASKS[task].ask(
    rng, category=category, style=PROMPT_STYLES[level]
  ), category


def draw_phrase(rng):
  """A phrase such as scenes speak of, written from its parts."""

  def pick(*options):
    return options[rng.integers(len(options))]

  noun = pick('sphere', 'objects', 'tori', 'thing')
  start = pick('', 'the ', 'all the ', 'the second ') + pick('', 'red ', 'big ')
  end = pick(
    '', ' on the left', ' in the right half', ' behind the black box',
    ' in front of the cyan cone', ' furthest right', ' that is white',
  )  # fmt: skip
  return f'{start}{noun}{end}'


@pytest.mark.parametrize('level', ['quick', 'full'])
@pytest.mark.parametrize('task', ['semantic', 'referring', 'instance'])
def test_our_own_wordings_read_back_as_their_palette(task, level):
  for seed in range(250):
    rng = np.random.default_rng([seed, 31])
    question, names = draw_question(task, level, rng)
    reading = prompts.read_prompt(task, question.prompt)
    palette = question.aux['palette']
    if task == 'instance':
      assert reading.category == names, question.prompt
      palette = palette[:1]
    else:
      palette = palette[question.aux['palette_valid']]
      read = [name for name, _ in reading.entries]
      assert read == [n.removeprefix('the ') for n in names], question.prompt
    np.testing.assert_array_equal(
      reading.make_palette()[0], palette, err_msg=question.prompt
    )


@pytest.mark.parametrize('level_name', ['quick', 'full'])
def test_phrases_of_scenes_read_back(level_name):
  """Phrases as the generator of scenes utters them."""
  level = world.LEVELS[level_name]
  for seed in range(12):
    rng = np.random.default_rng(seed)
    scene = world.sample_scene(level, 5, seed)
    visible = np.arange(len(scene.center)) < int(scene.count)
    found = referring.phrases(scene, visible, rng, referring.get_kinds(level))
    for phrase in found:
      question = TASKS['referring'].ask(
        rng, phrases=[phrase.text], style=PROMPT_STYLES[level_name]
      )
      reading = prompts.read_prompt('referring', question.prompt)
      ((name, _),) = reading.entries
      assert name == phrase.text.removeprefix('the '), question.prompt
      np.testing.assert_array_equal(
        reading.make_palette()[0], question.aux['palette'][:2]
      )


@pytest.mark.parametrize('task', ['depth', 'normals'])
def test_our_own_geometry_wordings_read(task):
  for seed in range(20):
    question = TASKS[task].ask(np.random.default_rng(seed))
    colormap = prompts.read_prompt(task, question.prompt).colormap
    assert colormap == ('rainbow' if task == 'depth' else None)


@pytest.mark.parametrize('title', protocols.list_protocols())
def test_prompts_of_protocols_read_back(title):
  protocol = protocols.load_protocol(title)
  for phrase in PHRASES:
    item = readers.base.Item(id='x', image='x.jpg', phrase=phrase)
    for repeat in range(3):
      asked = questions.ask(protocol, item, repeat)
      reading = prompts.read_prompt(protocol.task, asked.prompt)
      np.testing.assert_array_equal(
        reading.make_palette()[0],
        asked.spec.make_palette()[0],
        err_msg=asked.prompt,
      )
      assert reading.colormap == asked.spec.colormap


@pytest.mark.parametrize('task', ['semantic', 'referring'])
@pytest.mark.parametrize(
  'prompt',
  ['', 'Segment the cat.', 'A photo of a red car.', '{"cat": }', '#ff0000'],
)
def test_no_legend_is_one_clear_line(task, prompt):
  with pytest.raises(UserError, match=r'no legend.*\{"cat": "red"') as error:
    prompts.read_prompt(task, prompt)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  'task, prompt, message',
  [
    ('semantic', '{"cat": "reddish", "dog": "red"}', "'cat'.*reddish"),
    ('semantic', '{"exit sign": "light purple"}', "'exit sign'.*mediumpurple"),
    ('semantic', '{"cat": "red", "dog": #40ffc}', "'dog'.*5 hexadecimal"),
    ('semantic', '{"cat": "red", "dog": 0x40ffc}', "'dog'.*5 hexadecimal"),
    ('semantic', '{"cat": "red", "dog": "#40ffc"}', "'dog'.*5 hexadecimal"),
    (
      'semantic',
      'The cat is red. The dog is rendered in a solid light purple.',
      "'dog'.*light purple",
    ),
    (
      'semantic',
      'The cat is red, on a pale blue background.',
      "'background'.*pale blue",
    ),
    ('semantic', 'The cat is (300, 0, 0).', '300'),
    ('referring', 'The cat is #12345.', '#12345'),
    ('depth', 'Depth in the turbo colormap.', 'turbo.*viridis'),
    ('edit', 'Make it red.', "task 'edit'"),
  ],
)
def test_what_cannot_be_read_is_a_user_error(task, prompt, message):
  with pytest.raises(UserError, match=message):
    prompts.read_prompt(task, prompt)


@pytest.mark.parametrize('gap', [0, 1, 27, 28, 40])
def test_colors_must_be_apart(gap):
  prompt = f'The cat is (200, 0, 0). The dog is (200, {gap}, 0).'
  if gap >= 28:
    assert len(prompts.read_prompt('semantic', prompt).entries) == 2
    return
  with pytest.raises(UserError, match=r'cat.*dog.*28 levels'):
    prompts.read_prompt('semantic', prompt)


def test_a_black_entry_needs_another_background():
  with pytest.raises(UserError, match=r'unstated background.*cat'):
    prompts.read_prompt('semantic', 'The cat is black.')
  reading = prompts.read_prompt(
    'semantic', 'The cat is black. The background is white.'
  )
  assert reading.entries == (('cat', (0, 0, 0)),)


PIECES = (
  '{', '}', '"', "'", ':', ',', '.', '. ', ' ', '(', ')', '<', '#ff0000',
  '(1, 2, 3)', '[255,0,0]', 'red', 'light', 'is', 'in', 'and', 'the', 'cat',
  'background', 'St.', '\n', '“', '”', 'that', 'rendered', 'image', 'each',
  'is colored', 'white background', '#', '-',
)  # fmt: skip


@pytest.mark.parametrize('joint', ['', ' '])
def test_any_text_is_read_or_refused_in_one_line(joint):
  rng = np.random.default_rng(8)
  for _ in range(1500):
    picks = rng.integers(len(PIECES), size=rng.integers(1, 25))
    prompt = joint.join(PIECES[i] for i in picks)
    for task in ('semantic', 'instance', 'depth', 'normals'):
      try:
        reading = prompts.read_prompt(task, prompt)
      except UserError as error:
        assert '\n' not in str(error), prompt
      else:
        assert all(name for name, _ in reading.entries), prompt
