"""The questions of a protocol on disk, for any generator: prompts.jsonl."""

import io
import json
from typing import Any

from PIL import Image

from vbanana_jax.benchmark import protocols, questions, readers
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

NAME = 'prompts.jsonl'


def save_questions(
  protocol: protocols.Protocol,
  reader: readers.Reader,
  out: paths.Path,
  passes: int,
  *,
  overwrite: bool = False,
) -> tuple[int, int]:
  """Writes prompts.jsonl, and photographs that have no file.

  `image` in a line is the path of the photograph. Every file is written anew,
  whole, and prompts.jsonl is the last: what was stopped is made whole again.

  Returns:
    how many lines there are, and how many of them were there before.

  Raises:
    UserError: `out` lists a question that would be gone or another one, as
      those of another protocol or of more passes, unless `overwrite`.
  """
  listed = out / NAME
  requests = list(questions.make_requests(protocol, reader.items, passes))
  lines = {}
  for request in requests:
    image = reader.root / request.item.image
    if not request.item.image:
      image = out / 'images' / f'{request.item.id}.png'
    lines[request.file] = {
      'file': request.file,
      'id': request.item.id,
      'image': str(image),
      'prompt': request.prompt,
      'seed': request.seed,
      'task': protocol.task,
      'protocol': protocol.title,
      'split': protocol.split,
    }
  before = [] if overwrite else _load_listed(listed)
  if before:
    _check_source(protocol, before[0], listed)
  for line in before:
    _check_same(line, lines.get(line['file']), listed)
  for request in requests:
    if not request.item.image and not request.repeat:  # once an example
      encoded = io.BytesIO()
      Image.fromarray(reader.load_image(request.item)).save(encoded, 'PNG')
      image = out / 'images' / f'{request.item.id}.png'
      paths.write_whole(image, encoded.getvalue())
  text = ''.join(
    json.dumps(line, ensure_ascii=False) + '\n' for line in lines.values()
  )
  paths.write_whole(listed, text.encode())
  return len(lines), len(before)


def _load_listed(listed: paths.Path) -> list[dict[str, Any]]:
  """Questions that a list holds; what is cut off or no question is left out."""
  if not listed.is_file():
    return []
  found = []
  for line in listed.read_bytes().splitlines():
    try:
      question = json.loads(line)
    except ValueError:
      continue  # cut off: whoever wrote it was stopped
    if isinstance(question, dict) and isinstance(question.get('file'), str):
      found.append(question)
  return found


def _check_source(
  protocol: protocols.Protocol, there: dict[str, Any], listed: paths.Path
) -> None:
  """Refuses to write over the questions of another protocol or split."""
  ours = {'protocol': protocol.title, 'split': protocol.split}
  theirs = {key: there.get(key, value) for key, value in ours.items()}
  if theirs != ours:
    raise UserError(
      f'{listed} has the questions of {theirs["protocol"]}, split '
      f'{theirs["split"]}: choose another --out, or --overwrite'
    )


def _check_same(
  there: dict[str, Any], here: dict[str, Any] | None, listed: paths.Path
) -> None:
  """Refuses to drop a question, or to put another in its place."""
  if here is None:
    raise UserError(
      f'{listed} lists {there["file"]}, which is not asked for now: give the '
      '--passes and --data of before, choose another --out, or --overwrite'
    )
  for key, value in here.items():
    # The photographs may have been moved.
    if key != 'image' and there.get(key, value) != value:
      raise UserError(
        f'{listed} has another {key} of {there["file"]}: choose another --out, '
        'or --overwrite'
      )
