"""Pictures and exact labels of scenes, by casting one ray a sample.

Labels belong to the ray through the centre of a pixel and are never blended.
Colour weighs that ray 1/2 and the four at the pixel's corners 1/8 each; as
neighbours share corners, anti-aliasing costs two rays a pixel.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from vbanana_jax.scenes import geometry, shading
from vbanana_jax.scenes.camera import make_axes
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
def render(scenes: Scene, *, height: int, width: int) -> View:
  """Renders a batch of scenes (leaves with a leading axis b).

  On CPU scenes follow one another, so that their rays stay in the cache and
  branches that a scene does not need are skipped; elsewhere they run abreast.
  """
  one = functools.partial(_render_one, height=height, width=width)
  if jax.default_backend() == 'cpu':
    view = lax.map(one, scenes)
  else:
    view = jax.vmap(one)(scenes)
  # For all scenes at once: inside the loop XLA would compute every sample
  # anew for each of the pixels that it belongs to.
  rgb = [_blend(samples, height, width) for samples in view.rgb]
  return view._replace(
    rgb=jnp.stack(rgb, -1), normals=jnp.stack(view.normals, -1)
  )


def render_scenes(scenes: list[Scene], height: int, width: int) -> View:
  """Renders any number of scenes to numpy, MICRO_BATCH at a time.

  The last batch is padded: the pixels of a scene do not depend on the company
  in which it is rendered.
  """
  parts = []
  for start in range(0, len(scenes), MICRO_BATCH):
    batch = scenes[start : start + MICRO_BATCH]
    padding = [batch[-1]] * (MICRO_BATCH - len(batch))
    view = render(stack_scenes(batch + padding), height=height, width=width)
    parts.append([np.asarray(leaf)[: len(batch)] for leaf in view])
  return View(*(np.concatenate(leaves) for leaves in zip(*parts)))


def _render_one(scene: Scene, *, height: int, width: int) -> View:
  """Leaves as in `View` of one scene, but channels apart and rgb per ray."""
  axes = make_axes(scene.camera)
  pixel = 2.0 * jnp.tan(0.5 * scene.camera[3]) / height
  rays = _make_rays(axes, pixel, height, width)
  look = functools.partial(_look, scene, axes, pixel)
  count = rays[0].size
  if jax.default_backend() == 'cpu' and count > MICRO_RAYS:
    # Of a large picture one part after the other, for the cache's sake.
    padding = -count % MICRO_RAYS
    parts = [jnp.pad(x, (0, padding)).reshape(-1, MICRO_RAYS) for x in rays]
    seen = lax.map(look, tuple(parts))
    seen = jax.tree.map(lambda x: x.reshape(-1)[:count], seen)
  else:
    seen = look(rays)
  labels = jax.tree.map(
    lambda x: x[: height * width].reshape(height, width),
    seen._replace(rgb=()),
  )
  return labels._replace(rgb=seen.rgb)


def _look(scene: Scene, axes, pixel, rays: Vector) -> View:
  """What each ray meets, in the order of the rays."""
  eye = (0.0, scene.camera[0], 0.0)
  hits = geometry.trace_objects(scene, eye, rays)
  backdrop = geometry.trace_backdrop(scene, rays)
  rgb, normal = shading.shade(scene, rays, pixel, hits, backdrop)
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
  """World directions with a depth of 1: all centres, then all corners."""
  x, y = (
    np.concatenate([centre.ravel(), corner.ravel()])
    for centre, corner in zip(
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
  """Mean of the centre (1/2) and the corners (1/8 each) of every pixel."""
  n = height * width
  centre = samples[:, :n].reshape(-1, height, width)
  corner = samples[:, n:].reshape(-1, height + 1, width + 1)
  corners = corner[:, 1:, 1:] + corner[:, 1:, :-1] + corner[:, :-1, 1:]
  return 0.5 * centre + 0.125 * (corners + corner[:, :-1, :-1])
