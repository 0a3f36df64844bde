"""Instance segmentation of one class: a color each, from left to right."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax import labels
from vbanana_jax.codecs import instances as codec
from vbanana_jax.codecs import palettes
from vbanana_jax.metrics import instances as metric
from vbanana_jax.metrics import panoptic
from vbanana_jax.tasks import base, legend_text
from vbanana_jax.tasks.benchmark import Benchmark
from vbanana_jax.tasks.instance.benchmark import InstanceBenchmark
from vbanana_jax.tasks.instance.painted import InstanceReader
from vbanana_jax.tasks.instance.value import IDS
from vbanana_jax.tasks.painted import PaintedReader
from vbanana_jax.tasks.prompt_styles import QUICK, PromptStyle
from vbanana_jax.tasks.value import Value

_MOST = len(codec.CANONICAL)
_ROWS = 1 + _MOST
_MIN_SHARE = 6 / 64**2  # of the picture; smaller instances are dropped
_ABSENT_SHARE = 0.15  # of prompts about a class that is not there
_ANY_SHARE = 0.25  # of prompts about every object
_ANYTHING = 'object'

_WORDINGS = (
  'Segment each {category} in its own color.{background}',
  'Instance segmentation. Each {category} is colored differently.{background}',
)
_WORDINGS_LONG = (
  'Generate an instance segmentation visualization of this image. Each '
  '{category} is colored differently.{background}',
  'This image is a segmentation task derived from the input. The {category} '
  'instances are each represented by a unique, solid color.{background}',
  'This image shows segmentation masks from the input image.{background} '
  'Each {category} is represented by a different color.',
)


@dataclasses.dataclass(frozen=True)
class Instance(base.Task):
  """Paints each instance of a class in canonical colors, left to right.

  The order is by mean column of the visible pixels, which makes the answer a
  function of picture and instruction. Instances of fewer than 6 pixels at
  64x64 are dropped from answers and ignored in labels, as VOID is. Where the
  objects have no classes, each is an object. Prediction: `ids`
  int32[b h w], 0 for background, and `distance` in RGB units.

  Source: Vision Banana, figure 3; canonical colors are ours, for one pass.
  """

  name: ClassVar[str] = 'instance'
  also_sampled: ClassVar[bool] = True
  inputs: ClassVar[base.Inputs] = base.Inputs(most_classes=1)
  value: ClassVar[Value] = IDS
  note: ClassVar[str] = (
    'Numbered from left to right, each in a color of its own. Error, by place '
    'in that order: green is right, red is wrong.'
  )
  benchmark: ClassVar[Benchmark] = InstanceBenchmark()
  reader: ClassVar[PaintedReader] = InstanceReader()
  needs: ClassVar[tuple[str, ...]] = ('instance',)
  metrics: ClassVar[Mapping[str, str]] = types.MappingProxyType(
    {'pmf1': 'max', 'pmf1_0.5': 'max', 'pmf1_0.75': 'max', 'pq': 'max'}
  )
  constants: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)

  def make_words(
    self, prompt: str | None, classes: tuple[str, ...]
  ) -> dict[str, Any]:
    """The class, or every object."""
    del prompt
    return {'category': classes[0]} if classes else {}

  def ask(
    self,
    rng: np.random.Generator,
    *,
    category: str = _ANYTHING,
    background: str | None = None,
    style: PromptStyle = QUICK,
  ) -> base.Question:
    """Asks for each `category`; aux: palette f32[13 3], background first."""
    legend = legend_text.draw_background(
      rng, style, codec.CANONICAL, background
    )
    options = _WORDINGS + _WORDINGS_LONG * (style.wordings == 'all')
    prompt = legend_text.choose(rng, options).format(
      category=category, background=legend.write_background()
    )
    palette, _ = legend.make_palette(_ROWS)
    palette[1:] = palettes.to_rgb(codec.CANONICAL)
    return base.Question(prompt, {'palette': palette})

  def encode(
    self, example: base.Example, rng: np.random.Generator
  ) -> base.EncodedExample:
    """Asks for a class of the picture, an absent one, or every object."""
    base.check_needs(self, example)
    instance = example['instance']
    category, is_asked = _draw_thing(rng, example)
    asked = np.where(is_asked, instance, 0)
    ids = make_canonical_ids(asked)
    question = self.ask(rng, category=category, style=base.get_style(example))
    valid_px = ((ids > 0) == (asked > 0)) & (instance != labels.VOID)
    return base.EncodedExample(
      prompt=question.prompt,
      source=example['rgb'],
      has_source=True,
      target=question.aux['palette'][ids],
      weight_px=valid_px * legend_text.make_weights(ids),
      aux={**question.aux, 'ids': ids, 'valid_px': valid_px},
    )

  def decode(self, rgb, aux: base.Arrays) -> base.Arrays:
    """Nearest canonical color; ids that cover too little are dropped."""
    ids, distance = jax.vmap(palettes.decode_nearest)(rgb, aux['palette'])
    fewest = _MIN_SHARE * rgb.shape[1] * rgb.shape[2]
    area = jnp.stack([(ids == k).sum((1, 2)) for k in range(_ROWS)], -1)
    kept = jnp.take_along_axis(
      area >= fewest, ids.reshape(ids.shape[0], -1), axis=1
    ).reshape(ids.shape)
    return {'ids': jnp.where(kept, ids, 0), 'distance': distance}

  def score(
    self, prediction: base.Arrays, aux: base.Arrays, valid
  ) -> base.Arrays:
    """Best matching of predicted and true instances, and panoptic quality."""
    where = aux['valid_px'] & valid[:, None, None]
    # Segment 1 is the background, an area; pixels that do not count are void.
    category = jnp.broadcast_to(jnp.arange(_ROWS) > 0, (len(valid), _ROWS))
    segments = panoptic.panoptic_states(
      1 + prediction['ids'],
      jnp.where(aux['valid_px'], 1 + aux['ids'], 0),
      prediction_category=category.astype(jnp.int32),
      truth_category=category.astype(jnp.int32),
      truth_crowd=jnp.zeros_like(category),
      num_categories=2,
      valid=valid,
    )
    return {
      **metric.instance_states(
        prediction['ids'],
        aux['ids'],
        max_instances=_MOST,
        where=where,
        valid=valid,
      ),
      **{f'segment_{name}': state for name, state in segments.items()},
      **base.make_distance_states(prediction['distance'], where),
    }

  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """F1 over thresholds, where images without a true instance are left out.

    pq, sq and rq are of the instances of all images, as of one class.
    """
    quality = panoptic.summarize_panoptic(
      {name: states[f'segment_{name}'] for name in ('tp', 'fp', 'fn', 'iou')},
      is_thing=(False, True),
    )
    return {
      **metric.summarize_instances(states),
      **{name: quality[f'things_{name}'] for name in ('pq', 'sq', 'rq')},
      **base.summarize_distance(states),
    }

  def constant_prediction(self, candidate, aux: base.Arrays) -> base.Arrays:
    """`candidate` instances, equal upright bands of the picture."""
    shape = aux['ids'].shape
    column = jnp.arange(shape[-1]) / shape[-1]
    ids = jnp.where(candidate > 0, jnp.floor(column * candidate) + 1, 0)
    ids = jnp.broadcast_to(ids.astype(jnp.int32), shape)
    return {'ids': ids, 'distance': jnp.zeros(shape, jnp.float32)}


def make_canonical_ids(instance: np.ndarray) -> np.ndarray:
  """Renumbers ids [h w] 1.. by mean column; slivers become background.

  Beyond as many instances as there are canonical colors, the smallest ones
  are background too.
  """
  area = np.bincount(instance.ravel())
  column = np.broadcast_to(np.arange(instance.shape[1]), instance.shape)
  total = np.bincount(instance.ravel(), weights=column.ravel())
  found = np.flatnonzero(area >= _MIN_SHARE * instance.size)
  found = found[found > 0]
  found = found[np.argsort(-area[found], kind='stable')[:_MOST]]
  order = found[np.argsort(total[found] / area[found], kind='stable')]
  renumber = np.zeros(len(area), np.int32)
  renumber[order] = np.arange(1, len(order) + 1)
  return renumber[instance]


def _draw_thing(rng, example) -> tuple[str, np.ndarray]:
  """What to ask for, and the mask of everything it covers."""
  instance, classes = example['instance'], example.get('classes')
  if classes is None or not classes.things:
    return _ANYTHING, instance > 0
  # By object number; 0, none, and VOID, at the end, are of no class.
  class_of = np.array([-1, *example['instance_class'], -1], np.int32)
  semantic = class_of[instance]
  area = np.bincount(semantic[semantic >= 0], minlength=len(classes.names))
  enough = _MIN_SHARE * semantic.size
  present = [k for k in classes.things if area[k] >= enough]
  absent = [k for k in classes.things if area[k] == 0]
  if present and classes.any_thing and rng.random() < _ANY_SHARE:
    return classes.any_thing, instance > 0
  if absent and (not present or rng.random() < _ABSENT_SHARE):
    chosen = legend_text.choose(rng, absent)
  else:
    chosen = legend_text.choose(rng, present or classes.things)
  (name,) = legend_text.draw_names(rng, classes, [chosen])
  return name, semantic == chosen
