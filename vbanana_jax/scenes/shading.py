"""The colour of what each ray meets: lights, shadows, materials, fog.

Display colours in [0, 1] are shaded as they are, without a gamma curve.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from vbanana_jax.scenes import geometry, textures
from vbanana_jax.scenes.geometry import Backdrop, Hits
from vbanana_jax.scenes.primitives import Vector
from vbanana_jax.scenes.world import COLOURS, MATERIALS, Scene

_OBJECT_RGB = np.array(list(COLOURS.values()), np.float32) / 255
_SHINY, _METAL = MATERIALS.index('shiny'), MATERIALS.index('metal')
_LIFT_M = 2e-3  # of shadow rays off the surface they start from
_PATTERN_SCALE = 3.0  # patterns are this much finer on objects
# Corners of a tetrahedron: where soft shadows sample a light's volume.
_CORNERS = np.array(
  [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float32
) / np.sqrt(3)


def shade(
  scene: Scene,
  rays: Vector,
  pixel: Float[Array, ''],
  hits: Hits,
  backdrop: Backdrop,
) -> tuple[Float[Array, 'r 3'], Vector]:
  """RGB in [0, 1] along rays, and unit normals (world; 0 for the sky).

  Args:
    scene: one scene.
    rays: world directions that advance one metre of depth.
    pixel: size of a pixel at 1 m (m).
    hits: of the rays with objects.
    backdrop: behind the objects.
  """
  is_object = hits.t < backdrop.t
  t = jnp.minimum(hits.t, backdrop.t)
  is_sky = jnp.isinf(t)
  t = jnp.where(is_sky, 0.0, t)
  eye = (0.0, scene.camera[0], 0.0)
  points = tuple(e + t * d for e, d in zip(eye, rays))
  slots = jnp.where(is_object, hits.slot, -1)
  normal, local = geometry.object_surface(scene, points, slots)
  normal = tuple(
    jnp.where(is_object, o, b) for o, b in zip(normal, backdrop.normal)
  )
  view = geometry.normalize(tuple(-d for d in rays))
  facing = jnp.maximum(_dot(normal, view), 0.1)
  width = pixel * t * lax.rsqrt(facing)
  albedo, material = _albedo(scene, slots, local, backdrop, width)
  colour = _illuminate(scene, points, normal, view, albedo, material)
  sky = _sky(scene, rays)
  length = jnp.sqrt(_dot(rays, rays))
  haze = 1.0 - jnp.exp(-scene.fog[0] * t * length)
  rgb = jnp.stack(
    [
      jnp.clip(jnp.where(is_sky, s, c + haze * (fog - c)), 0.0, 1.0)
      for c, s, fog in zip(colour, sky, scene.fog[1:])
    ],
    -1,
  )
  return rgb, normal


def _dot(a: Vector, b: Vector) -> Float[Array, 'r']:
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _sky(scene: Scene, rays: Vector) -> Vector:
  up = jnp.clip(2.0 * geometry.normalize(rays)[1], 0.0, 1.0)
  return tuple(low + up * (top - low) for low, top in scene.sky.T)


def _pick(table: Float[Array, 'k'], index: Array) -> Array:
  """table[index] for a short table, by comparison: gathers are slow on CPU."""
  result = jnp.zeros(index.shape, table.dtype)
  for k in range(table.shape[0]):
    result = jnp.where(index == k, table[k], result)
  return result


def _albedo(
  scene: Scene,
  slots: Array,
  local: Vector,
  backdrop: Backdrop,
  width: Array,
) -> tuple[Vector, Array]:
  """Colour without light, and the material id."""
  floor, wall, ceiling = (
    textures.paint(texture, backdrop.u, backdrop.v, width)
    for texture in scene.surface_texture
  )
  share = jnp.where(
    backdrop.part == 0, floor, jnp.where(backdrop.part == 1, wall, ceiling)
  )
  is_object = slots >= 0
  object_share = _object_share(scene, slots, local, width)
  rgb = jnp.asarray(_OBJECT_RGB)[scene.colour]
  colour = []
  for c in range(3):
    first = _pick(scene.surface_colour[:, 0, c], backdrop.part)
    second = _pick(scene.surface_colour[:, 1, c], backdrop.part)
    behind = first + share * (second - first)
    own = _pick(rgb[:, c], slots) * (1.0 - 0.5 * object_share)
    colour.append(jnp.where(is_object, own, behind))
  return tuple(colour), _pick(scene.material, slots)


def _object_share(
  scene: Scene, slots: Array, local: Vector, width: Array
) -> Array:
  """Patterns on objects: on upright planes through them, in their frame."""

  def patterned():
    texture = _pick(scene.texture, slots)
    u = _PATTERN_SCALE * (local[0] + 0.37 * local[2])
    v = _PATTERN_SCALE * (local[1] + 0.21 * local[2])
    share = jnp.zeros_like(u)
    for k, pattern in enumerate(textures.PATTERNS):
      share = jnp.where(
        texture == k, pattern(u, v, _PATTERN_SCALE * width), share
      )
    return share

  any_pattern = jnp.any(scene.texture != 0)
  return lax.cond(any_pattern, patterned, lambda: jnp.zeros_like(width))


def _illuminate(
  scene: Scene,
  points: Vector,
  normal: Vector,
  view: Vector,
  albedo: Vector,
  material: Array,
) -> Vector:
  lifted = tuple(p + _LIFT_M * n for p, n in zip(points, normal))

  def add(k, sums):
    light = scene.lights[k]
    centre = tuple(light[:3])
    towards = geometry.normalize(tuple(l - p for p, l in zip(points, centre)))
    halfway = geometry.normalize(tuple(a + b for a, b in zip(towards, view)))
    visible = _visible(scene, lifted, centre, light[6])
    cosine = visible * jnp.maximum(_dot(normal, towards), 0.0)
    gloss = jnp.maximum(_dot(normal, halfway), 0.0)
    for _ in range(5):
      gloss = gloss * gloss
    gloss = jnp.where(cosine > 0, visible * gloss, 0.0)
    diffuse, specular = sums
    return (
      tuple(d + c * cosine for d, c in zip(diffuse, light[3:6])),
      tuple(s + c * gloss for s, c in zip(specular, light[3:6])),
    )

  zeros = (jnp.zeros_like(points[0]),) * 3
  number = jnp.sum(jnp.any(scene.lights[:, 3:6] > 0, axis=1))
  diffuse, specular = lax.fori_loop(0, number, add, (zeros, zeros))
  up = 0.85 + 0.15 * normal[1]
  bounced = 2.0 * _dot(normal, view) * normal[1] - view[1]
  mirrored = 0.25 + 0.75 * jnp.clip(0.5 + 1.5 * bounced, 0.0, 1.0)
  colour = []
  for c in range(3):
    matte = albedo[c] * (scene.ambient[c] * up + diffuse[c])
    metal = albedo[c] * (0.4 * matte + 0.65 * mirrored + 1.2 * specular[c])
    metal = metal + 0.25 * specular[c]
    shiny = matte + 0.6 * specular[c]
    colour.append(
      jnp.where(
        material == _METAL, metal, jnp.where(material == _SHINY, shiny, matte)
      )
    )
  return tuple(colour)


def _visible(
  scene: Scene, points: Vector, centre: Vector, radius: Float[Array, '']
) -> Float[Array, 'r']:
  """Share of the light in [0, 1] that the points see."""

  def soft():
    total = jnp.zeros_like(points[0])
    for corner in _CORNERS:
      light = tuple(c + radius * x for c, x in zip(centre, corner))
      total = total + geometry.lit(scene, points, light)
    return total / len(_CORNERS)

  return lax.cond(
    radius > 0, soft, lambda: geometry.lit(scene, points, centre)
  )
