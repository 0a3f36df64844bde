"""Pictures and exact labels of scenes, by casting one ray a sample.

Labels belong to the ray through the center of a pixel and are never blended.
Color weighs that ray 1/2 and the four at the pixel's corners 1/8 each; as
neighbors share corners, anti-aliasing costs two rays a pixel.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from vbanana_jax.scenes import geometry, shading
from vbanana_jax.scenes.camera import make_axes
from vbanana_jax.scenes.details import Details
from vbanana_jax.scenes.primitives import Vector
from vbanana_jax.scenes.world import SURFACES, Scene, stack_scenes

MICRO_BATCH = 32
# On a CPU; all rays of a picture of 64 by 64. A picture of 256 by 256 takes a
# quarter of the time in such parts, at 32 KiB a number of a ray.
MICRO_RAYS = 8_448


class View(NamedTuple):
  """A picture and its labels."""

  rgb: Float[Array, 'b h w 3']  # [0, 1]
  depth_m: Float[Array, 'b h w']  # z-depth, inf for the sky
  normals: Float[Array, 'b h w 3']  # x right, y up, z to the viewer; sky 0
  semantic: Int[Array, 'b h w']  # index into CLASSES
  instance: Int[Array, 'b h w']  # 0: no object, k + 1: the object in slot k


@functools.partial(jax.jit, static_argnames=('height', 'width'))
def render(
  scenes: Scene,
  details: Details | None = None,
  *,
  height: int,
  width: int,
) -> View:
  """Renders a batch of scenes (leaves with a leading axis b).

  With `details` photographs are on the surfaces.

  On CPU scenes follow one another, so that their rays stay in the cache and
  branches that a scene does not need are skipped; elsewhere they run abreast.
  """
  one = functools.partial(_render_one, height=height, width=width)
  view = _map_scenes(one, scenes, details)
  # For all scenes at once: inside the loop XLA would compute every sample
  # anew for each of the pixels that it belongs to.
  rgb = [_blend(samples, height, width) for samples in view.rgb]
  return view._replace(
    rgb=jnp.stack(rgb, -1), normals=jnp.stack(view.normals, -1)
  )


def render_scenes(
  scenes: list[Scene],
  height: int,
  width: int,
  details: Details | None = None,
) -> View:
  """Renders any number of scenes to numpy, MICRO_BATCH at a time.

  The last batch is padded: the pixels of a scene do not depend on the company
  in which it is rendered.
  """
  view = functools.partial(render, height=height, width=width)
  return View(*_in_batches(view, scenes, details))


def render_albedos(
  scenes: list[Scene],
  height: int,
  width: int,
  details: Details | None = None,
) -> Float[np.ndarray, 'n h w 3']:
  """Base colors of any number of scenes, in [0, 1]; 0 for the sky.

  Those that the scene is painted in, in the space of `View.rgb`, without
  light, shadow, gloss and fog. Like labels they are of the rays through the
  centers of pixels, and are never blended.
  """

  def albedos(batch, details):
    return (_render_albedos(batch, details, height=height, width=width),)

  (found,) = _in_batches(albedos, scenes, details)
  return found


def _in_batches(
  render_batch: Callable[..., tuple[Array, ...]], scenes: list[Scene], details
) -> list[np.ndarray]:
  """What `render_batch` makes of all scenes, MICRO_BATCH of them at a time."""
  parts = []
  for start in range(0, len(scenes), MICRO_BATCH):
    batch = scenes[start : start + MICRO_BATCH]
    missing = MICRO_BATCH - len(batch)
    padded = details
    if details is not None:
      chosen = details.chosen[start : start + MICRO_BATCH]
      chosen = np.concatenate([chosen, chosen[-1:].repeat(missing, 0)])
      padded = details._replace(chosen=chosen)
    found = render_batch(stack_scenes(batch + [batch[-1]] * missing), padded)
    parts.append([np.asarray(leaf)[: len(batch)] for leaf in found])
  return [np.concatenate(leaves) for leaves in zip(*parts)]


def _map_scenes(one: Callable, scenes: Scene, details: Details | None):
  """`one` of every scene: one after the other on a CPU, abreast elsewhere."""

  def find(scene_and_chosen):
    scene, chosen = scene_and_chosen
    return one(scene, details and details._replace(chosen=chosen))

  pairs = scenes, details and details.chosen
  if jax.default_backend() == 'cpu':
    return lax.map(find, pairs)
  return jax.vmap(find)(pairs)


@functools.partial(jax.jit, static_argnames=('height', 'width'))
def _render_albedos(
  scenes: Scene, details, *, height: int, width: int
) -> Float[Array, 'b h w 3']:
  def one(scene, details):
    _, pixel, rays = _aim(scene, height, width)
    look = functools.partial(_look_at_albedo, scene, details, pixel)
    albedo = _map_rays(look, tuple(x[: height * width] for x in rays))
    return tuple(channel.reshape(height, width) for channel in albedo)

  return jnp.stack(_map_scenes(one, scenes, details), -1)


def _render_one(
  scene: Scene, details: Details | None, *, height: int, width: int
) -> View:
  """Leaves as in `View` of one scene, but channels apart and rgb per ray."""
  axes, pixel, rays = _aim(scene, height, width)
  look = functools.partial(_look, scene, details, axes, pixel)
  seen = _map_rays(look, rays)
  labels = jax.tree.map(
    lambda x: x[: height * width].reshape(height, width),
    seen._replace(rgb=()),
  )
  return labels._replace(rgb=seen.rgb)


def _aim(scene: Scene, height: int, width: int):
  """The camera's axes, the size of a pixel at 1 m, and all rays."""
  axes = make_axes(scene.camera)
  pixel = 2.0 * jnp.tan(0.5 * scene.camera[3]) / height
  return axes, pixel, _make_rays(axes, pixel, height, width)


def _map_rays(look: Callable, rays: Vector):
  """`look` of all rays; on a CPU a large picture's in parts, for the cache."""
  count = rays[0].size
  if jax.default_backend() != 'cpu' or count <= MICRO_RAYS:
    return look(rays)
  padding = -count % MICRO_RAYS
  parts = [jnp.pad(x, (0, padding)).reshape(-1, MICRO_RAYS) for x in rays]
  seen = lax.map(look, tuple(parts))
  return jax.tree.map(lambda x: x.reshape(-1)[:count], seen)


def _look_at_albedo(scene: Scene, details, pixel, rays: Vector) -> Vector:
  """The base color of what each ray meets."""
  eye = (0.0, scene.camera[0], 0.0)
  hits = geometry.trace_objects(scene, eye, rays)
  backdrop = geometry.trace_backdrop(scene, rays)
  return shading.find_albedo(scene, rays, pixel, hits, backdrop, details)


def _look(scene: Scene, details, axes, pixel, rays: Vector) -> View:
  """What each ray meets, in the order of the rays."""
  eye = (0.0, scene.camera[0], 0.0)
  hits = geometry.trace_objects(scene, eye, rays)
  backdrop = geometry.trace_backdrop(scene, rays)
  rgb, normal = shading.shade(scene, rays, pixel, hits, backdrop, details)
  is_object = hits.t < backdrop.t
  slot = jnp.where(is_object, hits.slot, -1)
  kind = jnp.take(scene.class_id, slot, mode='clip')
  facing = [sum(a * x for a, x in zip(axis, normal)) for axis in axes]
  facing[2] = -facing[2]
  return View(
    rgb=rgb,
    depth_m=jnp.minimum(hits.t, backdrop.t),
    normals=tuple(facing),
    semantic=jnp.where(is_object, len(SURFACES) + kind, backdrop.surface),
    instance=slot + 1,
  )


def _make_rays(
  axes: Float[Array, '3 3'], pixel: Float[Array, ''], height: int, width: int
) -> Vector:
  """World directions with a depth of 1: all centers, then all corners."""
  x, y = (
    np.concatenate([center.ravel(), corner.ravel()])
    for center, corner in zip(
      np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5),
      np.meshgrid(np.arange(width + 1.0), np.arange(height + 1.0)),
    )
  )
  x = pixel * jnp.asarray(x - 0.5 * width, jnp.float32)
  y = pixel * jnp.asarray(0.5 * height - y, jnp.float32)
  right, up, forward = axes
  return tuple(forward[i] + x * right[i] + y * up[i] for i in range(3))


def _blend(
  samples: Float[Array, 'b r'], height: int, width: int
) -> Float[Array, 'b h w']:
  """Mean of the center (1/2) and the corners (1/8 each) of every pixel."""
  n = height * width
  center = samples[:, :n].reshape(-1, height, width)
  corner = samples[:, n:].reshape(-1, height + 1, width + 1)
  corners = corner[:, 1:, 1:] + corner[:, 1:, :-1] + corner[:, :-1, 1:]
  return 0.5 * center + 0.125 * (corners + corner[:, :-1, :-1])
