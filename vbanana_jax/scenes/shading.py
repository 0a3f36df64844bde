"""The color of what each ray meets: lights, shadows, materials, fog.

Display colors in [0, 1] are shaded as they are, without a gamma curve.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from vbanana_jax.scenes import details as photo_details
from vbanana_jax.scenes import geometry, textures
from vbanana_jax.scenes.details import Details
from vbanana_jax.scenes.geometry import Backdrop, Hits
from vbanana_jax.scenes.primitives import Vector
from vbanana_jax.scenes.world import COLORS, MATERIALS, Scene

_OBJECT_RGB = np.array(list(COLORS.values()), np.float32) / 255
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
  details: Details | None = None,
) -> tuple[Vector, Vector]:
  """RGB in [0, 1] along rays, and unit normals (world; 0 for the sky).

  Args:
    scene: one scene.
    rays: world directions that advance one meter of depth.
    pixel: size of a pixel at 1 m (m).
    hits: of the rays with objects.
    backdrop: behind the objects.
    details: of photographs on the surfaces; None for plain ones.
  """
  points, normal, view, albedo, finish = _find_surface(
    scene, rays, pixel, hits, backdrop, details
  )
  t, is_sky = _find_depth(hits, backdrop)
  color = _illuminate(scene, points, normal, view, albedo, finish)
  sky = _sky(scene, rays)
  length = jnp.sqrt(_dot(rays, rays))
  haze = 1.0 - jnp.exp(-scene.fog[0] * t * length)
  rgb = tuple(
    jnp.clip(jnp.where(is_sky, s, c + haze * (fog - c)), 0.0, 1.0)
    for c, s, fog in zip(color, sky, scene.fog[1:])
  )
  return rgb, normal


def find_albedo(
  scene: Scene,
  rays: Vector,
  pixel: Float[Array, ''],
  hits: Hits,
  backdrop: Backdrop,
  details: Details | None = None,
) -> Vector:
  """Base color in [0, 1] along rays: as painted, without light; 0 for the sky.

  Args:
    scene: one scene.
    rays: as for `shade`.
    pixel: likewise.
    hits: likewise.
    backdrop: likewise.
    details: likewise.
  """
  _, _, _, albedo, _ = _find_surface(
    scene, rays, pixel, hits, backdrop, details
  )
  _, is_sky = _find_depth(hits, backdrop)
  return tuple(jnp.where(is_sky, 0.0, jnp.clip(a, 0.0, 1.0)) for a in albedo)


def _find_depth(hits: Hits, backdrop: Backdrop) -> tuple[Array, Array]:
  """Depth (m), 0 for the sky, and where the sky is."""
  t = jnp.minimum(hits.t, backdrop.t)
  is_sky = jnp.isinf(t)
  return jnp.where(is_sky, 0.0, t), is_sky


def _find_surface(scene, rays, pixel, hits, backdrop, details):
  """Points, normals, directions to the eye, base colors, gloss and metal."""
  is_object = hits.t < backdrop.t
  t, _ = _find_depth(hits, backdrop)
  eye = (0.0, scene.camera[0], 0.0)
  points = tuple(e + t * d for e, d in zip(eye, rays))
  slots = jnp.where(is_object, hits.slot, -1)
  attributes = jnp.concatenate(
    [
      jnp.asarray(_OBJECT_RGB)[scene.color],
      scene.material[:, None] == jnp.arange(len(MATERIALS)),
    ],
    -1,
  )
  normal, local, own = geometry.object_surface(scene, points, slots, attributes)
  normal = tuple(
    jnp.where(is_object, o, b) for o, b in zip(normal, backdrop.normal)
  )
  view = geometry.normalize(tuple(-d for d in rays))
  facing = jnp.maximum(_dot(normal, view), 0.1)
  width = pixel * t * lax.rsqrt(facing)
  share = _object_share(scene, slots, local, width)
  own_albedo = tuple(c * (1.0 - 0.5 * share) for c in own[:3])
  albedo = tuple(
    jnp.where(is_object, o, b)
    for o, b in zip(own_albedo, _backdrop_albedo(scene, backdrop, width))
  )
  if details is not None:
    factors = _find_details(details, is_object, slots, local, backdrop, width)
    albedo = tuple(jnp.minimum(a * f, 1.0) for a, f in zip(albedo, factors))
  finish = tuple(jnp.where(is_object, f, 0.0) for f in own[4:])
  return points, normal, view, albedo, finish


def _dot(a: Vector, b: Vector) -> Float[Array, 'r']:
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _sky(scene: Scene, rays: Vector) -> Vector:
  up = jnp.clip(2.0 * geometry.normalize(rays)[1], 0.0, 1.0)
  return tuple(low + up * (top - low) for low, top in scene.sky.T)


def _backdrop_albedo(scene: Scene, backdrop: Backdrop, width: Array) -> Vector:
  """Color of the floor, ground, walls and ceiling without light."""
  shares = [
    textures.paint(texture, backdrop.u, backdrop.v, width)
    for texture in scene.surface_texture
  ]

  def choose(floor, wall, ceiling):
    above = jnp.where(backdrop.part == 1, wall, ceiling)
    return jnp.where(backdrop.part == 0, floor, above)

  share = choose(*shares)
  first, second = (
    [choose(*channel) for channel in scene.surface_color[:, i].T]
    for i in range(2)
  )
  return tuple(a + share * (b - a) for a, b in zip(first, second))


def _object_share(
  scene: Scene, slots: Array, local: Vector, width: Array
) -> Array:
  """Patterns on objects: on upright planes through them, in their frame."""

  def patterned():
    texture = scene.texture[slots]
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


def _find_details(
  details: Details,
  is_object: Array,
  slots: Array,
  local: Vector,
  backdrop: Backdrop,
  width: Array,
) -> Vector:
  """Factors of base colors; objects lie on different parts of one photo."""
  own_u = _PATTERN_SCALE * (local[0] + 0.37 * local[2]) + 0.7 * slots
  own_v = _PATTERN_SCALE * (local[1] + 0.21 * local[2]) + 0.3 * slots
  return photo_details.look_up(
    details,
    jnp.where(is_object, photo_details.KINDS - 1, backdrop.part),
    jnp.where(is_object, own_u, backdrop.u),
    jnp.where(is_object, own_v, backdrop.v),
    jnp.where(is_object, _PATTERN_SCALE * width, width),
  )


def _illuminate(
  scene: Scene,
  points: Vector,
  normal: Vector,
  view: Vector,
  albedo: Vector,
  finish: tuple[Array, Array],
) -> Vector:
  lifted = tuple(p + _LIFT_M * n for p, n in zip(points, normal))

  def add(k, sums):
    light = scene.lights[k]
    center = tuple(light[:3])
    towards = geometry.normalize(tuple(l - p for p, l in zip(points, center)))
    halfway = geometry.normalize(tuple(a + b for a, b in zip(towards, view)))
    visible = _visible(scene, lifted, center, light[6])
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
  shiny, metallic = finish
  # Floors throw light back up, most of it at ceilings.
  up = 0.85 + 0.15 * normal[1] + 0.5 * jnp.maximum(-normal[1], 0.0)
  bounced = 2.0 * _dot(normal, view) * normal[1] - view[1]
  mirrored = 0.25 + 0.75 * jnp.clip(0.5 + 1.5 * bounced, 0.0, 1.0)
  color = []
  for c in range(3):
    matte = albedo[c] * (scene.ambient[c] * up + diffuse[c])
    metal = albedo[c] * (0.4 * matte + 0.65 * mirrored + 1.2 * specular[c])
    metal = metal + 0.25 * specular[c]
    color.append(matte + shiny * 0.6 * specular[c] + metallic * (metal - matte))
  return tuple(color)


def _visible(
  scene: Scene, points: Vector, center: Vector, radius: Float[Array, '']
) -> Float[Array, 'r']:
  """Share of the light in [0, 1] that the points see."""

  def soft():
    total = jnp.zeros_like(points[0])
    for corner in _CORNERS:
      light = tuple(c + radius * x for c, x in zip(center, corner))
      total = total + geometry.lit(scene, points, light)
    return total / len(_CORNERS)

  return lax.cond(radius > 0, soft, lambda: geometry.lit(scene, points, center))
