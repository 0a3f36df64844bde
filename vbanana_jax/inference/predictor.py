"""A trained run that answers requests and paints questions."""

import functools
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vbanana_jax import families, models, sharding
from vbanana_jax.diffusion import flow
from vbanana_jax.inference import engine, outputs
from vbanana_jax.inference.prepared import PreparedRequest
from vbanana_jax.inference.request import (
  PredictRequest,
  check_size,
  count_steps,
  word_question,
)
from vbanana_jax.runtime import processes
from vbanana_jax.tasks import base, legend_parts
from vbanana_jax.training import provenance, trained_folders, weights

_ACCELERATOR_ROWS = 16


class PhotoQuestion(NamedTuple):
  """What is asked about one photo.

  Attributes:
    source: `[h, w, 3]` in [0, 1] on the network's grid; None for generation.
    parts: of the question, one or several.
    palette: of the whole legend, for the joined answer of several.
    label: what the caller knows it by.
  """

  source: np.ndarray | None
  parts: tuple[legend_parts.Part, ...]
  palette: np.ndarray
  label: Any


class Predictor:
  """A trained run with its weights loaded, ready for many pictures.

  Args:
    run: its workdir.
    loaded: its weights, where they are in memory; else they are read.
  """

  def __init__(
    self, run: pathlib.Path, loaded: weights.LoadedRun | None = None
  ):
    self.run = run
    loaded = loaded or weights.load_run(run)
    self.config, self.model, self.params, self.mesh = loaded
    self.tokenizer = families.load_tokenizer(self.config)
    self.engine = engine.InferenceEngine(
      self.model, self.params, self.mesh, self.tokenizer
    )

  @functools.cached_property
  def weights_hash(self) -> str:
    """See `weights.hash_weights`; of several processes all ask together."""
    return weights.hash_weights(self.params)

  def set_params(self, params: Any) -> None:
    """Other weights of the same network, as of a later step."""
    self.params = params
    vars(self).pop('weights_hash', None)
    self.engine.set_params(params)

  def count_rows(self, rows: int | None = None) -> int:
    """Pictures to paint at once: what is asked for, or what suits the devices.

    So many that all devices have some. On a CPU painting is a small part of an
    answer, and with one at a time no answer depends on what else is asked.
    """
    if rows is None:
      rows = 1 if jax.default_backend() == 'cpu' else _ACCELERATOR_ROWS
    return sharding.round_up_rows(rows, self.mesh)

  def word_question(
    self, request: PredictRequest
  ) -> tuple[base.Task, base.Question, tuple[legend_parts.Part, ...]]:
    """See `request.word_question`."""
    max_text = self.model.config.max_text
    return word_question(self.config, request, max_text, self.tokenizer)

  def prepare(
    self, request: PredictRequest, *, rows: int = 1
  ) -> PreparedRequest:
    """The question in words that this network knows, and how it is answered.

    Args:
      request: what is asked.
      rows: pictures of one grid to paint at once.

    Raises:
      UserError: missing words, an unknown task, or a prompt that is too long.
    """
    rows = self.count_rows(rows)
    task, question, parts = self.word_question(request)
    size = request.size or self.config['image_size']
    check_size(size, self.config['image_size'])
    self._tell(request.task, size, question, len(parts))
    sampler = engine.SamplerConfig(
      request.seed, count_steps(request), request.guidance, request.sampler
    )
    palette = question.aux.get('palette')

    def answer_photos(photos):
      asked = (
        PhotoQuestion(each.photo and each.photo.source, parts, palette, each)
        for each in photos
      )
      for each, painted in self.paint_questions(
        task, sampler, asked, size, rows=rows
      ):
        value = outputs.decode_value(task, painted, question.aux)
        yield each, painted, value

    patch = self.model.config.patch
    return PreparedRequest(
      task,
      question,
      answer_photos,
      lambda h, w: outputs.make_grid(h, w, size=size, patch=patch),
      {
        'checkpoint': str(self.run),
        'step': trained_folders.newest_step(self.run),
        'training_seed': self.config['seed'],
        'size': size,
        'steps': sampler.steps,
        'sampler': request.sampler,
        'guidance': request.guidance,
        'seed': request.seed,
        **describe_parts(parts),
        'parameters': models.count_parameters(self.params),
        'versions': provenance.get_versions(),
      },
    )

  def _tell(
    self, name: str, size: int, question: base.Question, parts: int
  ) -> None:
    """Logs what makes an answer worse than those of the training."""
    if name not in weights.find_trained_tasks(self.config):
      processes.log(
        f'{self.run} was never trained on {name}: its answer means nothing'
      )
    trained = self.config['image_size']
    if size != trained:
      processes.log(
        f'--size {size}: the network was trained on squares of {trained}, and '
        'is worse where the short edge is another'
      )
    if parts > 1:
      processes.log(
        f'{len(question.names)} classes are asked for in {parts} parts, as '
        'many at a time as this network was trained for, and joined'
      )

  def paint_questions(
    self,
    task: base.Task,
    sampler: engine.SamplerConfig,
    asked: Iterable[PhotoQuestion],
    size: int,
    *,
    rows: int,
  ) -> Iterator[tuple[Any, np.ndarray]]:
    """Every label with its picture `[h, w, 3]` in [0, 1], as they come.

    A question of several parts is painted in its parts and joined. Without a
    source the picture is a square of `size`.
    """

    def make_inputs():
      for each in asked:
        source, has_source = each.source, each.source is not None
        if not has_source:
          patch = self.model.config.patch
          grid = outputs.make_grid(size, size, size=size, patch=patch)
          source = np.zeros((*grid, 3), np.float32)
        scale = flow.noise_scale_for(max(source.shape[:2]))
        painted: dict[int, np.ndarray] = {}
        for k, part in enumerate(each.parts):
          yield engine.GenerationInput(
            source, has_source, part.prompt, scale, (each, painted, k)
          )

    items = self.engine.paint_batches(sampler, make_inputs(), rows=rows)
    for item, picture in items:
      each, painted, k = item.label
      painted[k] = picture
      if len(painted) < len(each.parts):
        continue
      if len(each.parts) > 1:
        in_order = [painted[k] for k in range(len(each.parts))]
        picture = legend_parts.join_parts(each.parts, in_order, each.palette)
      yield each.label, picture


def describe_parts(parts: Sequence[legend_parts.Part]) -> dict[str, Any]:
  """What results say of a question that was split; {} of another."""
  return {'parts': [part.prompt for part in parts]} if len(parts) > 1 else {}
