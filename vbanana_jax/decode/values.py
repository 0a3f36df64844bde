"""Any painted picture back to numbers, whoever painted it.

What to read is in a `PromptSpec`: from the words of a prompt, or from a
protocol. Pictures are read at the size they were painted; `resizing` brings
the numbers to another one.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num, UInt8

from vbanana_jax.codecs import (
  colormaps,
  components,
  depth,
  flood,
  instances,
  normals,
  palettes,
  rims,
)
from vbanana_jax.drawing.pictures import SKY_M
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import prompts

# Connected pixels of one label that cover less of a picture than this are
# specks; the share below which the paper drops an instance.
SPECK_SHARE = 2e-4
_TAU = 14.0  # 8-bit levels from the background
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
NO_SURFACE = 'share without a surface'
BETWEEN = 'share between two colors, read as a third'
_DISTANCE_PERCENTILES = (50, 90, 99)
INSTANCE_DECODERS = {
  'paper': flood.decode_flood,
  'regions': instances.decode_regions,
}


class Decoded(NamedTuple):
  """Numbers of one picture, at the size it was painted.

  Attributes:
    value: depth in meters, unit normals [h w 3] (zero without a surface), or
      int32 labels: 0 is the background, or no label at all, and k the k-th
      entry or instance.
    confidence: [h w] in [0, 1]; what it means is said by each codec.
    facts: what a person would check, ready for JSON.
  """

  value: Num[np.ndarray, 'h w *c']
  confidence: Float[np.ndarray, 'h w']
  facts: dict[str, Any]


class Settings(NamedTuple):
  """How pictures are read, beyond what the prompt says.

  Attributes:
    near_m: depth of the dark end of an alternate color map.
    far_m: depth of its bright end. Such a map says nothing without both.
    void_radius: 8-bit levels; colors farther from all of a legend have no
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
  spec: prompts.PromptSpec,
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
  if spec.task not in readers:
    raise UserError(f'task {spec.task!r}: choose of {", ".join(readers)}')
  rgb = painted_u8.astype(np.float32) / np.float32(255.0)
  return readers[spec.task](spec, rgb, settings)


def _decode_depth(spec, rgb, settings) -> Decoded:
  ends = (settings.near_m, settings.far_m)
  _check_scale(spec.colormap, ends)
  depth_m, distance, confidence = jax.device_get(
    _read_depth(rgb, spec.colormap, *ends)
  )
  finite = depth_m[np.isfinite(depth_m)]
  spread = np.percentile(finite, _PERCENTILES) if finite.size else []
  return Decoded(
    depth_m,
    confidence,
    {
      'colormap, rainbow if none is named': spec.colormap,
      'depth_m percentiles': {
        str(p): float(x) for p, x in zip(_PERCENTILES, spread)
      },
      f'share from {SKY_M:g} m on': float((depth_m >= SKY_M).mean()),
      **_describe_distance(distance),
      'mean confidence': float(confidence.mean()),
    },
  )


def _check_scale(colormap: str, ends: tuple[float | None, ...]) -> None:
  """Refuses ends that make no scale, and ends where there is one already."""
  if colormap == 'rainbow':
    if ends != (None, None):
      raise UserError(
        '--near-m and --far-m are for other color maps: the rainbow of this '
        "prompt has meters of its own; name the map in --prompt, as in 'in the "
        "viridis colormap'"
      )
    return
  given = [end for end in ends if end is not None]
  if len(given) < 2:
    raise UserError(
      f'depth in {colormap} has no scale of its own: say which depths its dark '
      'and bright ends stand for with --near-m and --far-m'
    )
  if given[0] == given[1] or not all(0 <= end < math.inf for end in given):
    raise UserError(
      f'--near-m {given[0]:g} and --far-m {given[1]:g} make no scale: give two '
      'different depths from 0 on, in meters'
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


def _decode_normals(spec, rgb, settings) -> Decoded:
  del spec, settings
  vectors, length, surface, confidence = jax.device_get(_read_normals(rgb))
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
      NO_SURFACE: float(1 - surface.mean()),
      'mean confidence': float(confidence.mean()),
    },
  )


@jax.jit
def _read_normals(rgb):
  length = jnp.linalg.norm(2.0 * rgb - 1.0, axis=-1)
  surface = normals.find_surface(rgb)
  vectors = jnp.where(surface[..., None], normals.decode(rgb), 0.0)
  return vectors, length, surface, normals.confidence(rgb)


def _decode_labels(spec, rgb, settings) -> Decoded:
  radius = settings.void_radius
  if radius is not None and not radius > 0:
    raise UserError(f'--void-radius {radius:g}: give 8-bit levels above 0')
  labels, distance, confidence, between = jax.device_get(
    _read_labels(
      rgb,
      spec.make_palette()[0],
      np.float32(np.inf if radius is None else radius / 255),
      math.ceil(settings.speck_share * rgb.shape[0] * rgb.shape[1]),
    )
  )
  area = np.bincount(labels.ravel(), minlength=len(spec.entries) + 1)
  names = ('background', *(name for name, _ in spec.entries))
  return Decoded(
    labels,
    confidence,
    {
      'legend': {name: list(color) for name, color in spec.entries},
      'background of the legend': list(spec.background),
      'share of pixels': {
        name: float(n / labels.size) for name, n in zip(names, area)
      },
      BETWEEN: float(between),
      **_describe_distance(distance),
      'mean confidence': float(confidence.mean()),
    },
  )


@functools.partial(jax.jit, static_argnums=3)
def _read_labels(rgb, palette, radius, speck_px):
  labels, distance = palettes.decode_nearest(rgb, palette)
  near = distance <= radius
  between = near & rims.find_rims(rgb, labels, distance)
  labels = jnp.where(near, labels, 0)
  if speck_px > 1:
    labels, _ = components.despeckle(labels, speck_px)
  confidence = palettes.confidence(rgb, palette)
  most = jnp.where(between, rims.CONFIDENCE, 1.0)
  return labels, distance, jnp.minimum(confidence, most), jnp.mean(between)


def _decode_instances(spec, rgb, settings) -> Decoded:
  if settings.decoder not in INSTANCE_DECODERS:
    raise UserError(
      f'instance decoder {settings.decoder!r}: choose of '
      f'{", ".join(INSTANCE_DECODERS)}'
    )
  ground = palettes.to_rgb([spec.background])[0]
  found, painted, dropped = jax.device_get(
    _read_instances(rgb, ground, settings.decoder, settings.constants)
  )
  count = int(found.count)
  return Decoded(
    found.ids,
    found.confidence,
    {
      'thing': spec.category,
      'background': list(spec.background),
      'decoder': {'name': settings.decoder, **dict(settings.constants)},
      'instances': count,
      'colors': np.rint(255 * found.color[:count]).astype(int).tolist(),
      'area_px': found.area_px[:count].tolist(),
      'share dropped': float(dropped),
      'share of what is painted that is dropped': float(
        dropped / max(painted, 1e-9)
      ),
      'overflow': bool(found.overflow),
      'converged': bool(found.converged),
      'mean confidence': float(found.confidence.mean()),
    },
  )


@functools.partial(jax.jit, static_argnums=(2, 3))
def _read_instances(rgb, ground, decoder, constants):
  found = INSTANCE_DECODERS[decoder](rgb, ground, **dict(constants))
  painted = 255 * jnp.linalg.norm(rgb - ground, axis=-1) >= _TAU
  return found, jnp.mean(painted), jnp.mean(painted & (found.ids == 0))


def _describe_distance(distance) -> dict[str, dict[str, float]]:
  spread = np.percentile(255 * distance, _DISTANCE_PERCENTILES)
  return {
    'distance from legal colors, 8-bit levels, percentiles': {
      str(p): float(x) for p, x in zip(_DISTANCE_PERCENTILES, spread)
    }
  }
