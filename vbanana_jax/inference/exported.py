"""An exported painter: a folder that answers without the network's code.

The folder holds

  manifest.json         what goes in, what comes out, in which units
  painter.stablehlo     the program, as `jax.export` writes it
  weights.safetensors   its weights

and needs nothing but jax, numpy and safetensors to run, on any of the platforms
that it was made for:

  painter = load_exported('served')
  answer = painter(source)   # f32 [b h w 3] in [0, 1], on the manifest's grid
  answer['painted'], answer['value']
"""

import hashlib
import json
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from jax import export

from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

FORMAT = 'vbanana_jax painter 1'
MANIFEST = 'manifest.json'
PROGRAM = 'painter.stablehlo'
WEIGHTS = 'weights.safetensors'

_NEEDED = {
  'task', 'prompt', 'legend', 'palette', 'inputs', 'sampler', 'platforms',
  'checkpoint', 'step', 'training_seed', 'parameters', 'versions', 'sha256',
}  # fmt: skip


class Exported:
  """What `load_exported` gives.

  Attributes:
    manifest: the content of manifest.json.
    size: height and width of its pictures.
  """

  def __init__(
    self,
    manifest: dict[str, Any],
    program: export.Exported,
    weights: dict[str, np.ndarray],
  ):
    self.manifest = manifest
    self.size: tuple[int, int] = tuple(manifest['inputs']['source']['grid'])
    self._weights = jax.device_put(weights)
    self._run = jax.jit(program.call)

  def __call__(
    self,
    source: np.ndarray,
    *,
    tokens: np.ndarray | None = None,
    index: np.ndarray | None = None,
  ) -> dict[str, np.ndarray]:
    """Paints, and decodes where the task has numbers.

    Compiled once for each number of pictures.

    Args:
      source: `[b, h, w, 3]` in [0, 1]; for `generate`, zeros.
      tokens: `[b, l]`, the instructions; the manifest's if not given.
      index: `[b]`, which noise a sampled picture starts from; 0 if not given.

    Returns:
      `painted [b, h, w, 3]` in [0, 1], and `value [b, h, w, ...]` in the
      units of the manifest.

    Raises:
      UserError: pictures, instructions or index of another shape.
    """
    source = np.asarray(source, np.float32)
    if source.shape[1:] != (*self.size, 3) or not len(source):
      raise UserError(
        f'the exported painter takes pictures [b > 0, {self.size[0]}, '
        f'{self.size[1]}, 3] and these are {list(source.shape)}: bring them to '
        'its grid first'
      )
    b = len(source)
    own = np.array(self.manifest['inputs']['tokens']['default'], np.int32)
    if tokens is None:
      tokens = np.broadcast_to(own, (b, len(own)))
    tokens = np.asarray(tokens, np.int32)
    if tokens.shape != (b, len(own)):
      raise UserError(
        f'the exported painter takes tokens [{b}, {len(own)}] and these are '
        f'{list(tokens.shape)}: pad them with 0'
      )
    index = np.asarray(np.zeros(b) if index is None else index, np.int32)
    if index.shape != (b,):
      raise UserError(
        f'the exported painter takes index [{b}] and this is '
        f'{list(index.shape)}: give each picture a number'
      )
    answer = self._run(self._weights, tokens, source, index)
    return {name: np.asarray(array) for name, array in answer.items()}


def load_exported(folder: str | paths.Path) -> Exported:
  """The painter of a folder that `vbanana export` wrote.

  Raises:
    UserError: a file is missing, is not what the manifest says, or is for
      other platforms or another version of jax.
  """
  folder = paths.to_path(folder)
  manifest = _load_manifest(folder)
  content = {}
  for name in (PROGRAM, WEIGHTS):
    path = folder / name
    try:
      content[name] = path.read_bytes()
    except OSError as error:
      raise UserError(f'{path}: {error.strerror}; export again') from error
    if hash_bytes(content[name]) != manifest['sha256'].get(name):
      raise UserError(
        f'{path} is not the file that {MANIFEST} names: copy the whole folder '
        'again, or export again'
      )
  platform = jax.default_backend()
  platform = {'gpu': 'cuda'}.get(platform, platform)
  if platform not in manifest['platforms']:
    raise UserError(
      f'{folder} was exported for {", ".join(manifest["platforms"])} and this '
      f'is {platform}: export again with --platforms {platform}'
    )
  try:
    program = export.deserialize(bytearray(content[PROGRAM]))
    program.mlir_module()  # what a newer jax wrote fails here
  except Exception as error:  # its reader raises nearly every kind
    raise UserError(
      f'{folder / PROGRAM}: this jax ({jax.__version__}) cannot read a program '
      f'of jax {manifest["versions"]["jax"]}: export again'
    ) from error
  weights = safetensors.numpy.load(content[WEIGHTS])
  return Exported(manifest, program, weights)


def hash_bytes(content: bytes) -> str:
  """SHA-256 in hexadecimal digits."""
  return hashlib.sha256(content).hexdigest()


def _load_manifest(folder: paths.Path) -> dict[str, Any]:
  path = folder / MANIFEST
  try:
    manifest = json.loads(path.read_text())
    known = manifest['format'] == FORMAT
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError(
      f'{folder} is not an exported painter: make one with vbanana export'
    ) from error
  if not known:
    raise UserError(
      f'{path} is of the format {manifest["format"]!r}, and this version reads '
      f'{FORMAT!r}: export again'
    )
  if missing := _NEEDED - manifest.keys():
    raise UserError(f'{path} has no {min(missing)}: export again')
  return manifest
