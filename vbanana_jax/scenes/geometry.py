"""Which thing each ray meets first, and whether light reaches a point.

Everything is for one scene and a flat set of rays, in structure-of-arrays
form: vectors are tuples of three arrays of shape [r].
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from vbanana_jax.scenes import primitives
from vbanana_jax.scenes.primitives import Vector
from vbanana_jax.scenes.world import SURFACES, Scene

_SURFACE = {name: i for i, name in enumerate(SURFACES)}
FAR_M = 500.0  # depth (m) at which the ground ends


class Hits(NamedTuple):
  """Objects seen along rays; `t` is inf where there are none."""

  t: Float[Array, 'r']  # the z-depth (m): rays advance 1 m of depth a unit
  slot: Int[Array, 'r']


class Backdrop(NamedTuple):
  """The surface of the room or ground behind the objects, along rays."""

  t: Float[Array, 'r']  # z-depth (m), inf for the sky
  surface: Int[Array, 'r']  # index into SURFACES
  normal: Vector  # world frame
  part: Int[Array, 'r']  # 0 floor or ground, 1 wall, 2 ceiling
  u: Float[Array, 'r']  # coordinates on the surface (m)
  v: Float[Array, 'r']


def turn(vector: Vector, cos: Array, sin: Array) -> Vector:
  """World to a frame with a yaw about y (from x towards z)."""
  x, y, z = vector
  return cos * x + sin * z, y, cos * z - sin * x


def turn_back(vector: Vector, cos: Array, sin: Array) -> Vector:
  x, y, z = vector
  return cos * x - sin * z, y, sin * x + cos * z


class _Frame(NamedTuple):
  """The frame of the object in one slot; all scalars."""

  kind: Int[Array, '']
  center: Vector
  half: Vector
  cos: Float[Array, '']
  sin: Float[Array, '']

  def place(self, point: Vector) -> Vector:
    """A world point in the object's frame, divided by the half extents."""
    moved = tuple(p - c for p, c in zip(point, self.center))
    return self.direct(moved)

  def direct(self, direction: Vector) -> Vector:
    """The same for a direction."""
    turned = turn(direction, self.cos, self.sin)
    return tuple(x / h for x, h in zip(turned, self.half))


def _frame(scene: Scene, slot: Int[Array, '']) -> _Frame:
  return _Frame(
    kind=scene.class_id[slot],
    center=tuple(scene.center[slot]),
    half=tuple(scene.half_extent[slot]),
    cos=jnp.cos(scene.yaw[slot]),
    sin=jnp.sin(scene.yaw[slot]),
  )


def trace_objects(scene: Scene, origin: Vector, rays: Vector) -> Hits:
  """The first object along each ray; slots are visited one by one."""

  def visit(slot, hits):
    frame = _frame(scene, slot)
    t = lax.switch(
      frame.kind,
      primitives.HITS,
      frame.place(origin),
      frame.direct(rays),
      frame.half,
    )
    nearer = t < hits.t
    return Hits(
      jnp.where(nearer, t, hits.t), jnp.where(nearer, slot, hits.slot)
    )

  shape = rays[0].shape
  start = Hits(jnp.full(shape, jnp.inf), jnp.full(shape, -1, jnp.int32))
  return lax.fori_loop(0, scene.count, visit, start)


def lit(scene: Scene, points: Vector, light: Vector) -> Float[Array, 'r']:
  """1 where nothing stands between the points and the light, else 0."""
  rays = tuple(to - p for p, to in zip(points, light))

  def visit(slot, free):
    frame = _frame(scene, slot)
    t = lax.switch(
      frame.kind,
      primitives.HITS,
      frame.place(points),
      frame.direct(rays),
      frame.half,
    )
    return jnp.where(t < 1.0, 0.0, free)

  return lax.fori_loop(0, scene.count, visit, jnp.ones_like(points[0]))


def object_surface(
  scene: Scene,
  points: Vector,
  slots: Int[Array, 'r'],
  attributes: Float[Array, 'k a'],
) -> tuple[Vector, Vector, tuple[Float[Array, 'r'], ...]]:
  """Surfaces of the objects that rays hit; meaningless for other rays.

  Args:
    scene: one scene.
    points: where the rays hit.
    slots: which object they hit, -1 for none.
    attributes: numbers of each slot.

  Returns:
    Unit normals (world), coordinates in the object's frame (m), attributes.
  """

  def visit(slot, found):
    frame = _frame(scene, slot)
    local = frame.place(points)
    normal = lax.switch(frame.kind, primitives.NORMALS, local, frame.half)
    normal = turn_back(normal, frame.cos, frame.sin)
    meters = tuple(p * h for p, h in zip(local, frame.half))
    here = slots == slot
    # Attributes are picked here as gathers are not vectorized on CPU.
    return tuple(
      jnp.where(here, new, old)
      for new, old in zip((*normal, *meters, *attributes[slot]), found)
    )

  zeros = (jnp.zeros_like(points[0]),) * (6 + attributes.shape[1])
  found = lax.fori_loop(0, scene.count, visit, zeros)
  return normalize(found[:3]), found[3:6], found[6:]


def normalize(vector: Vector) -> Vector:
  x, y, z = vector
  scale = lax.rsqrt(jnp.maximum(x * x + y * y + z * z, 1e-12))
  return x * scale, y * scale, z * scale


def trace_backdrop(scene: Scene, rays: Vector) -> Backdrop:
  """Floor, walls and ceiling from inside the room, or ground and sky."""
  x_low, x_high, z_low, z_high, height, yaw = scene.room
  eye = scene.camera[0]
  cos, sin = jnp.cos(yaw), jnp.sin(yaw)
  x, y, z = turn(rays, cos, sin)
  t_x = primitives.divide(jnp.where(x > 0, x_high, x_low), x)
  t_z = primitives.divide(jnp.where(z > 0, z_high, z_low), z)
  t_y = primitives.divide(jnp.where(y > 0, height - eye, -eye), y)
  is_sky = scene.outdoor & ((y >= 0) | (t_y > FAR_M))
  is_level = scene.outdoor | ((t_y <= t_x) & (t_y <= t_z))
  is_x = ~is_level & (t_x <= t_z)
  is_z = ~is_level & ~is_x
  t = jnp.where(is_level, t_y, jnp.minimum(t_x, t_z))
  part = jnp.where(is_level, jnp.where(y > 0, 2, 0), 1)
  normal = tuple(
    jnp.where(here, -jnp.sign(axis), 0.0)
    for here, axis in ((is_x, x), (is_level, y), (is_z, z))
  )
  surface = jnp.where(
    scene.outdoor,
    jnp.where(is_sky, _SURFACE['sky'], _SURFACE['ground']),
    part,
  )
  return Backdrop(
    t=jnp.where(is_sky, jnp.inf, t),
    surface=surface,
    normal=tuple(
      jnp.where(is_sky, 0.0, n) for n in turn_back(normal, cos, sin)
    ),
    part=jnp.where(is_sky, 0, part),
    u=jnp.where(is_x, t * z, t * x),
    v=jnp.where(is_level, t * z, eye + t * y),
  )
