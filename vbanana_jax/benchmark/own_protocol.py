"""Protocols of one's own: a split that was held out, asked as usual."""

import dataclasses
import json
import math
import re

import numpy as np
import tqdm

from vbanana_jax.benchmark import protocols, readers
from vbanana_jax.codecs import palettes
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import files, paths
from vbanana_jax.tasks import TASKS, legend_colors

_MOST_CLASSES = 254  # the 255th number is that of ignored pixels
_GROUND = (0, 0, 0)
# How prompts give colors, and the notation of each way.
COLORS = {'words': 'name', 'numbers': 'angle'}
_ODD = re.compile(r'[^a-z0-9]+')


def make_protocol(
  data: paths.Path,
  task: str,
  *,
  name: str | None = None,
  colors: str = 'words',
) -> protocols.Protocol:
  """How a folder that `vbanana prepare` wrote is asked and scored.

  Wording, decoder and metrics are those of the first published benchmark of the
  task that counts whole pictures. Headlines are those of the task: cgf1 needs
  questions about what is not there. Predicted depth is moved into the range
  that was measured, so that every truth is read.

  Args:
    data: the folder, of pictures that nothing is trained on.
    task: which label of theirs is asked for.
    name: of the protocol; that of the set and the task by default.
    colors: a key of `COLORS`, what the prompt calls those of classes.

  Raises:
    UserError: a task without benchmarks, a folder without its label, or the
      name of a published protocol.
  """
  like = _find_alike(task)
  reader_name = _find_reader(task)
  reader = readers.READERS[reader_name](data, 'all')
  classes = like.classes
  if reader.class_names:
    classes = _color(reader.class_names, colors, data)
  return dataclasses.replace(
    like,
    name=_choose_name(name, f'{reader.set_name} {task}'),
    version=1,
    reader=reader_name,
    split='all',
    count=len(reader.items),
    ids_sha256=protocols.hash_ids(reader.items),
    verified=True,
    image_size='as photographed',
    classes=classes,
    background=like.background and list(_GROUND),
    cap_m=None,
    clamp_m=like.clamp_m and [like.near_m, _find_farthest(reader)],
    headline=[name for name in TASKS[task].metrics if name in like.headline],
    known_difference=f'Pictures of your own ({reader.set_name}), which nobody '
    'has published scores of. The prompt, the decoder and the metrics are '
    f'those of {like.title}.',
    notation=COLORS[colors],
    other_splits={},
  )


def save_protocol(protocol: protocols.Protocol, path: paths.Path) -> None:
  """Writes the file that names the protocol on the command line.

  Raises:
    UserError: there is a file already, as a protocol never changes, or its
      folder cannot be written into.
  """
  if path.suffix != '.json':
    raise UserError(f'--out {path}: the name of a protocol ends with .json')
  if path.exists():
    raise UserError(
      f'{path}: is there already, and a protocol never changes: choose another '
      '--out, or remove it'
    )
  files.check_folder(path.parent)
  fields = dataclasses.asdict(protocol)
  del fields['standard_split']
  lines = [
    f'  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}'
    for key, value in fields.items()
  ]
  text = '{\n' + ',\n'.join(lines) + '\n}\n'
  paths.write_whole(path, text.encode())


def _find_alike(task: str) -> protocols.Protocol:
  """The published protocol whose questions are taken."""
  shipped = map(protocols.load_protocol, protocols.list_protocols())
  alike = [each for each in shipped if each.task == task and not each.crop]
  if not alike:
    known = [name for name, each in TASKS.items() if each.benchmark]
    raise UserError(
      f'--task {task}: is not scored on benchmarks; choose of '
      f'{", ".join(known)}'
    )
  return alike[0]


def _find_reader(task: str) -> str:
  return next(
    name
    for name, reader in readers.READERS.items()
    if name.startswith('records_') and reader.task == task
  )


def _color(names, colors, data) -> list[tuple[str, list[int]]]:
  if len(names) > _MOST_CLASSES:
    raise UserError(
      f'{data}: {len(names)} classes, at most {_MOST_CLASSES} are scored'
    )
  if colors == 'words':
    palette = [c.rgb for c in legend_colors.find_fixed(names, _GROUND)]
  else:
    palette = palettes.farthest_point_palette(len(names), avoid=[_GROUND])
  return [(name, list(color)) for name, color in zip(names, palette)]


def _find_farthest(reader: readers.Reader) -> float:
  """The first whole number of meters beyond all that was measured."""
  farthest = 0.0
  for item in tqdm.tqdm(reader.items, desc='truths', unit='example'):
    for truth in reader.load_truth(item).values():
      farthest = max(farthest, float(np.max(truth, initial=0.0)))
  return float(math.floor(farthest) + 1)


def _choose_name(given: str | None, usual: str) -> str:
  name = _ODD.sub('_', (given or usual).lower()).strip('_')
  if not name:
    raise UserError(f'--name {given or usual!r}: has no letter or digit')
  titles = protocols.list_protocols()
  if name in {title.rpartition('_v')[0] for title in titles}:
    raise UserError(
      f'--name {name}: is a published protocol, and scores under it would be '
      'taken for its own: choose another --name'
    )
  return name
