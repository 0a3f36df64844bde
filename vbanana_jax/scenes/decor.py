"""Colors of surfaces and lights, drawn for one scene."""

import math

import numpy as np

from vbanana_jax.scenes.levels import MAX_LIGHTS, Level
from vbanana_jax.scenes.placement import Draws


def draw_pale_pair(draw: Draws, grassy: bool) -> list[list[float]]:
  """A pale color and a darker one of the same hue: objects stand out."""
  base = draw.between(0.62, 0.92)
  tint = [draw.between(-0.07, 0.07) for _ in range(3)]
  if grassy:
    base, tint = draw.between(0.45, 0.65), [t + 0.04 for t in tint]
    tint[draw.below(2)] += 0.06  # sand and soil, or grass
  darker = draw.between(0.66, 0.82)
  light = [min(max(base + t, 0.0), 1.0) for t in tint]
  return [light, [darker * value for value in light]]


def draw_lights(
  level: Level, draw: Draws, outdoor: bool, room: tuple[float, ...]
) -> np.ndarray:
  """Lights as in `Scene.lights`: a sun, or lamps within the room."""
  lights = np.zeros((MAX_LIGHTS, 7), np.float32)
  number = 1 + draw.below(level.max_lights)
  if outdoor:  # a sun far away
    azimuth = draw.between(-1.9, 1.9)  # 0: behind the camera
    elevation = math.radians(draw.between(30.0, 70.0))
    flat = 200.0 * math.cos(elevation)
    lights[0, :3] = (
      flat * math.sin(azimuth),
      200.0 * math.sin(elevation),
      -flat * math.cos(azimuth),
    )
    lights[0, 3:] = (0.78, 0.74, 0.66, draw.between(2.0, 12.0))
    return lights
  for i in range(number):
    power = draw.between(0.6, 0.72) * (1.0 if number == 1 else 1.15 / number)
    warmth = draw.between(-0.06, 0.06)
    across = draw.between(0.8 * room[0], 0.8 * room[1])
    along = draw.between(-1.2, 2.6)
    cos, sin = math.cos(room[5]), math.sin(room[5])
    lights[i, :3] = (
      cos * across - sin * along,
      min(draw.between(3.0, 4.6), room[4] - 0.4),
      sin * across + cos * along,
    )
    radius = draw.between(0.08, 0.35) if level.soft_shadows else 0.0
    color = (power * (1 + warmth), power, power * (1 - warmth))
    lights[i, 3:] = (*color, radius)
  return lights
