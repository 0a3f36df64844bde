"""The transformer in the vendor's single file: other names, other joints.

Queries, keys and values of a double block are one matrix there, and the last
modulation has its two halves the other way round.
"""

import pathlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vbanana_jax.errors import UserError
from vbanana_jax.klein import stored, weights

Shapes = Mapping[str, tuple[int, ...]]
# A name that only the vendor's file has, and one that only a snapshot has.
_OWN, _OTHER = 'img_in.weight', 'x_embedder.weight'
_OUTSIDE = {
  'x_embedder': 'img_in',
  'context_embedder': 'txt_in',
  'time_guidance_embed.timestep_embedder.linear_1': 'time_in.in_layer',
  'time_guidance_embed.timestep_embedder.linear_2': 'time_in.out_layer',
  'double_stream_modulation_img.linear': 'double_stream_modulation_img.lin',
  'double_stream_modulation_txt.linear': 'double_stream_modulation_txt.lin',
  'single_stream_modulation.linear': 'single_stream_modulation.lin',
  'proj_out': 'final_layer.linear',
}
_HEAD_MODULATION = 'norm_out.linear', 'final_layer.adaLN_modulation.1'
_DOUBLE = {
  'img': {
    'attn.to_out.0.weight': 'attn.proj.weight',
    'attn.norm_q.weight': 'attn.norm.query_norm.scale',
    'attn.norm_k.weight': 'attn.norm.key_norm.scale',
    'ff.linear_in.weight': 'mlp.0.weight',
    'ff.linear_out.weight': 'mlp.2.weight',
  },
  'txt': {
    'attn.to_add_out.weight': 'attn.proj.weight',
    'attn.norm_added_q.weight': 'attn.norm.query_norm.scale',
    'attn.norm_added_k.weight': 'attn.norm.key_norm.scale',
    'ff_context.linear_in.weight': 'mlp.0.weight',
    'ff_context.linear_out.weight': 'mlp.2.weight',
  },
}
_JOINED = {
  'img': ('to_q', 'to_k', 'to_v'),
  'txt': ('add_q_proj', 'add_k_proj', 'add_v_proj'),
}
_SINGLE = {
  'attn.to_qkv_mlp_proj.weight': 'linear1.weight',
  'attn.to_out.weight': 'linear2.weight',
  'attn.norm_q.weight': 'norm.query_norm.scale',
  'attn.norm_k.weight': 'norm.key_norm.scale',
}


class Piece(NamedTuple):
  """Some rows of a tensor of the vendor's file.

  Attributes:
    name: of the tensor.
    start: the first of them.
    stop: the one behind the last.
  """

  name: str
  start: int
  stop: int


def list_pieces(shapes: Shapes) -> dict[str, list[Piece]]:
  """What a snapshot's tensors are made of, in the order of their rows.

  Args:
    shapes: of the tensors of the snapshot's transformer.
  """
  whole = {f'{x}.weight': f'{y}.weight' for x, y in _OUTSIDE.items()}
  pieces: dict[str, list[Piece]] = {}
  for block in range(_count(shapes, 'transformer_blocks')):
    for side, names in _DOUBLE.items():
      prefix, theirs = f'transformer_blocks.{block}', f'double_blocks.{block}'
      for name, other in names.items():
        whole[f'{prefix}.{name}'] = f'{theirs}.{side}_{other}'
      start = 0
      for part in _JOINED[side]:
        name = f'{prefix}.attn.{part}.weight'
        stop = start + shapes[name][0]
        pieces[name] = [Piece(f'{theirs}.{side}_attn.qkv.weight', start, stop)]
        start = stop
  for block in range(_count(shapes, 'single_transformer_blocks')):
    for name, other in _SINGLE.items():
      ours = f'single_transformer_blocks.{block}.{name}'
      whole[ours] = f'single_blocks.{block}.{other}'
  for name, other in whole.items():
    pieces[name] = [Piece(other, 0, shapes[name][0])]
  name, other = (f'{each}.weight' for each in _HEAD_MODULATION)
  rows = shapes[name][0]
  # A snapshot has the scale first, the vendor the shift.
  pieces[name] = [Piece(other, rows // 2, rows), Piece(other, 0, rows // 2)]
  return pieces


def list_tensors(path: pathlib.Path, shapes: Shapes) -> stored.Tensors:
  """All tensors of the vendor's file, after a check of names and shapes.

  Args:
    path: of the file.
    shapes: of the tensors of the snapshot's transformer.

  Raises:
    UserError: it is damaged, or is not the vendor's file of that network.
  """
  tensors = stored.list_file(path)
  if _OWN not in tensors and _OTHER in tensors:
    raise UserError(
      f'{path} is a part of a snapshot: name the folder with model_index.json'
    )
  wanted: dict[str, tuple[int, ...]] = {}
  for name, parts in list_pieces(shapes).items():
    for part in parts:
      before = wanted.get(part.name, (0,))[0]
      rows = max(before, part.stop)
      wanted[part.name] = (rows, *shapes[name][1:])
  weights.compare(path, wanted, tensors, ())
  return tensors


def _count(shapes: Iterable[str], prefix: str) -> int:
  """How many blocks of a kind there are."""
  names = (name.split('.') for name in shapes)
  return len({rest[0] for first, *rest in names if first == prefix})
