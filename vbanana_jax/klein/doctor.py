"""Is a snapshot what it should be, and will it do for painting numbers?

What the import proves without numbers (names, shapes, types) is proven here as
well; beyond it the networks are run. Parts are loaded one after the other.
"""

import math
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vbanana_jax import models
from vbanana_jax.errors import UserError
from vbanana_jax.klein import (
  imported,
  pictures,
  published,
  round_trip,
  stored,
  weights,
)
from vbanana_jax.klein.findings import Finding, judge
from vbanana_jax.klein.pipeline import Pipeline
from vbanana_jax.klein.snapshot import Part, Snapshot

# Of the published autoencoder, in all features of a token.
LEAST_VARIANCE, MOST_VARIANCE = 2.9, 3.5
# Neighbors of bfloat16 are 2 apart from here on: softmax would see nothing.
MOST_LOGIT = 256.0
# A picture as its own reference: about 0.4; predicting nothing gives about 2.
LEAST_LOSS, MOST_LOSS = 0.05, 1.0
_LEVELS = 4


class Options(NamedTuple):
  """What is looked at, and how.

  Attributes:
    states: after which layers of the text encoder features are taken; an
      import has its own.
    size: pixels of a side of rooms, a multiple of 16; a photograph has no more
      pixels than they.
    photo_u8: a photograph; a rendered room if not given.
  """

  states: tuple[int, ...]
  size: int
  photo_u8: UInt8[np.ndarray, 'h w 3'] | None = None


def examine(folder: pathlib.Path, options: Options) -> Iterator[Finding]:
  """Looks at a snapshot or an import; findings come one by one.

  One that says that something cannot be opened is the last.

  Args:
    folder: of either.
    options: what is looked at.
  """
  try:
    if imported.is_import(folder):
      states = tuple(imported.load_manifest(folder)['states'])
      options = options._replace(states=states)
    snapshot = Snapshot(folder, models.build_precision(), options.states)
    tensors = {}
    for name, part in snapshot.parts.items():
      tensors[name] = part.list_tensors(folder)
      used = {row.stored for row in part.rows}
      yield Finding(
        f'{name}: names, shapes and types',
        True,
        f'{len(used)} of {len(tensors[name])} tensors fill all parameters',
      )
    yield from _examine_files(folder, tensors)
    yield from _run(snapshot, options)
  except UserError as error:
    yield Finding('stopped here', False, str(error))


def _examine_files(
  folder: pathlib.Path, tensors: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
  """SHA-256 of every file with weights, beside the manifest's if there is."""
  known = {}
  if imported.is_import(folder):
    known = imported.load_manifest(folder)['files']
  files = {each.file for part in tensors.values() for each in part.values()}
  for path in sorted(files):
    name = path.relative_to(folder).as_posix()
    found = imported.hash_file(path, lambda count: None)
    wanted = known.get(name, {}).get('sha256', '')
    yield Finding(
      f'{name}: SHA-256', not known or found == wanted, found, wanted
    )


def _run(snapshot: Snapshot, options: Options) -> Iterator[Finding]:
  """What the networks make of pictures."""
  rooms = round_trip.render_rooms(options.size)
  photo, name = _choose_picture(snapshot, options, rooms)
  pipeline = Pipeline(snapshot.folder, states=options.states, parts=('vae',))
  yield _examine_variance(snapshot)

  def back(rgb: Float[Array, 'b h w 3']) -> Float[Array, 'b h w 3']:
    # One by one, as the attention in the middle sees all of a picture.
    one = (models.to_network(each[None]) for each in rgb)
    return jnp.concatenate(
      [pipeline.decode(pipeline.encode_picture(x)) for x in one]
    )

  yield from round_trip.examine_photo(back, models.from_network(photo), name)
  yield from round_trip.examine_painted(back, rooms)
  latents = pipeline.encode_picture(photo)
  params = pipeline.load_part('text_encoder')
  yield _examine_gains(snapshot.parts['text_encoder'], params)
  text = pipeline.encode_prompts([''])
  asked = pipeline.encode_prompts([published.PROMPT])
  del params
  pipeline.drop_part('text_encoder')
  params = pipeline.load_part('transformer')
  yield _examine_gains(snapshot.parts['transformer'], params)
  loss = find_loss(pipeline.find_velocity, latents, text)
  yield judge(
    f'flow loss of {name}, itself as reference',
    loss,
    '',
    LEAST_LOSS,
    MOST_LOSS,
  )
  yield published.examine(pipeline, asked)


def _choose_picture(
  snapshot: Snapshot, options: Options, rooms: round_trip.Rooms
) -> tuple[Float[Array, '1 h w 3'], str]:
  """A picture in [-1, 1] that divides into tokens, and what it is.

  Raises:
    UserError: the photograph is too small or too long.
  """
  if options.photo_u8 is None:
    return models.to_network(jnp.asarray(rooms.rgb[:1])), 'a rendered room'
  token_px = snapshot.parts['vae'].network.config.token_px
  small = round_trip.shrink(options.photo_u8, options.size)
  prepared = pictures.prepare_reference(small, token_px)
  return jnp.asarray(prepared)[None], 'the photograph'


def _examine_variance(snapshot: Snapshot) -> Finding:
  """The running variance of the latents, smallest and largest."""
  path = snapshot.folder / 'vae'
  tensors = snapshot.parts['vae'].list_tensors(snapshot.folder)
  name = 'bn.running_var'
  variance = stored.read(tensors[name], name, (slice(None),)).astype('f')
  least, most = float(variance.min()), float(variance.max())
  return Finding(
    f'{path.name}: running variance of the latents',
    LEAST_VARIANCE <= least and most <= MOST_VARIANCE,
    f'{least:.4g} to {most:.4g}',
    f'from {LEAST_VARIANCE:g} to {MOST_VARIANCE:g}',
    most,
  )


def _examine_gains(part: Part, params: Any) -> Finding:
  """The largest logit that the gains of queries and keys allow."""
  leaves = weights.flatten(params)
  largest = 0.0
  for path in leaves:
    if not path.endswith('q_norm/scale'):
      continue
    # Every block of its own: queries and keys of different ones never meet.
    q = _find_largest(leaves, path)
    k = _find_largest(leaves, path.replace('q_norm', 'k_norm'))
    largest = max(largest, float(np.max(q * k)))
  logit = largest * math.sqrt(part.network.config.head_width)
  return judge(
    f'{part.folder}: largest logit that its gains allow',
    logit,
    '',
    most=MOST_LOGIT,
  )


def _find_largest(leaves: Mapping[str, Any], path: str) -> np.ndarray:
  """The largest gain of each block; of both streams where they are joined."""
  sides = [path]
  for side, other in (('/text/', '/picture/'), ('/picture/', '/text/')):
    if side in path:
      sides.append(path.replace(side, other))
  gains = [np.abs(np.asarray(leaves[each], np.float32)) for each in sides]
  return np.max([gain.max(axis=-1) for gain in gains], axis=0)


def find_loss(
  find_velocity: Callable[..., jax.Array],
  x: Float[Array, '1 y x c'],
  text: Float[Array, '1 l j'],
) -> float:
  """Squared error of the velocity, the picture being its own reference.

  Args:
    find_velocity: of a pipeline.
    x: normalized tokens of a picture.
    text: features of a prompt.

  Returns:
    the mean over a few levels of noise, evenly spread, with fixed noise.
  """
  losses = []
  for level in range(_LEVELS):
    sigma = (level + 0.5) / _LEVELS
    noise = jax.random.normal(jax.random.key(level), x.shape)
    z = (1 - sigma) * x + sigma * noise
    v = find_velocity(z, jnp.full(1, sigma), text, [x])
    losses.append(float(jnp.mean(jnp.square(v - (noise - x)))))
  return float(np.mean(losses))
