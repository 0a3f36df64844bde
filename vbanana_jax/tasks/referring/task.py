"""Referring expressions: the objects that a phrase denotes, in its color."""

import dataclasses
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
from vbanana_jax.tasks.referring.benchmark import ReferringBenchmark
from vbanana_jax.tasks.value import Labels, Value

_MOST = 2  # phrases of one instruction
_ROWS = 1 + _MOST

# Each: the opening, one clause per phrase, and what joins the clauses. No verb
# depends on a phrase, which may be singular or plural.
_WORDINGS = (
  ('Segment ', '{phrase} in {color}', ' and '),
  ('Segmentation map: ', '{phrase} in {color}', ', '),
)
_WORDINGS_LONG = (
  (
    'A segmentation map image. ',
    'The area that corresponds to {phrase} is rendered solid {color}',
    '. ',
  ),
  (
    'A segmentation map of the input image, ',
    'with {phrase} rendered in {color}',
    ' and ',
  ),
  (
    'This image shows segmentation masks from the given image. ',
    'The area of {phrase} is represented by a solid {color}',
    '. ',
  ),
)


@dataclasses.dataclass(frozen=True)
class Referring(base.Task):
  """Paints what each phrase denotes in the phrase's own color.

  A phrase may denote several objects or none. Decoding takes the nearest of
  background and phrase colors. Prediction: `row` int32[b h w], 0 background
  and k the k-th phrase, and `distance` in RGB units.

  Source: Vision Banana, figure 4.
  """

  name: ClassVar[str] = 'referring'
  inputs: ClassVar[base.Inputs] = base.Inputs(
    prompt=True, example='the leftmost object'
  )
  value: ClassVar[Value] = Labels(
    'row', 'int32: 0 is the background, k the k-th phrase'
  )
  note: ClassVar[str] = (
    "What the phrase means has the prompt's color. Error: red is wrong."
  )
  benchmark: ClassVar[Benchmark] = ReferringBenchmark()
  reader: ClassVar[PaintedReader] = LegendReader('referring')
  needs: ClassVar[tuple[str, ...]] = ('phrases',)
  # Boxes as shares of width and height: left, top, right, bottom.
  metrics: ClassVar[Mapping[str, str]] = types.MappingProxyType(
    {'ciou': 'max', 'giou': 'max', 'no_target_accuracy': 'max'}
  )
  constants: ClassVar[tuple[tuple[float, float, float, float], ...]] = (
    (0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 1.0, 1.0),
    (0.0, 0.0, 0.5, 1.0),
    (0.5, 0.0, 1.0, 1.0),
    (0.0, 0.5, 1.0, 1.0),
    (0.25, 0.25, 0.75, 0.75),
    (0.1, 0.35, 0.9, 0.85),
  )

  def make_words(
    self, prompt: str | None, classes: tuple[str, ...]
  ) -> dict[str, Any]:
    """One phrase."""
    del classes
    return {'phrases': (prompt,)}

  def ask(
    self,
    rng: np.random.Generator,
    *,
    phrases: Sequence[str],
    colors: Sequence[str] | None = None,
    background: str | None = None,
    style: PromptStyle = QUICK,
  ) -> base.Question:
    """Asks for one or two phrases, such as 'the red sphere'.

    aux: palette f32[3 3] with the background first, palette_valid bool[3].
    """
    if not 1 <= len(phrases) <= _MOST:
      raise errors.UserError(
        f'referring takes 1 to {_MOST} phrases, not {len(phrases)}'
      )
    legend = legend_text.draw_legend(rng, phrases, style, background, colors)
    options = _WORDINGS + _WORDINGS_LONG * (style.wordings == 'all')
    opening, clause, joint = legend_text.choose(rng, options)
    clauses = [
      clause.format(phrase=name, color=color.text)
      for name, color in legend.entries
    ]
    prompt = f'{opening}{joint.join(clauses)}.{legend.write_background()}'
    palette, palette_valid = legend.make_palette(_ROWS)
    return base.Question(
      prompt,
      {'palette': palette, 'palette_valid': palette_valid},
      tuple(phrases),
    )

  def encode(
    self, example: base.Example, rng: np.random.Generator
  ) -> base.EncodedExample:
    """Asks for a phrase of the picture, or two; some denote nothing.

    A picture that has lost its phrases, as a part of one can, weighs nothing.
    """
    base.check_needs(self, example)
    style = base.get_style(example)
    phrases = example['phrases'].draw(rng, style.most_phrases)
    is_known = len(phrases) > 0
    if not is_known:
      missing = np.zeros(example['rgb'].shape[:2], bool)
      phrases = [labels.Phrase('nothing', missing)]
    texts = [phrase.text for phrase in phrases]
    question = self.ask(rng, phrases=texts, style=style)
    if len(texts) > 1 and not legend_text.fits(question.prompt, style):
      question = self.ask(rng, phrases=texts[:1], style=style)
    label = np.zeros(example['rgb'].shape[:2], np.int32)
    for row, phrase in enumerate(phrases[: len(question.names)], 1):
      label[phrase.mask] = row
    encoded = legend_text.encode_legend(example, question, label)
    if is_known:
      return encoded
    return encoded._replace(weight_px=np.zeros_like(encoded.weight_px))

  def decode(self, rgb, aux: base.Arrays) -> base.Arrays:
    """Nearest of background and phrase colors."""
    return legend_text.read_legend(rgb, aux)

  def score(
    self, prediction: base.Arrays, aux: base.Arrays, valid
  ) -> base.Arrays:
    """Overlap of the mask of each phrase with what it denotes."""
    row = jnp.arange(1, _ROWS)[None, :, None, None]  # b k h w
    states = metric.referring_states(
      prediction['row'][:, None] == row,
      aux['label'][:, None] == row,
      valid=valid[:, None] & aux['palette_valid'][:, 1:],
    )
    where = jnp.broadcast_to(valid[:, None, None], prediction['row'].shape)
    return {
      **{name: state.sum(1) for name, state in states.items()},
      **base.make_distance_states(prediction['distance'], where),
    }

  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """cIoU over all phrases, gIoU their mean."""
    return {
      **metric.summarize_referring(states),
      **base.summarize_distance(states),
    }

  def constant_prediction(self, candidate, aux: base.Arrays) -> base.Arrays:
    """The box `candidate` for the first phrase, background elsewhere."""
    shape = aux['label'].shape
    left, top, right, bottom = candidate
    y = ((jnp.arange(shape[1]) + 0.5) / shape[1])[:, None]
    x = ((jnp.arange(shape[2]) + 0.5) / shape[2])[None, :]
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    row = jnp.broadcast_to(inside.astype(jnp.int32), shape)
    return {'row': row, 'distance': jnp.zeros(shape, jnp.float32)}
