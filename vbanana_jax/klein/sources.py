"""What an import is made of: sources that are checked, files to be written."""

import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vbanana_jax.errors import UserError
from vbanana_jax.klein import assembly, stored, vendor, weights
from vbanana_jax.klein.snapshot import STATES, Snapshot
from vbanana_jax.models import numerics

TRANSFORMER = 'transformer'
_SINGLE = 'diffusion_pytorch_model.safetensors'
# Endings of files with weights; of them only those of the parts are copied.
_WEIGHTS = (
  '.safetensors', '.index.json', '.bin', '.ckpt', '.gguf', '.h5', '.msgpack',
  '.onnx', '.pt', '.pth',
)  # fmt: skip
_TEXTS = ('LICENSE', 'README', 'NOTICE')
_FOLDERS = ('scheduler', 'tokenizer')
_ROWS_BYTES = 1 << 26


class Source(NamedTuple):
  """What is imported, all of it checked.

  Attributes:
    snapshot: its configs.
    tensors: those stored for each part, by the names of a snapshot.
    file: of the vendor, which holds the transformer; None for a snapshot's.
    pieces: what each tensor of the transformer is made of there.
  """

  snapshot: Snapshot
  tensors: Mapping[str, stored.Tensors]
  file: pathlib.Path | None
  pieces: Mapping[str, list[vendor.Piece]]


def open_source(
  path: pathlib.Path,
  parts: pathlib.Path | None = None,
  states: tuple[int, ...] = STATES,
) -> Source:
  """Reads the headers and configs of a snapshot, and checks them.

  Args:
    path: folder of a snapshot, or the vendor's single file.
    parts: folder with the other parts, beside the vendor's file; the file's
      own if not given.
    states: after which layers of the text encoder features are taken.

  Raises:
    UserError: something is missing, unknown, of another shape or type, or
      damaged; or the network is a distilled one.
  """
  single = path if path.is_file() else None
  if single is None and parts is not None:
    raise UserError(
      f'--parts {parts} goes with a single file, and {path} is none'
    )
  if single is not None:
    stored.list_file(single)  # what is no such file is told of first
  folder = path if single is None else parts or path.parent
  if not folder.is_dir():
    raise UserError(f'{folder}: no such folder')
  snapshot = Snapshot(folder, numerics.Precision(), states)
  _refuse_distilled(snapshot, path)
  tensors, pieces = {}, {}
  for name, part in snapshot.parts.items():
    if single is None or name != TRANSFORMER:
      tensors[name] = part.list_tensors(folder)
      continue
    shapes = weights.find_shapes(part.rows, part.make_abstract())
    theirs = vendor.list_tensors(single, shapes)
    pieces = vendor.list_pieces(shapes)
    tensors[name] = {
      each: stored.Stored(single, shapes[each], theirs[rows[0].name].dtype)
      for each, rows in pieces.items()
    }
  return Source(snapshot, tensors, single, pieces)


def _refuse_distilled(snapshot: Snapshot, path: pathlib.Path) -> None:
  """Raises UserError for a network that was made for few steps of sampling."""
  # The vendor's own names: flux-2-klein-base-4b, and flux-2-klein-4b distilled.
  named = path.is_file() and 'klein' in path.name and 'base' not in path.name
  if snapshot.distilled or named:
    why = (
      f'its {path.name} is' if named else 'model_index.json says is_distilled'
    )
    raise UserError(
      f'{path} is distilled ({why}): made for four steps without guidance, it '
      'collapses when it is tuned: take FLUX.2-klein-base-4B (or -9B)'
    )


def plan(source: Source) -> Iterator[assembly.Target]:
  """All files that an import has beside its manifest."""
  folder = source.snapshot.folder
  for path in _list_texts(folder):
    yield assembly.copy(path.name, path)
  for name in (*_FOLDERS, *source.tensors):
    if name == TRANSFORMER and source.file is not None:
      config = folder / name / 'config.json'
      yield assembly.copy(f'{name}/config.json', config)
      yield _convert(source)
      continue
    for path in sorted((folder / name).iterdir()):
      if path.name.startswith('.') or not path.is_file():
        continue
      if not path.name.endswith(_WEIGHTS):
        yield assembly.copy(f'{name}/{path.name}', path)
      elif name in source.tensors:
        yield from _copy_weights(source, name, path)


def _copy_weights(
  source: Source, name: str, path: pathlib.Path
) -> Iterator[assembly.Target]:
  """A file of the weights of a part, or their index; others are left."""
  tensors = source.tensors[name]
  own = {key: each for key, each in tensors.items() if each.file == path}
  stem = source.snapshot.parts[name].stem
  if own:
    yield assembly.copy_tensors(f'{name}/{path.name}', path, own)
  elif path.name == f'{stem}.safetensors.index.json':
    yield assembly.copy(f'{name}/{path.name}', path)


def _list_texts(folder: pathlib.Path) -> list[pathlib.Path]:
  return [
    path
    for path in sorted(folder.iterdir())
    if path.name == 'model_index.json' or path.name.startswith(_TEXTS)
  ]


def _convert(source: Source) -> assembly.Target:
  """The vendor's file as the one that a snapshot has in its place."""
  tensors = source.tensors[TRANSFORMER]
  header = stored.make_header(
    {name: (each.dtype, each.shape) for name, each in tensors.items()}
  )
  pieces = [assembly.Piece(len(header.data), lambda: header.data)]
  for name in header.spans:
    for piece in source.pieces[name]:
      pieces += _read_rows(source.file, name, tensors[name], piece)
  return assembly.Target(f'{TRANSFORMER}/{_SINGLE}', source.file, pieces)


def _read_rows(
  file: pathlib.Path, name: str, tensor: stored.Stored, piece: vendor.Piece
) -> Iterator[assembly.Piece]:
  """Some rows of a tensor of the vendor's file, not too many at once."""
  row = stored.ITEM_BYTES[tensor.dtype] * math.prod(tensor.shape[1:])
  step = max(_ROWS_BYTES // row, 1)
  theirs = stored.Stored(file, (), tensor.dtype)
  for first in range(piece.start, piece.stop, step):
    last = min(first + step, piece.stop)

    def read(first=first, last=last) -> bytes:
      part = (slice(first, last),)
      return stored.read(theirs, piece.name, part).tobytes()

    size = row * (last - first)
    yield assembly.Piece(size, read, name, tensor.dtype)
