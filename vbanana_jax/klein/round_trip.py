"""Pictures through the autoencoder and back: do colors that mean numbers last?

A photograph, and painted depth, normals and masks of procedural rooms, whose
exact labels are known. What is read from the picture that comes back is
compared with them by the metrics that score answers.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, UInt8
from PIL import Image

from vbanana_jax import codecs, metrics
from vbanana_jax.codecs import nearest
from vbanana_jax.klein.findings import Finding, judge
from vbanana_jax.scenes import levels, render, world

# Pictures [b h w 3] in [0, 1] to what comes back of them, likewise.
RoundTrip = Callable[[Float[Array, 'b h w 3']], Float[Array, 'b h w 3']]
_LEVEL, _SEED, _ROOMS = 'quick', 0, 4
# What we ask for; the autoencoder's own numbers are not known to us.
LEAST_PSNR, MOST_LEVELS = 25.0, 8.0
MOST_ABS_REL, MOST_DEGREES, LEAST_MIOU = 0.05, 5.0, 0.9


class Rooms(NamedTuple):
  """Scenes of which everything is known.

  Attributes:
    rgb: pictures in [0, 1].
    depth_m: meters.
    normals: unit vectors.
    classes: class ids from 0.
    colors: of the classes, [q 3] in [0, 1].
  """

  rgb: Float32[np.ndarray, 'b h w 3']
  depth_m: Float32[np.ndarray, 'b h w']
  normals: Float32[np.ndarray, 'b h w 3']
  classes: Int[np.ndarray, 'b h w']
  colors: Float32[np.ndarray, 'q 3']


def render_rooms(size: int) -> Rooms:
  """The same few rooms always, of `size` pixels a side."""
  level = world.LEVELS[_LEVEL]
  scenes = [world.sample_scene(level, _SEED, room) for room in range(_ROOMS)]
  view = render.render_scenes(scenes, size, size)
  names = [levels.CLASSES.index(name) for name in level.semantic_classes]
  palette = codecs.palettes.farthest_point_palette(len(names))
  classes = np.searchsorted(np.sort(names), view.semantic)
  return Rooms(
    view.rgb,
    view.depth_m,
    view.normals,
    classes,
    codecs.palettes.to_rgb(palette),
  )


def shrink(
  photo_u8: UInt8[np.ndarray, 'h w 3'], size: int
) -> UInt8[np.ndarray, 'y x 3']:
  """A photograph with `size` x `size` pixels at most, in its own aspect."""
  height, width = photo_u8.shape[:2]
  scale = min(1.0, size / math.sqrt(height * width))
  edges = round(width * scale), round(height * scale)
  picture = Image.fromarray(photo_u8)
  return np.asarray(picture.resize(edges, Image.Resampling.LANCZOS))


def examine_photo(
  back: RoundTrip, picture: Float[Array, 'b h w 3'], name: str
) -> Iterator[Finding]:
  """Color error of a picture in [0, 1] that comes back."""
  states = metrics.images.image_states(back(picture), picture)
  scores = {key: float(value[0]) for key, value in states.items()}
  yield judge(
    f'{name} through the autoencoder', scores['psnr'], 'dB', least=LEAST_PSNR
  )


def examine_painted(back: RoundTrip, rooms: Rooms) -> Iterator[Finding]:
  """Whether painted numbers can be read from what comes back."""
  painted = codecs.depth.encode(rooms.depth_m)
  returned = _to_eight_bits(back(painted))
  yield _judge_colors('painted depth', returned, painted)
  scores = metrics.depth.summarize_depth(
    _add(
      metrics.depth.depth_states(
        codecs.depth.decode(returned), jnp.asarray(rooms.depth_m)
      )
    )
  )
  yield judge(
    'painted depth, decoded: AbsRel', scores['abs_rel'], '', most=MOST_ABS_REL
  )
  painted = codecs.normals.encode(rooms.normals)
  returned = _to_eight_bits(back(painted))
  yield _judge_colors('painted normals', returned, painted)
  scores = metrics.normals.summarize_normals(
    _add(
      metrics.normals.normals_states(
        codecs.normals.decode(returned), jnp.asarray(rooms.normals)
      )
    )
  )
  yield judge(
    'painted normals, decoded: mean angle',
    scores['mean_deg'],
    'degrees',
    most=MOST_DEGREES,
  )
  colors = jnp.asarray(rooms.colors)
  painted = colors[rooms.classes]
  returned = _to_eight_bits(back(painted))
  yield _judge_colors('painted masks', returned, painted)
  read, _ = nearest.decode_nearest(returned, colors)
  scores = metrics.segmentation.summarize_semantic(
    _add(
      metrics.segmentation.semantic_states(
        read, jnp.asarray(rooms.classes), num_classes=len(colors)
      )
    )
  )
  yield judge(
    'painted masks, decoded: mIoU', scores['miou'], '', least=LEAST_MIOU
  )


def _judge_colors(name: str, returned, painted) -> Finding:
  """The mean error of a channel, in levels of 0 to 255."""
  mean = 255 * float(jnp.mean(jnp.abs(returned - painted)))
  return judge(f'{name}: color error', mean, 'levels', most=MOST_LEVELS)


def _to_eight_bits(pictures: Float[Array, 'b h w 3']) -> Array:
  """As a file of a picture keeps them."""
  return jnp.round(255 * jnp.clip(pictures, 0.0, 1.0)) / 255


def _add(states) -> dict[str, np.ndarray]:
  """States of examples as those of all."""
  return {
    key: np.asarray(np.sum(value, axis=0)) for key, value in states.items()
  }
