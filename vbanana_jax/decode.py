"""Any painted picture back to numbers, whoever painted it.

What to read is in a `Reading`: from the words of a prompt, or from a protocol.
Pictures are read at the size they were painted; `resizing` brings the numbers
to another one.
"""

import functools
import json
import math
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num, UInt8

from vbanana_jax import resizing
from vbanana_jax.codecs import (
  colormaps,
  components,
  depth,
  flood,
  instances,
  normals,
  palettes,
)
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError
from vbanana_jax.report import answers, files
from vbanana_jax.report.pictures import SKY_M
from vbanana_jax.tasks import prompts

# Connected pixels of one label that cover less of a picture than this are
# specks; the share below which the paper drops an instance.
SPECK_SHARE = 2e-4
_MOST_DROPPED = 0.5  # of a picture that is still taken for one of instances
_TAU = 14.0  # 8-bit levels from the background
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
INSTANCE_DECODERS = {
  'paper': flood.decode_flood,
  'regions': instances.decode_regions,
}


class Decoded(NamedTuple):
  """Numbers of one picture, at the size it was painted.

  Attributes:
    value: depth in metres, unit normals [h w 3], or int32 labels: 0 is the
      background, or no label at all, and k the k-th entry or instance.
    confidence: [h w] in [0, 1]; what it means is said by each codec.
    facts: what a person would check, ready for JSON.
  """

  value: Num[np.ndarray, 'h w *c']
  confidence: Float[np.ndarray, 'h w']
  facts: dict[str, Any]


class Settings(NamedTuple):
  """How pictures are read, beyond what the prompt says.

  Attributes:
    near_m: depth of the dark end of an alternate colour map.
    far_m: depth of its bright end. Such a map says nothing without both.
    void_radius: 8-bit levels; colours farther from all of a legend have no
      label. None reads every pixel as the nearest.
    speck_share: of the picture; smaller specks of a label are dropped.
    decoder: name of an instance decoder.
    constants: of it, instead of its own, as (name, value) pairs.
  """

  near_m: float | None = None
  far_m: float | None = None
  void_radius: float | None = None
  speck_share: float = 0.0
  decoder: str = 'paper'
  constants: tuple[tuple[str, float], ...] = ()


DEFAULTS = Settings()


def decode(
  reading: prompts.Reading,
  painted_u8: UInt8[np.ndarray, 'h w 3'],
  settings: Settings = DEFAULTS,
) -> Decoded:
  """Reads one picture of any size.

  Errors: UserError for a task that is not painted as numbers.
  """
  readers: dict[str, Callable[..., Decoded]] = {
    'depth': _decode_depth,
    'normals': _decode_normals,
    'semantic': _decode_labels,
    'referring': _decode_labels,
    'instance': _decode_instances,
  }
  if reading.task not in readers:
    raise UserError(f'task {reading.task!r}: choose of {", ".join(readers)}')
  rgb = painted_u8.astype(np.float32) / np.float32(255.0)
  return readers[reading.task](reading, rgb, settings)


def _decode_depth(reading, rgb, settings) -> Decoded:
  ends = (settings.near_m, settings.far_m)
  if reading.colormap != 'rainbow' and None in ends:
    raise UserError(
      f'depth in {reading.colormap} has no scale of its own: say which depths '
      'its dark and bright ends stand for with --near-m and --far-m'
    )
  depth_m, distance, confidence = jax.device_get(
    _read_depth(rgb, reading.colormap, *ends)
  )
  finite = depth_m[np.isfinite(depth_m)]
  spread = np.percentile(finite, _PERCENTILES) if finite.size else []
  return Decoded(
    depth_m,
    confidence,
    {
      'colormap': reading.colormap,
      'depth_m percentiles': {
        str(p): float(x) for p, x in zip(_PERCENTILES, spread)
      },
      f'share from {SKY_M:g} m on': float((depth_m >= SKY_M).mean()),
      **_describe_distance(distance),
      'mean confidence': float(confidence.mean()),
    },
  )


@functools.partial(jax.jit, static_argnums=1)
def _read_depth(rgb, colormap, near_m, far_m):
  if colormap == 'rainbow':
    return depth.decode(rgb), depth.residual(rgb), depth.confidence(rgb)
  return (
    colormaps.decode(rgb, colormap, near_m, far_m),
    colormaps.residual(rgb, colormap),
    colormaps.confidence(rgb, colormap),
  )


def _decode_normals(reading, rgb, settings) -> Decoded:
  del reading, settings
  vectors, length, confidence = jax.device_get(_read_normals(rgb))
  return Decoded(
    vectors,
    confidence,
    {
      'painted length percentiles': {
        str(p): float(x)
        for p, x in zip(_PERCENTILES, np.percentile(length, _PERCENTILES))
      },
      'median painted length': float(np.median(length)),
      'share facing the viewer': float((vectors[..., 2] > 0).mean()),
      'mean confidence': float(confidence.mean()),
    },
  )


@jax.jit
def _read_normals(rgb):
  length = jnp.linalg.norm(2.0 * rgb - 1.0, axis=-1)
  return normals.decode(rgb), length, normals.confidence(rgb)


def _decode_labels(reading, rgb, settings) -> Decoded:
  radius = settings.void_radius
  labels, distance, confidence = jax.device_get(
    _read_labels(
      rgb,
      reading.make_palette()[0],
      np.float32(np.inf if radius is None else radius / 255),
      math.ceil(settings.speck_share * rgb.shape[0] * rgb.shape[1]),
    )
  )
  area = np.bincount(labels.ravel(), minlength=len(reading.entries) + 1)
  names = ('background', *(name for name, _ in reading.entries))
  return Decoded(
    labels,
    confidence,
    {
      'legend': {name: list(colour) for name, colour in reading.entries},
      'background': list(reading.background),
      'share of pixels': {
        name: float(n / labels.size) for name, n in zip(names, area)
      },
      **_describe_distance(distance),
      'mean confidence': float(confidence.mean()),
    },
  )


@functools.partial(jax.jit, static_argnums=3)
def _read_labels(rgb, palette, radius, speck_px):
  labels, distance = palettes.decode_nearest(rgb, palette)
  labels = jnp.where(distance <= radius, labels, 0)
  if speck_px > 1:
    labels, _ = components.despeckle(labels, speck_px)
  return labels, distance, palettes.confidence(rgb, palette)


def _decode_instances(reading, rgb, settings) -> Decoded:
  if settings.decoder not in INSTANCE_DECODERS:
    raise UserError(
      f'instance decoder {settings.decoder!r}: choose of '
      f'{", ".join(INSTANCE_DECODERS)}'
    )
  ground = palettes.to_rgb([reading.background])[0]
  found, dropped = jax.device_get(
    _read_instances(rgb, ground, settings.decoder, settings.constants)
  )
  count = int(found.count)
  return Decoded(
    found.ids,
    found.confidence,
    {
      'thing': reading.thing,
      'background': list(reading.background),
      'decoder': {'name': settings.decoder, **dict(settings.constants)},
      'instances': count,
      'colours': np.rint(255 * found.colour[:count]).astype(int).tolist(),
      'area_px': found.area_px[:count].tolist(),
      'share dropped': float(dropped),
      'overflow': bool(found.overflow),
      'converged': bool(found.converged),
      'mean confidence': float(found.confidence.mean()),
    },
  )


@functools.partial(jax.jit, static_argnums=(2, 3))
def _read_instances(rgb, ground, decoder, constants):
  found = INSTANCE_DECODERS[decoder](rgb, ground, **dict(constants))
  painted = 255 * jnp.linalg.norm(rgb - ground, axis=-1) >= _TAU
  return found, jnp.mean(painted & (found.ids == 0))


def _describe_distance(distance) -> dict[str, float]:
  levels = 255 * distance
  return {
    'median distance from legal colours, 8-bit levels': float(
      np.median(levels)
    ),
    '99th percentile of it': float(np.percentile(levels, 99)),
  }


def decode_file(
  reading: prompts.Reading,
  path: pathlib.Path,
  out_dir: pathlib.Path,
  settings: Settings = DEFAULTS,
  photo: pathlib.Path | None = None,
) -> tuple[dict[str, Any], list[pathlib.Path]]:
  """Reads one painted file and writes what a person and a program can use.

  Writes NAME_TASK.npy (values), NAME_TASK_confidence.npy, NAME_TASK.png to
  look at and NAME_TASK.json.

  Args:
    reading: what the prompt says.
    path: the painted picture.
    out_dir: folder of the files; made if it is not there.
    settings: see `Settings`.
    photo: what was painted about; values are brought to its size and drawn
      over it.

  Returns:
    the facts, and the files in the order above.

  Errors: UserError for a picture that cannot be read, and for one with more
    instances than the decoder holds; nothing is written then.
  """
  painted_u8 = photos.open_photo(path)
  found = decode(reading, painted_u8, settings)
  if reading.task == 'instance':
    _check_instances(path, reading, found)
  under_u8 = painted_u8 if photo is None else photos.open_photo(photo)
  shape = under_u8.shape[:2]
  value = resizing.RESIZE[reading.task](found.value, shape)
  confidence = resizing.resize_nearest(found.confidence, shape)
  names, palette_u8 = _make_legend(reading, found)
  picture = answers.draw(reading.task, value, under_u8, palette_u8, names)
  stem = f'{path.stem}_{reading.task}'
  facts = {
    'task': reading.task,
    'painted': str(path),
    'painted_size': list(painted_u8.shape[:2]),
    'size': list(shape),
    'values': answers.UNITS[reading.task],
    **found.facts,
  }
  contents = {
    f'{stem}.npy': files.to_npy(value),
    f'{stem}_confidence.npy': files.to_npy(confidence.astype(np.float32)),
    f'{stem}.png': files.to_png(picture),
    f'{stem}.json': (json.dumps(facts, indent=2) + '\n').encode(),
  }
  return facts, [
    files.write_atomic(out_dir / name, content)
    for name, content in contents.items()
  ]


def _check_instances(path, reading, found) -> None:
  """Refuses what is no picture of instances on one background."""
  facts, fault = found.facts, None
  if facts['overflow']:
    fault = f'more instances than {facts["instances"]}, the most that are held'
  elif facts['share dropped'] > _MOST_DROPPED:
    fault = (
      f'{facts["share dropped"]:.0%} of it are regions too small or too thin '
      'to be instances'
    )
  if fault:
    raise UserError(
      f'{path}: {fault}: is it an instance picture with the background '
      f'{reading.background}? --prompt names another, --max-instances more'
    )


def _make_legend(reading, found) -> tuple[list[str], np.ndarray]:
  """Names and drawn colours [q 3] of the labels 1, 2, ..."""
  if reading.task == 'instance':
    # Not the painted colours: they may be as dark as the background.
    names = [str(k + 1) for k in range(found.facts['instances'])]
    colours = palettes.farthest_point_palette(len(names), avoid=[(0, 0, 0)])
  else:
    names = [name for name, _ in reading.entries]
    colours = [colour for _, colour in reading.entries]
  return names, np.array(colours, np.uint8).reshape(-1, 3)
