"""`vbanana predict`: one question about photos, or a new picture.

Threads read photos ahead of the painting and write answers behind it.
"""

import hashlib
import json
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from vbanana_jax.data import photo_folder, photos
from vbanana_jax.errors import UserError
from vbanana_jax.inference import outputs
from vbanana_jax.inference.prepared import LoadedPhoto, PreparedRequest
from vbanana_jax.runtime import files, paths, prefetch, processes
from vbanana_jax.tasks import base

# Paths by name as of `outputs.write`, or what is wrong with the photo.
Answered = dict[str, pathlib.Path] | UserError


def predict_all(
  prepared: PreparedRequest,
  images: Sequence[pathlib.Path | None],
  *,
  out_dir: pathlib.Path,
  rows: int = 1,
  overwrite: bool = False,
) -> Iterator[tuple[pathlib.Path | None, Answered]]:
  """Answers about each photo, as files; see `outputs.write`.

  Threads read the photos ahead of the painting and write behind it.

  Args:
    prepared: what is asked, and of which network.
    images: photos, each once; [None] for generation.
    out_dir: folder of the answers.
    rows: how many photos the network takes before it paints.
    overwrite: whether answers to something else may be replaced.

  Yields:
    every image with its answer or its error, as they come.

  Raises:
    UserError: no photo or one too many, no words, or answers cannot be
      written, or lie where others are.
  """
  answers_of = _Answers(prepared, images, out_dir, overwrite)
  for image in images:
    outputs.check(prepared.task, image is not None, prepared.question)
    answers_of.check_free(image)
  files.check_folder(out_dir)
  concurrency = prefetch.choose_concurrency(rows)
  unread: list[tuple[pathlib.Path | None, UserError]] = []

  def read_all():
    for image, reading in prefetch.prefetch_map(
      answers_of.read, images, **concurrency
    ):
      try:
        yield LoadedPhoto(image, reading.result())
      except UserError as error:
        unread.append((image, error))

  painted = prepared.answer_photos(read_all())
  for answer, writing in prefetch.prefetch_map(
    answers_of.write, painted, **concurrency, eager_yield=True
  ):
    yield answer[0].image, writing.result()
    while unread:
      yield unread.pop(0)
  yield from unread


class _Answers:
  """Photos of one request, and the files of their answers; for threads.

  Args:
    prepared, images, out_dir, overwrite: see `predict_all`.
  """

  def __init__(
    self,
    prepared: PreparedRequest,
    images: Sequence[pathlib.Path | None],
    out_dir: pathlib.Path,
    overwrite: bool,
  ):
    self._prepared, self._out_dir = prepared, out_dir
    self._overwrite = overwrite
    self._names = name_answers(images, prepared.question, prepared.about)

  def read(self, image: pathlib.Path | None) -> outputs.Photo | None:
    """The photo on the network's grid."""
    if image is None:
      return None
    image_u8 = photos.open_photo(image, tell=_say_first)
    grid = self._prepared.find_grid(*image_u8.shape[:2])
    return outputs.preprocess_photo(image_u8, grid)

  def write(self, answer) -> dict[str, pathlib.Path]:
    """Files of what `answer_photos` yields; see `outputs.write`."""
    asked, painted, value = answer
    task, question = self._prepared.task, self._prepared.question
    if value is not None and (told := task.value.tell(value, question.names)):
      processes.log(f'{asked.image}: {told}')
    self.check_free(asked.image)  # another program may have answered meanwhile
    return outputs.write(
      task,
      asked.photo,
      question,
      painted,
      value,
      out_dir=self._out_dir,
      name=self._names[asked.image],
      about=self._describe(asked.image),
    )

  def check_free(self, image: pathlib.Path | None) -> None:
    """Raises UserError where something else is answered."""
    if not self._overwrite:
      name = f'{self._names[image]}_{self._prepared.task.name}'
      wanted = {
        'prompt': self._prepared.question.prompt,
        **_drop_versions(self._describe(image)),
      }
      outputs.check_free(paths.to_path(self._out_dir) / name, wanted)

  def _describe(self, image: pathlib.Path | None) -> dict[str, Any]:
    photo = None if image is None else str(image)
    return {'photo': photo, **self._prepared.about}


def _say_first(name: str) -> None:
  processes.log(f'{name}: several pictures in one file; the first is taken')


def name_answers(
  images: Sequence[pathlib.Path | None],
  question: base.Question,
  about: dict[str, Any] | None = None,
) -> dict[pathlib.Path | None, str]:
  """Starts of the names of answers' files, by image.

  Those of photos, see `photo_folder.name_apart`. Without one the first words
  of the prompt, and six hexadecimal digits of all that its picture depends on:
  the same command has the same name.
  """
  files_of = [image for image in images if image is not None]
  if files_of:
    names = photo_folder.name_apart(files_of)
    return dict(zip(files_of, names, strict=True))
  words = re.findall('[a-z0-9]+', question.prompt.lower())
  start = '-'.join(words)[:40].strip('-')
  whole = json.dumps(
    [question.prompt, _drop_versions(about or {})], sort_keys=True
  )
  digits = hashlib.sha256(whole.encode()).hexdigest()[:6]
  return {None: f'{start}-{digits}' if start else f'painted-{digits}'}


def _drop_versions(about: dict[str, Any]) -> dict[str, Any]:
  """What an answer depends on; not the packages that it is painted with."""
  return {name: about[name] for name in about if name != 'versions'}
