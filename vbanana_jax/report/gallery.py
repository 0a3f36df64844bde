"""Questions with what was answered, by one run or by several side by side.

Pictures travel at their own size as PNG data URIs, once each, and are enlarged
by the browser without smoothing, so that a painted color is what it was.
"""

import base64
import dataclasses
import html
import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from vbanana_jax.report import page

_MANY = 4  # pictures that a row of a phone has at most

Pictures = dict[str, np.ndarray]  # uint8 [h w 3] by caption
Key = Sequence[tuple[str, tuple[int, int, int]]]  # names of 8-bit colors


@dataclasses.dataclass(frozen=True)
class Example:
  """One question with its pictures by caption, in the order shown.

  Attributes:
    prompt: of it.
    pictures: what is the same for all runs, such as input and truth.
    answers: pictures of each run by its name; '' where there is one alone.
    keys: title -> names of the colors of some of the pictures.
  """

  prompt: str
  pictures: Pictures = dataclasses.field(default_factory=dict)
  answers: dict[str, Pictures] = dataclasses.field(default_factory=dict)
  keys: dict[str, Key] = dataclasses.field(default_factory=dict)


def draw_galleries(
  galleries: Mapping[str, Sequence[Example]],
  notes: Mapping[str, str],
  budget: int,
) -> dict[str, str]:
  """HTML of each gallery: its first example, and the others to unfold.

  Args:
    galleries: examples by title.
    notes: title -> how to read its pictures.
    budget: bytes that they may take. Examples that would need more are left
      out, the last ones of every gallery first, and the page says so.
  """
  shown = {title: [] for title in galleries}
  full = False
  longest = max((len(rows) for rows in galleries.values()), default=0)
  for number in range(longest):
    for title, rows in galleries.items():
      if full or number >= len(rows):
        continue
      row = _draw_example(rows[number], page.make_id(f'{title}-{number}'))
      full = len(row) > budget
      if not full:
        shown[title].append(row)
        budget -= len(row)
  bodies = {}
  for title, rows in galleries.items():
    note = notes.get(title, '')
    left_out = len(rows) - len(shown[title])
    if left_out:
      note += f' {left_out} more left out to keep this page small.'
    hint = f'<p class="hint">{html.escape(note.strip())}</p>' if note else ''
    more = shown[title][1:]
    folded = page.fold(f'{len(more)} more', ''.join(more))
    if rows:
      bodies[title] = hint + ''.join(shown[title][:1]) + folded
  return bodies


def make_data_uri(picture: np.ndarray) -> str:
  """A uint8 picture [h w 3] as a PNG data URI."""
  if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
    raise ValueError(
      f'a picture is uint8 [h w 3], not {picture.dtype} {picture.shape}'
    )
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, 'PNG', optimize=True)
  return 'data:image/png;base64,' + base64.b64encode(buffer.getvalue()).decode()


def _draw_example(example: Example, name: str) -> str:
  rows = _make_rows(example)
  parts = [
    f'<article id="{name}"><blockquote>{html.escape(example.prompt)}'
    '</blockquote>'
  ]
  for number, (run, pictures) in enumerate(rows):
    cells = ''.join(
      _draw_picture(caption, picture, run, f'{name}-{number}-{k}', name)
      for k, (caption, picture) in enumerate(pictures.items())
    )
    title = f'<h4>{html.escape(run)}</h4>' if run else ''
    kind = 'cells many' if len(pictures) > _MANY else 'cells'
    parts.append(f'{title}<div class="{kind}">{cells}</div>')
  parts += [_draw_key(*item) for item in example.keys.items() if item[1]]
  return ''.join([*parts, '</article>'])


def _make_rows(example: Example) -> list[tuple[str, Pictures]]:
  """Pictures by the run that stands above them; '' above those of none."""
  answers = example.answers
  if list(answers) == ['']:  # of one run
    return [('', {**example.pictures, **answers['']})]
  if all(len(pictures) == 1 for pictures in answers.values()):
    alone = {run: next(iter(each.values())) for run, each in answers.items()}
    return [('', {**example.pictures, **alone})]
  shared = [('', example.pictures)] if example.pictures else []
  return [*shared, *answers.items()]


def _draw_picture(caption, picture, run, name, back) -> str:
  """A figure that its own address shows at full size, without a script too."""
  words = html.escape(f'{run}: {caption}' if run else caption)
  height, width = picture.shape[:2]
  return (
    f'<figure id="{name}"><a class="zoom" href="#{name}" '
    f'title="{words}, at full size"><img alt="{words}" width="{width}" '
    f'height="{height}" src="{make_data_uri(picture)}"></a>'
    f'<figcaption>{html.escape(caption)}</figcaption>'
    f'<a class="close" href="#{back}">close</a></figure>'
  )


def _draw_key(title: str, key: Key) -> str:
  entries = ''.join(
    f'<li><i style="background:rgb({r},{g},{b})"></i>{html.escape(name)}</li>'
    for name, (r, g, b) in key
  )
  name = f'<span>{html.escape(title)}</span>'
  return f'<div class="key">{name}<ul>{entries}</ul></div>'
