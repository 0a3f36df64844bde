"""The public face: open a run, ask it about a picture, look at the answer.

  import vbanana_jax as vb

  model = vb.open('runs/quickstart')
  answer = model.ask('depth', 'room.jpg')
  answer.value       # float32 meters [h w], at the photo's size
  answer.confidence  # float32 [h w] in [0, 1]
  answer.figure()    # a PIL image with a scale or a legend

`read_painted` gives the same of a picture that any other generator painted.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Num, UInt8
from PIL import Image

from vbanana_jax import resizing
from vbanana_jax.data import photos
from vbanana_jax.decode import values
from vbanana_jax.drawing import pictures
from vbanana_jax.errors import UserError
from vbanana_jax.inference import exported, exported_predictor, outputs
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.inference.prepared import LoadedPhoto, PreparedRequest
from vbanana_jax.inference.request import PredictRequest
from vbanana_jax.report import answers
from vbanana_jax.runtime import files
from vbanana_jax.tasks import TASKS, prompts
from vbanana_jax.training import trained_folders, weights

# A path, a PIL image, or an array uint8 [h w 3].
Picture = str | pathlib.Path | Image.Image | np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
  """What a painted picture says.

  Attributes:
    task: name, a key of `TASKS`.
    prompt: the instruction.
    painted: the picture as it was painted, on the network's grid.
    value: decoded from it, at the photo's size: depth, unit normals [h w 3],
      or labels of which 0 is the background and k stands for `names[k - 1]`,
      or for the k-th instance. None where the picture itself is the answer.
    unit: what the numbers of `value` are.
    confidence: in [0, 1], of every pixel of `value`.
    names: of the labels.
    palette: colors that the prompt gives to `names`; none where it has none.
  """

  task: str
  prompt: str
  painted: UInt8[np.ndarray, 'gh gw 3']
  value: Num[np.ndarray, 'h w *c'] | None
  unit: str | None
  confidence: Float[np.ndarray, 'h w'] | None
  names: tuple[str, ...]
  palette: UInt8[np.ndarray, 'q 3']
  _figure: UInt8[np.ndarray, 'fh fw 3'] = dataclasses.field(repr=False)
  _write: Callable[..., dict[str, pathlib.Path]] | None = dataclasses.field(
    default=None, repr=False
  )

  def figure(self) -> Image.Image:
    """The answer to look at: drawn over the photo, with scale or legend."""
    return Image.fromarray(self._figure)

  def save(
    self, folder: str | pathlib.Path, name: str = 'answer'
  ) -> dict[str, pathlib.Path]:
    """Writes the files that `vbanana predict` writes; paths by what they hold.

    Args:
      folder: made if it is not there; files of these names are replaced.
      name: start of the files' names.

    Raises:
      UserError: the files cannot be written, or another generator painted
        the picture.
    """
    if self._write is None:
      raise UserError('vbanana decode writes the files of a painted picture')
    return self._write(out_dir=folder, name=name)

  def _repr_png_(self) -> bytes:
    return files.to_png(self._figure)


class Model:
  """A trained run or an exported program, with its weights loaded.

  Attributes:
    tasks: names of the tasks that it can be asked.
  """

  def __init__(self, path: str | pathlib.Path):
    path = pathlib.Path(path)
    self._exported = self._predictor = None
    if (path / exported.MANIFEST).exists():
      self._exported = exported.load_exported(path)
      self.tasks = (self._exported.manifest['task'],)
    else:
      self._predictor = Predictor(trained_folders.find_run(path))
      self.tasks = tuple(weights.find_trained_tasks(self._predictor.config))

  def ask(
    self,
    task: str,
    image: Picture | None = None,
    *,
    prompt: str | None = None,
    classes: tuple[str, ...] | list[str] = (),
    **settings: Any,
  ) -> Answer:
    """Paints an answer and decodes it.

    Args:
      task: a key of `TASKS`.
      image: what the question is about; None for generation.
      prompt: the caption, the edit, or the phrase to find.
      classes: names for semantic segmentation; one for instances.
      **settings: `seed`, `steps`, `sampler`, `guidance` and `size`, see
        `inference.request.PredictRequest`.

    Raises:
      UserError: an unreadable picture, an unknown task, missing words, or
        anything but the question that an exported program was made for.
    """
    prepared = self._prepare(
      PredictRequest(task, prompt, tuple(classes), **settings)
    )
    outputs.check(prepared.task, image is not None, prepared.question)
    photo = None
    if image is not None:
      pixels_u8 = _load(image)
      grid = prepared.find_grid(*pixels_u8.shape[:2])
      photo = outputs.preprocess_photo(pixels_u8, grid)
    ((_, painted, value),) = prepared.answer_photos([LoadedPhoto(None, photo)])
    write = functools.partial(
      outputs.write,
      prepared.task,
      photo,
      prepared.question,
      painted,
      value,
      about={'photo': _name(image), **prepared.about},
    )
    painted_u8 = pictures.to_u8(painted)
    return _make_answer(prepared, photo, painted_u8, value, write)

  def _prepare(self, request: PredictRequest) -> PreparedRequest:
    if self._predictor:
      return self._predictor.prepare(request)
    (task,) = self.tasks
    if request != PredictRequest(task):
      raise UserError(
        f'this is an exported program for one question: ask({task!r}, image) '
        'without prompt, classes and settings, which were exported with it'
      )
    return exported_predictor.prepare(self._exported)


def _make_answer(
  prepared: PreparedRequest,
  photo: outputs.Photo | None,
  painted_u8: UInt8[np.ndarray, 'gh gw 3'],
  value: np.ndarray | None,
  write: Callable[..., dict[str, pathlib.Path]],
) -> Answer:
  task, question = prepared.task, prepared.question
  figure = outputs.draw(task, photo, question, painted_u8, value)
  unit = confidence = None
  if value is not None:
    spec = prompts.read_prompt(task.name, question.prompt)
    confidence = resizing.resize_nearest(
      values.decode(spec, painted_u8).confidence, photo.size
    )
    unit, value = task.value.unit, task.value.resize(value, photo.size)
  return Answer(
    task.name,
    question.prompt,
    painted_u8,
    value,
    unit,
    confidence,
    question.names,
    answers.get_palette(question.aux),
    figure,
    write,
  )


def open(path: str | pathlib.Path) -> Model:
  """Opens a workdir of `vbanana train` or a folder of `vbanana export`.

  Raises:
    UserError: neither of them, or one that is damaged.
  """
  return Model(path)


def read_painted(
  image: Picture,
  task: str,
  prompt: str,
  photo: Picture | None = None,
  **settings: Any,
) -> Answer:
  """Decodes a picture that any generator painted.

  Args:
    image: the painted picture.
    task: what was asked for, a key of `TASKS`.
    prompt: the words of the instruction: the legend, the color map, the
      background.
    photo: what it was painted about; values are brought to its size and drawn
      over it.
    **settings: see `decode.values.Settings`.

  Raises:
    UserError: a prompt without a legend where one is needed, and pictures that
      cannot be read.
  """
  spec = prompts.read_prompt(task, prompt)
  painted_u8 = _load(image)
  found = values.decode(spec, painted_u8, values.Settings(**settings))
  under_u8 = painted_u8 if photo is None else _load(photo)
  shape = under_u8.shape[:2]
  names, palette_u8 = spec.make_legend()
  kind = TASKS[task].value
  value = kind.resize(found.value, shape)
  return Answer(
    task,
    prompt,
    painted_u8,
    value,
    kind.unit,
    resizing.resize_nearest(found.confidence, shape),
    tuple(names),
    palette_u8,
    answers.draw(TASKS[task], value, under_u8, palette_u8, names),
  )


def _name(image: Picture | None) -> str | None:
  return str(image) if isinstance(image, str | pathlib.Path) else None


def _load(image: Picture) -> UInt8[np.ndarray, 'h w 3']:
  if isinstance(image, str | pathlib.Path):
    return photos.open_photo(pathlib.Path(image))
  if isinstance(image, Image.Image):
    image = image.convert('RGB')
  pixels = np.asarray(image)
  if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
    raise UserError(
      f'a picture is an array uint8 [h w 3], and this one is {pixels.dtype} '
      f'{list(pixels.shape)}'
    )
  return pixels
