"""A run paints what a protocol asks about a benchmark's photographs."""

import datetime
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tqdm
from jaxtyping import UInt8

from vbanana_jax.benchmark import painted_folder, protocols, questions
from vbanana_jax.data import pairings
from vbanana_jax.drawing import pictures
from vbanana_jax.inference import engine, outputs
from vbanana_jax.inference.predictor import (
  PhotoQuestion,
  Predictor,
  describe_parts,
)
from vbanana_jax.inference.request import check_size
from vbanana_jax.runtime import files, paths, prefetch
from vbanana_jax.tasks import TASKS, legend_colors, legend_parts
from vbanana_jax.training import provenance

_TRIPLET = re.compile(r'<\d+, \d+, \d+>')


def paint_protocol(
  predictor: Predictor,
  protocol: protocols.Protocol,
  data: paths.Path,
  out: paths.Path,
  *,
  passes: int | None = None,
  size: int | None = None,
  rows: int | None = None,
  overwrite: bool = False,
) -> int:
  """Paints every question of a benchmark; how many pictures there are.

  Pictures that are there already are kept, so that a painting that was
  stopped goes on; see `painted_folder.Painting`.

  Raises:
    UserError: another benchmark in `data`, a prompt too long for the network,
      or an `out` that cannot be written or was painted in another way.
  """
  reader = questions.open_reader(protocol, data)
  wanted = list(
    questions.make_requests(protocol, reader.items, passes or protocol.passes)
  )
  size = size or predictor.config['image_size']
  check_size(size, predictor.config['image_size'])
  rows = predictor.count_rows(rows)
  # Before anything is read or painted: can this network be asked at all?
  parts = make_parts(predictor, protocol, wanted)
  folder = painted_folder.Painting(
    out,
    make_manifest(predictor, protocol, size),
    [request.file for request in wanted],
    overwrite=overwrite,
  )
  missing = set(folder.missing)
  bar = tqdm.tqdm(
    total=len(wanted),
    initial=len(wanted) - len(missing),
    desc=protocol.label,
    unit='picture',
  )
  with bar:
    for note in _describe_work(predictor, protocol, parts, folder):
      bar.write(note, file=sys.stderr)
    painted = paint_requests(
      predictor,
      protocol,
      lambda request: reader.load_image(request.item),
      [request for request in wanted if request.file in missing],
      parts,
      size=size,
      rows=rows,
    )
    _save_painted(painted, folder, rows, bar)
  return len(wanted)


def _describe_work(predictor, protocol, parts, folder) -> Iterator[str]:
  """What a user would not expect of this painting."""
  doubt = _doubt_colors(predictor, protocol, parts)
  if doubt:
    yield f'{protocol.label}: {doubt}: expect wrong colors'
  several = max(map(len, parts.values()), default=1)
  if several > 1:
    yield (
      f'{protocol.label}: {len(protocol.classes or ())} classes are asked '
      f'for in {several} parts, as many at a time as this network was '
      'trained for, and joined'
    )
  if folder.spoiled:
    yield (
      f'{folder.folder}: {len(folder.spoiled)} pictures that are not as they '
      f'were painted, {folder.spoiled[0]} the first, are painted anew'
    )


def _doubt_colors(predictor, protocol, parts) -> str:
  """How colors of the prompts differ from those of training, or ''."""
  style = pairings.find_style(predictor.config, protocol.task)
  prompts = (part.prompt for some in parts.values() for part in some)
  triplets = max(
    (len(_TRIPLET.findall(prompt)) for prompt in prompts), default=0
  )
  if triplets > style.most_triplets:
    return (
      f'a prompt has {triplets} colors in numbers, and this network learned '
      f'{style.most_triplets} at most (config.sources.NAME.style is not '
      "'numbers')"
    )
  # A phrase has the color that is written beside it, in training too.
  classes = [x for x in protocol.classes or () if '{phrase}' not in x[0]]
  fixed = legend_colors.find_fixed([name for name, _ in classes])
  given = [tuple(color) for _, color in classes]
  if style.fixed_colors and given != [color.rgb for color in fixed]:
    return (
      'its names have other colors than those that this network learned by '
      "heart (config.sources.NAME.style is 'fixed'; vbanana protocol new "
      '--colors words gives the same)'
    )
  return ''


def _save_painted(painted, folder, rows, bar) -> None:
  """Encodes and writes pictures while the next ones are painted."""

  def write(answer):
    request, rgb = answer
    encoded = files.to_png(pictures.to_u8(rgb))
    return request.file, folder.write(request.file, encoded)

  concurrency = prefetch.choose_concurrency(rows)
  try:
    for _, writing in prefetch.prefetch_map(
      write, painted, **concurrency, eager_yield=True
    ):
      folder.note(*writing.result())
      bar.update()
  finally:
    folder.save()


def make_parts(
  predictor: Predictor,
  protocol: protocols.Protocol,
  requests: Sequence[questions.PaintRequest],
) -> dict[str, tuple[legend_parts.Part, ...]]:
  """What the network is asked for each picture, in one part or several.

  Raises:
    UserError: an instruction is too long for it.
  """
  return {
    request.file: _ask_parts(predictor, protocol, request.item, request.repeat)
    for request in requests
  }


def paint_requests(
  predictor: Predictor,
  protocol: protocols.Protocol,
  load_photo: Callable[[questions.PaintRequest], UInt8[np.ndarray, 'h w 3']],
  requests: Sequence[questions.PaintRequest],
  parts: dict[str, tuple[legend_parts.Part, ...]],
  *,
  size: int | None = None,
  rows: int | None = None,
) -> Iterator[tuple[questions.PaintRequest, np.ndarray]]:
  """Every request with its picture [h w 3] in [0, 1], as they come.

  Args:
    predictor: the network.
    protocol: of the benchmark.
    load_photo: the photograph of a request; called in a thread.
    requests: what to paint.
    parts: of their instructions, from `make_parts`.
    size: short edge that the network works at; the trained one if not given.
    rows: pictures of one grid to paint at once.
  """
  size = size or predictor.config['image_size']
  patch = predictor.model.config.patch
  rows = predictor.count_rows(rows)

  def read(request):
    photo = load_photo(request)
    grid = outputs.make_grid(*photo.shape[:2], size=size, patch=patch)
    return outputs.shrink_photo(photo, grid)

  def read_all(some):
    # Readers may share a file.
    concurrency = {**prefetch.choose_concurrency(rows), 'threads': 1}
    for request, reading in prefetch.prefetch_map(read, some, **concurrency):
      palette, _ = request.spec.make_palette()
      yield PhotoQuestion(
        reading.result(), parts[request.file], palette, request
      )

  by_seed: dict[int, list[questions.PaintRequest]] = {}
  for request in requests:
    by_seed.setdefault(request.seed, []).append(request)
  for seed, some in by_seed.items():
    sampler = engine.SamplerConfig(seed, protocol.sampler['steps'])
    yield from predictor.paint_questions(
      TASKS[protocol.task], sampler, read_all(some), size, rows=rows
    )


def make_manifest(
  predictor: Predictor, protocol: protocols.Protocol, size: int
) -> painted_folder.Manifest:
  """What all pictures of one painting have in common."""
  prompt, _ = questions.ask(protocol, questions.ANY_ITEM)
  return painted_folder.Manifest(
    settings={
      'protocol': protocol.name,
      'version': protocol.version,
      'split': protocol.split,
      'weights': predictor.weights_hash[:16],
      'config': _hash_config(predictor.config),
      'size': size,
      **engine.SamplerConfig(
        protocol.seeds[0], protocol.sampler['steps']
      )._asdict(),
      'prompt': prompt,
      **describe_parts(_ask_parts(predictor, protocol, questions.ANY_ITEM)),
    },
    about={
      'run': str(predictor.run),
      **provenance.get_code(),
      'date': datetime.date.today().isoformat(),
    },
  )


def _ask_parts(predictor, protocol, item, repeat=0):
  style = pairings.find_style(predictor.config, protocol.task)
  return questions.ask_parts(
    protocol,
    item,
    repeat,
    most_names=TASKS[protocol.task].count_names(style),
    max_text=predictor.model.config.max_text,
    count_tokens=predictor.tokenizer.count,
  )


def _hash_config(config: dict[str, Any]) -> str:
  text = json.dumps(config, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]
