"""What `vbanana decode` writes about one painted file."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from vbanana_jax import resizing
from vbanana_jax.data import photos
from vbanana_jax.decode.oddities import find_oddities
from vbanana_jax.decode.values import DEFAULTS, Settings, decode
from vbanana_jax.errors import UserError
from vbanana_jax.report import answers
from vbanana_jax.runtime import files
from vbanana_jax.tasks import TASKS, prompts

_ENDS = ('.npy', '_confidence.npy', '.png', '.json')


def check_free(
  spec: prompts.PromptSpec,
  path: pathlib.Path,
  stem: pathlib.Path,
  settings: Settings = DEFAULTS,
  photo: pathlib.Path | None = None,
) -> None:
  """Raises UserError where files lie that `decode_file` would replace.

  Those that it wrote for the same picture, prompt and settings may be.
  """
  *others, record = (stem.with_name(f'{stem.name}{end}') for end in _ENDS)
  files.check_free(
    record,
    _describe_question(spec, path, settings, photo),
    [other.name for other in others],
  )


def decode_file(
  spec: prompts.PromptSpec,
  path: pathlib.Path,
  stem: pathlib.Path,
  settings: Settings = DEFAULTS,
  photo: pathlib.Path | None = None,
) -> tuple[dict[str, Any], list[pathlib.Path]]:
  """Reads one painted file and writes what a person and a program can use.

  Writes STEM.npy (values), STEM_confidence.npy, STEM.png to look at and
  STEM.json, in place of files of these names: `check_free` asks.

  Args:
    spec: what the prompt says.
    path: the painted picture.
    stem: start of the files' names; its folder is made if it is not there.
    settings: see `Settings`.
    photo: what was painted about; values are brought to its size and drawn
      over it.

  Returns:
    the facts, and the files in the order above.

  Raises:
    UserError: a picture that cannot be read, one with more instances than the
      decoder holds, and a folder that cannot be written; nothing is written
      then.
  """
  files.check_folder(stem.parent)
  painted = photos.open_painted(path, spec.background)
  painted_u8 = painted.pixels_u8
  found = decode(spec, painted_u8, settings)
  _check_decoded(spec, path, found)
  under_u8 = painted_u8 if photo is None else photos.open_photo(photo)
  shape = under_u8.shape[:2]
  task = TASKS[spec.task]
  value = task.value.resize(found.value, shape)
  confidence = resizing.resize_nearest(found.confidence, shape)
  names, palette_u8 = spec.make_legend()
  picture = answers.draw(task, value, under_u8, palette_u8, names)
  facts = {
    **_describe_question(spec, path, settings, photo),
    'painted_size': list(painted_u8.shape[:2]),
    'size': list(shape),
    'values': task.value.unit,
    **find_oddities(spec, painted, found, shape),
    **found.facts,
  }
  contents = (
    files.to_npy(value),
    files.to_npy(confidence.astype(np.float32)),
    files.to_png(picture),
    (json.dumps(facts, indent=2) + '\n').encode(),
  )
  places = (stem.with_name(f'{stem.name}{end}') for end in _ENDS)
  return facts, files.write_together(dict(zip(places, contents, strict=True)))


def _check_decoded(spec, path, found) -> None:
  if fault := prompts.get_reader(spec.task).find_fault(found):
    raise UserError(
      f'{path}: {fault}: is it an {spec.task} picture with the background '
      f'{spec.background}? --prompt names another, --max-instances more'
    )


def _describe_question(spec, path, settings, photo) -> dict[str, Any]:
  """What the values depend on beside the pixels, as JSON."""
  return json.loads(
    json.dumps(
      {
        'task': spec.task,
        'painted': str(path),
        'photo': None if photo is None else str(photo),
        'reading': dataclasses.asdict(spec),
        'settings': settings._asdict(),
      }
    )
  )
