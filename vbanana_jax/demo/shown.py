"""What the browser gets of an answer: a few words, and data for its viewer."""

import base64
import html
import io
import json
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vbanana_jax import resizing
from vbanana_jax.demo.asking import Answered
from vbanana_jax.drawing import pictures
from vbanana_jax.runtime import files
from vbanana_jax.tasks import TASKS
from vbanana_jax.tasks.value import Labels, Value

VALUE_EDGE = 256  # pixels; more than most networks paint
PICTURE_EDGE = 640
_RAMP_STEPS = 16


def make_view(answered: Answered) -> dict[str, Any]:
  """What the viewer of an answer needs, ready for JSON.

  Returns:
    `viewer`, a name of `Value.viewer`; pictures as data URLs: `photo`, or None
    without one, and `drawn`, what the answer looks like; and for answers with
    a value `height`, `width`, `channels`, `values` (float32, row by row,
    base64), `confidence` (bytes, 255 is certain), `labels` (name, color,
    share of the picture and mean confidence of each one that was found),
    `range`, the numbers at the ends of `ramp`, or None, and `ramp`, colors.
  """
  answer, photo_u8 = answered.answer, answered.photo_u8
  value = TASKS[answer.task].value
  view = {
    'viewer': 'picture' if value is None else value.viewer,
    'photo': None if photo_u8 is None else _to_url(_shrink(photo_u8)),
  }
  if answer.value is None:
    return {**view, 'drawn': _to_url(np.asarray(answer.figure()))}
  shape = resizing.fit_within(answer.value.shape[:2], VALUE_EDGE)
  found = value.resize(answer.value, shape)
  sure = resizing.resize_nearest(answer.confidence, shape)
  scale = value.find_scale(answer.value)
  return {
    **view,
    'drawn': _to_url(_draw(answered, value, scale), 'PNG'),
    'height': shape[0],
    'width': shape[1],
    'channels': found[0, 0].size,
    'values': _to_base64(found.astype('<f4').tobytes()),
    'confidence': _to_base64(pictures.to_u8(sure).tobytes()),
    'labels': list_labels(answered),
    'range': scale,
    'ramp': pictures.ramp(1 - np.linspace(0, 1, _RAMP_STEPS)).tolist(),
  }


def list_labels(answered: Answered) -> list[dict[str, Any]]:
  """Labels that were found; see `make_view`. Of other values none."""
  answer = answered.answer
  value = TASKS[answer.task].value
  if not isinstance(value, Labels):
    return []
  colors_u8 = value.find_colors(answer.value, answer.palette)
  listed = []
  for label in np.unique(answer.value[answer.value > 0]).tolist():
    where = answer.value == label
    is_named = label <= len(answer.names)
    listed.append(
      {
        'label': label,
        'name': answer.names[label - 1] if is_named else str(label),
        'color': colors_u8[label - 1].tolist(),
        'share': float(where.mean()),
        'confidence': float(answer.confidence[where].mean()),
      }
    )
  return listed


def write_answer(answered: Answered, link: str) -> str:
  """HTML of an answer: the painted picture, its viewer, and what was asked.

  Args:
    answered: the answer.
    link: address of all of its files.
  """
  answer = answered.answer
  view = html.escape(json.dumps(make_view(answered)), quote=True)
  rows, columns = answer.painted.shape[:2]
  facts = ''.join(
    f'<dt>{name}</dt><dd>{html.escape(text)}</dd>'
    for name, text in list_facts(answered).items()
  )
  return f"""<div class="vb-answer" data-task="{answer.task}">
<figure class="vb-painted"><figcaption>Painted, {columns} x {rows}</figcaption>
<img alt="The painted answer" src="{_to_url(answer.painted, 'PNG')}"></figure>
<figure><figcaption>{_name_decoded(answered)}</figcaption>
<vb-view data-view="{view}"></vb-view></figure>
</div>
<dl class="vb-facts">{facts}</dl>
<a class="vb-download" href="{html.escape(link)}" download>Download all</a>
"""


def write_error(message: str) -> str:
  """HTML of what is wrong with a question."""
  return f'<p class="vb-error" role="alert">{html.escape(message)}</p>'


def list_facts(answered: Answered) -> dict[str, str]:
  """What a person wants to know about an answer, in words."""
  asked, answer = answered.asked, answered.answer
  facts = {'Prompt': answer.prompt}
  value = TASKS[answer.task].value
  if value is not None:
    if told := value.tell(answer.value, answer.names):
      facts['Note'] = told
    facts['Confidence'] = f'{answer.confidence.mean():.0%} on average'
    facts['Values'] = value.unit
  facts['Time'] = f'{answered.seconds:.1f} s, with compiling if it was new'
  facts['Seed'] = str(asked.seed)
  if answered.full_size is not None:
    sizes = [answered.full_size, answered.photo_u8.shape[:2]]
    full, taken = (f'{columns} x {rows}' for rows, columns in sizes)
    shrunk = f', asked about at {taken}' if full != taken else ''
    facts['Picture'] = f'{full}{shrunk}'
  return facts


def _name_decoded(answered: Answered) -> str:
  answer = answered.answer
  value = TASKS[answer.task].value
  if value is None:
    return 'The painted picture is the answer'
  return value.describe_scale(value.find_scale(answer.value)).capitalize()


def _draw(answered: Answered, value: Value, scale: Any) -> np.ndarray:
  answer = answered.answer
  shape = resizing.fit_within(answered.photo_u8.shape[:2], PICTURE_EDGE)
  photo_u8 = resizing.resize_picture(answered.photo_u8, shape)
  found = value.resize(answer.value, shape)
  return value.draw(found, photo_u8, answer.palette, scale)


def _shrink(picture_u8: np.ndarray) -> np.ndarray:
  shape = resizing.fit_within(picture_u8.shape[:2], PICTURE_EDGE)
  return resizing.resize_picture(picture_u8, shape)


def _to_url(picture_u8: UInt8[np.ndarray, 'h w 3'], kind: str = 'JPEG') -> str:
  if kind == 'PNG':
    encoded = files.to_png(picture_u8)
  else:
    buffer = io.BytesIO()
    Image.fromarray(picture_u8).save(buffer, kind, quality=90)
    encoded = buffer.getvalue()
  return f'data:image/{kind.lower()};base64,{_to_base64(encoded)}'


def _to_base64(data: bytes) -> str:
  return base64.b64encode(data).decode()
