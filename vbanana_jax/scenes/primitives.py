"""Closed-form ray intersections, in each object's own frame.

In that frame the object's bounding box is [-1, 1]^3: rays arrive moved, turned
by the yaw and divided by the half extents, which leaves ray parameters as
they were. Vectors are tuples of three arrays of any one shape. Every `hit_*`
returns the smallest ray parameter > 0 at which the ray enters, or inf; every
`normal_*` returns an outward normal (of any length) at a point of the surface.
The `half` argument is the half extents in meters.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Scalars = Float[Array, '*r']
Vector = tuple[Scalars, Scalars, Scalars]
_TORUS_STEPS = 24


def divide(a: Scalars, b: Scalars) -> Scalars:
  """a / b where b may be 0; a comparison would keep XLA from vectorizing."""
  return a / (b + 1e-20)


def _slab(o: Scalars, d: Scalars, e: float) -> tuple[Scalars, Scalars]:
  """Ray parameters between which |o + t d| <= e."""
  inverse = divide(1.0, d)
  middle, reach = -o * inverse, e * jnp.abs(inverse)
  return middle - reach, middle + reach


def _entry(enter: Scalars, leave: Scalars, is_hit=True) -> Scalars:
  is_hit = is_hit & (enter < leave) & (enter > 0)
  return jnp.where(is_hit, enter, jnp.inf)


def _round(
  o: Vector, d: Vector, weight_y: float, radius_y: Scalars | float = 1.0
) -> tuple[Scalars, Scalars, Scalars]:
  """Where x^2 + z^2 + weight_y (y / radius_y)^2 <= 1, and whether anywhere.

  Measures the distance from the point nearest to the axis, which keeps
  precision far away (Haines et al., Ray Tracing Gems, chapter 7).
  """
  (ox, oy, oz), (dx, dy, dz) = o, d
  if weight_y:
    oy, dy = oy / radius_y, dy / radius_y
    a = dx * dx + dz * dz + dy * dy
    middle = -divide(ox * dx + oz * dz + oy * dy, a)
    qx, qy, qz = ox + middle * dx, oy + middle * dy, oz + middle * dz
    inside = 1.0 - (qx * qx + qz * qz + qy * qy)
  else:
    a = dx * dx + dz * dz
    middle = -divide(ox * dx + oz * dz, a)
    qx, qz = ox + middle * dx, oz + middle * dz
    inside = 1.0 - (qx * qx + qz * qz)
  reach = jnp.sqrt(divide(jnp.maximum(inside, 0.0), a))
  return middle - reach, middle + reach, inside > 0


def hit_ellipsoid(o: Vector, d: Vector, half: Vector) -> Scalars:
  return _entry(*_round(o, d, 1.0))


def normal_ellipsoid(p: Vector, half: Vector) -> Vector:
  return tuple(x / h for x, h in zip(p, half))


def hit_box(o: Vector, d: Vector, half: Vector) -> Scalars:
  (x0, x1), (y0, y1), (z0, z1) = (_slab(a, b, 1.0) for a, b in zip(o, d))
  enter = jnp.maximum(jnp.maximum(x0, y0), z0)
  return _entry(enter, jnp.minimum(jnp.minimum(x1, y1), z1))


def normal_box(p: Vector, half: Vector) -> Vector:
  x, y, z = (jnp.abs(c) for c in p)
  is_x = (x >= y) & (x >= z)
  is_y = ~is_x & (y >= z)
  is_z = ~is_x & ~is_y
  return tuple(
    jnp.where(i, jnp.sign(c), 0.0) for i, c in zip((is_x, is_y, is_z), p)
  )


def hit_cylinder(o: Vector, d: Vector, half: Vector) -> Scalars:
  near, far, is_hit = _round(o, d, 0.0)
  y0, y1 = _slab(o[1], d[1], 1.0)
  return _entry(jnp.maximum(near, y0), jnp.minimum(far, y1), is_hit)


def normal_cylinder(p: Vector, half: Vector) -> Vector:
  x, y, z = p
  is_side = x * x + z * z > y * y
  return (
    jnp.where(is_side, x / half[0], 0.0),
    jnp.where(is_side, 0.0, jnp.sign(y)),
    jnp.where(is_side, z / half[2], 0.0),
  )


def hit_cone(o: Vector, d: Vector, half: Vector) -> Scalars:
  """Apex at y = 1, base of radius 1 at y = -1."""
  (ox, oy, oz), (dx, dy, dz) = o, d
  oy = oy - 1.0
  # Divided at the point of the ray nearest to the apex, for precision.
  shift = -(ox * dx + oy * dy + oz * dz) / (dx * dx + dy * dy + dz * dz)
  ox, oy, oz = ox + shift * dx, oy + shift * dy, oz + shift * dz
  a = dx * dx + dz * dz - 0.25 * dy * dy
  b = ox * dx + oz * dz - 0.25 * oy * dy
  c = ox * ox + oz * oz - 0.25 * oy * oy
  inside = b * b - a * c
  reach = jnp.sqrt(jnp.maximum(inside, 0.0))
  first, second = divide(-b - reach, a), divide(-b + reach, a)
  near, far = jnp.minimum(first, second), jnp.maximum(first, second)
  # A steep ray (a < 0) is inside before or after both roots: the half that
  # belongs to the lower of the two opposite cones.
  enter = jnp.where(a > 0, near, jnp.where(dy < 0, far, -jnp.inf))
  leave = jnp.where(a > 0, far, jnp.where(dy < 0, jnp.inf, near))
  y0, y1 = _slab(o[1], dy, 1.0)
  enter = jnp.maximum(enter + shift, y0)
  return _entry(enter, jnp.minimum(leave + shift, y1), inside > 0)


def normal_cone(p: Vector, half: Vector) -> Vector:
  x, y, z = p
  radius = jnp.sqrt(x * x + z * z)
  is_base = (y + 1.0) < 0.4 * jnp.abs(radius - 0.5 * (1.0 - y))
  scale = 1.0 / jnp.maximum(radius, 1e-6)
  return (
    jnp.where(is_base, 0.0, x * scale / half[0]),
    jnp.where(is_base, -1.0, 0.5 / half[1]),
    jnp.where(is_base, 0.0, z * scale / half[2]),
  )


def hit_pyramid(o: Vector, d: Vector, half: Vector) -> Scalars:
  """Apex at y = 1, base |x|, |z| <= 1 at y = -1."""
  enter, leave = _slab(o[1], d[1], 1.0)
  for axis in (0, 2):
    for sign in (1.0, -1.0):  # the plane sign * x + y / 2 = 1 / 2
      speed = sign * d[axis] + 0.5 * d[1]
      t = divide(0.5 - sign * o[axis] - 0.5 * o[1], speed)
      enter = jnp.where(speed < 0, jnp.maximum(enter, t), enter)
      leave = jnp.where(speed < 0, leave, jnp.minimum(leave, t))
  return _entry(enter, leave)


def normal_pyramid(p: Vector, half: Vector) -> Vector:
  x, y, z = p
  is_x = jnp.abs(x) >= jnp.abs(z)
  outer = jnp.where(is_x, jnp.abs(x), jnp.abs(z))
  is_base = (y + 1.0) < 0.4 * jnp.abs(outer - 0.5 * (1.0 - y))
  return (
    jnp.where(is_base | ~is_x, 0.0, jnp.sign(x) / half[0]),
    jnp.where(is_base, -1.0, 0.5 / half[1]),
    jnp.where(is_base | is_x, 0.0, jnp.sign(z) / half[2]),
  )


def hit_capsule(o: Vector, d: Vector, half: Vector) -> Scalars:
  """A cylinder about y whose ends are half balls of its own radius."""
  cap = half[0] / half[1]
  straight = 1.0 - cap
  near, _, is_hit = _round(o, d, 0.0)
  is_side = is_hit & (jnp.abs(o[1] + near * d[1]) <= straight) & (near > 0)
  t = jnp.where(is_side, near, jnp.inf)
  for end in (straight, -straight):
    moved = (o[0], o[1] - end, o[2])
    t = jnp.minimum(t, _entry(*_round(moved, d, 1.0, cap)))
  return t


def normal_capsule(p: Vector, half: Vector) -> Vector:
  x, y, z = (c * h for c, h in zip(p, half))
  straight = half[1] - half[0]
  return x, y - jnp.clip(y, -straight, straight), z


def hit_torus(o: Vector, d: Vector, half: Vector) -> Scalars:
  """A ring that lies flat; sphere tracing from the bounding box onwards."""
  major, minor = half[0] - half[1], half[1]
  (x0, x1), (y0, y1), (z0, z1) = (_slab(a, b, 1.0) for a, b in zip(o, d))
  enter = jnp.maximum(jnp.maximum(x0, y0), jnp.maximum(z0, 0.0))
  leave = jnp.minimum(jnp.minimum(x1, y1), z1)
  ox, oy, oz = (a * h for a, h in zip(o, half))
  dx, dy, dz = (a * h for a, h in zip(d, half))
  speed = jnp.sqrt(dx * dx + dy * dy + dz * dz)

  def step(_, t):
    x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
    across = jnp.sqrt(x * x + z * z) - major
    return t + (jnp.sqrt(across * across + y * y) - minor) / speed

  t = lax.fori_loop(0, _TORUS_STEPS, step, enter)
  x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
  across = jnp.sqrt(x * x + z * z) - major
  gap = jnp.sqrt(across * across + y * y) - minor
  return _entry(t, leave, (gap < 1e-3) & (enter < leave))


def normal_torus(p: Vector, half: Vector) -> Vector:
  x, y, z = (c * h for c, h in zip(p, half))
  radius = jnp.maximum(jnp.sqrt(x * x + z * z), 1e-6)
  factor = 1.0 - (half[0] - half[1]) / radius
  return x * factor, y, z * factor


# In the order of OBJECTS.
HITS = (
  hit_ellipsoid,
  hit_box,
  hit_cylinder,
  hit_cone,
  hit_torus,
  hit_pyramid,
  hit_capsule,
  hit_ellipsoid,
)
NORMALS = (
  normal_ellipsoid,
  normal_box,
  normal_cylinder,
  normal_cone,
  normal_torus,
  normal_pyramid,
  normal_capsule,
  normal_ellipsoid,
)
