"""Semantic segmentation: every pixel gets the color its class has in words."""

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from vbanana_jax import errors, labels
from vbanana_jax.metrics import segmentation as metric
from vbanana_jax.tasks import base, legend_text
from vbanana_jax.tasks.benchmark import Benchmark
from vbanana_jax.tasks.painted import PaintedReader
from vbanana_jax.tasks.painted_legend import LegendReader
from vbanana_jax.tasks.prompt_styles import QUICK, PromptStyle
from vbanana_jax.tasks.semantic.benchmark import SemanticBenchmark
from vbanana_jax.tasks.value import Labels, Value

_BACKGROUND = 64  # its id in the scores; classes beyond are not told apart
_GUESSED = 16  # classes that constant answers are tried of
_AREAS = ('intersection', 'union', 'truth_area')

# Short wordings come first in every table of this package.
_MAPPING = (
  'Semantic segmentation: {}',
  'Segment the image with this color mapping: {}',
)
_MAPPING_LONG = (
  'Generate a semantic segmentation visualization image, using this color '
  'mapping: {}.',
  'Generate a visualization image of semantic segmentation, using this color '
  'mapping: {}',
)
_SENTENCES = ('Semantic segmentation. {}', 'Label every pixel. {}')
_SENTENCES_LONG = (
  'This image is a per-pixel class labeling of the input. {}',
  'Generate a semantic segmentation visualization of the input. {}',
  'Conduct per-class semantic segmentation for the given image. {}',
)


@dataclasses.dataclass(frozen=True)
class Semantic(base.Task):
  """Paints each class of a legend; what the legend omits is background.

  VOID pixels neither weigh nor are scored. Decoding takes the nearest legend
  color, background included. Prediction: `row` int32[b h w], the palette row
  (0 background, k the k-th entry), and `distance` in RGB units.

  Source: Vision Banana, figure 2 (prompts, nearest-color reading).
  """

  name: ClassVar[str] = 'semantic'
  inputs: ClassVar[base.Inputs] = base.Inputs(
    least_classes=1,
    most_classes=math.inf,
    example='floor, wall, sphere, box, cylinder',
  )
  value: ClassVar[Value] = Labels(
    'row', 'int32: 0 is the background, k the k-th name of the legend'
  )
  note: ClassVar[str] = 'Error: green is right, red is wrong.'
  benchmark: ClassVar[Benchmark] = SemanticBenchmark()
  reader: ClassVar[PaintedReader] = LegendReader(
    'semantic', expects_labels=True
  )
  needs: ClassVar[tuple[str, ...]] = ('semantic', 'classes')
  metrics: ClassVar[Mapping[str, str]] = types.MappingProxyType(
    {'miou': 'max', 'background_iou': 'max', 'pixel_accuracy': 'max'}
  )
  constants: ClassVar[tuple[int, ...]] = (-1, *range(_GUESSED))

  def make_words(
    self, prompt: str | None, classes: tuple[str, ...]
  ) -> dict[str, Any]:
    """The legend's names."""
    del prompt
    return {'classes': classes}

  def count_names(self, style: PromptStyle) -> int | None:
    """As many as a legend has in training."""
    return style.entries[1]

  def ask(
    self,
    rng: np.random.Generator,
    *,
    classes: Sequence[str],
    colors: Sequence[str] | None = None,
    background: str | None = None,
    style: PromptStyle = QUICK,
  ) -> base.Question:
    """Asks for `classes`, in the given colors or drawn ones.

    aux: palette f32[q 3], palette_valid bool[q], where q is
    `legend_text.count_rows`: 9 for up to eight classes.
    """
    if not classes:
      raise errors.UserError('semantic needs at least one class to look for')
    legend = legend_text.draw_legend(rng, classes, style, background, colors)
    is_long = style.wordings == 'all'
    if rng.random() < 0.5:
      options = _MAPPING + _MAPPING_LONG * is_long
      prompt = legend_text.choose(rng, options).format(legend.write_mapping())
    else:
      options = _SENTENCES + _SENTENCES_LONG * is_long
      verbs = ('is', 'is', 'is represented by', 'is shown in')
      verb = legend_text.choose(rng, verbs) if is_long else 'is'
      prompt = legend_text.choose(rng, options).format(
        legend.write_sentences(verb)
      )
    palette, palette_valid = legend.make_palette()
    return base.Question(
      prompt,
      {'palette': palette, 'palette_valid': palette_valid},
      tuple(classes),
    )

  def encode(
    self, example: base.Example, rng: np.random.Generator
  ) -> base.EncodedExample:
    """Asks for classes of the picture and some that are absent.

    aux: also class_id int32[q], -1 for the background, and label int32[h w].
    """
    base.check_needs(self, example)
    classes, style = example['classes'], base.get_style(example)
    semantic = example['semantic']
    area = np.bincount(semantic[semantic >= 0], minlength=len(classes.names))
    ids = _draw_classes(rng, area, classes, style)
    question = self._ask_classes(rng, ids, classes, style)
    while len(ids) > 1 and not legend_text.fits(question.prompt, style):
      ids = ids[: legend_text.count_fitting(question, style)]
      question = self._ask_classes(rng, ids, classes, style)
    class_id = np.full(len(question.aux['palette']), -1, np.int32)
    class_id[1 : len(ids) + 1] = ids
    row_of_class = np.zeros(len(classes.names) + 1, np.int32)
    row_of_class[ids] = np.arange(1, len(ids) + 1)
    row_of_class[-1] = labels.VOID
    question.aux['class_id'] = class_id
    return legend_text.encode_legend(example, question, row_of_class[semantic])

  def _ask_classes(self, rng, ids, classes, style) -> base.Question:
    names = legend_text.draw_names(rng, classes, ids)
    return self.ask(rng, classes=names, style=style)

  def decode(self, rgb, aux: base.Arrays) -> base.Arrays:
    """Nearest color of each example's own palette."""
    return legend_text.read_legend(rgb, aux)

  def score(
    self, prediction: base.Arrays, aux: base.Arrays, valid
  ) -> base.Arrays:
    """Overlaps a class id; the background is the last id."""
    to_class = aux['class_id'].at[:, 0].set(_BACKGROUND)
    where = valid[:, None, None] & (aux['label'] != labels.VOID)
    return {
      **metric.semantic_states(
        metric.entries_to_classes(prediction['row'], to_class),
        metric.entries_to_classes(aux['label'], to_class),
        num_classes=_BACKGROUND + 1,
        where=where,
        valid=valid,
      ),
      **base.make_distance_states(prediction['distance'], where),
    }

  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """mIoU over the classes met; `background_iou` apart from it."""
    classes = {key: states[key][:-1] for key in _AREAS}
    everything = {key: states[key] for key in _AREAS}
    return {
      'miou': metric.summarize_semantic(classes)['miou'],
      'background_iou': float(metric.class_iou(everything)[-1]),
      'pixel_accuracy': metric.summarize_semantic(everything)['pixel_accuracy'],
      **base.summarize_distance(states),
    }

  def constant_prediction(self, candidate, aux: base.Arrays) -> base.Arrays:
    """Class id `candidate` everywhere it is in the legend, else background."""
    is_it = (aux['class_id'] == candidate) & (aux['class_id'] >= 0)
    row = jnp.argmax(is_it, axis=-1).astype(jnp.int32)  # 0 where none is
    row = jnp.broadcast_to(row[:, None, None], aux['label'].shape)
    return {'row': row, 'distance': jnp.zeros(row.shape, jnp.float32)}


def _draw_classes(
  rng: np.random.Generator,
  area: np.ndarray,
  classes: labels.Classes,
  style: PromptStyle,
) -> list[int]:
  """Ids of a legend: at least one present, some absent ones, shuffled."""
  enough = max(style.least_share * area.sum(), 1)
  ids = [classes.areas[i] for i in rng.permutation(len(classes.areas))]
  present = [i for i in ids if area[i] >= enough]
  absent = [i for i in ids if area[i] == 0]
  fewest, most = style.entries
  count = int(rng.integers(fewest, most + 1))
  distractors = min(int(rng.integers(0, 3)), count - 1, len(absent))
  chosen = present[: count - distractors]
  chosen += absent[: count - len(chosen)]  # short of classes: more absent ones
  chosen = chosen or ids[:1]  # all that there is covers too little
  return [chosen[i] for i in rng.permutation(len(chosen))]
