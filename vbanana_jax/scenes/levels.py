"""Names of what a scene can hold, and the named distributions of scenes."""

import dataclasses

import numpy as np

OBJECTS = (
  'sphere',
  'box',
  'cylinder',
  'cone',
  'torus',
  'pyramid',
  'capsule',
  'ellipsoid',
)
SURFACES = ('floor', 'wall', 'ceiling', 'ground', 'sky')
CLASSES = SURFACES + OBJECTS  # a semantic id is an index into CLASSES
COLORS = {
  'red': (214, 36, 36),
  'orange': (248, 134, 24),
  'yellow': (246, 220, 40),
  'green': (44, 158, 58),
  'cyan': (44, 204, 214),
  'blue': (36, 76, 208),
  'purple': (132, 52, 176),
  'pink': (248, 140, 190),
  'brown': (116, 68, 36),
  'white': (244, 244, 244),
  'black': (40, 40, 46),
}
MATERIALS = ('matte', 'shiny', 'metal')
SIZES = ('small', 'medium', 'large')
TEXTURES = ('plain', 'checker', 'stripes', 'bricks', 'noise')
MAX_OBJECTS = 12
MAX_LIGHTS = 3
TILE_M = 0.5  # edge of a floor tile, height of a brick, width of a stripe

# Half extents (m) at size 'medium'; an object of one class and size always
# has the same dimensions, so that metric scale can be read from the image.
_MEDIUM_HALF_EXTENT_M = {
  'sphere': (0.37, 0.37, 0.37),
  'box': (0.40, 0.34, 0.32),
  'cylinder': (0.27, 0.42, 0.27),
  'cone': (0.36, 0.46, 0.36),
  'torus': (0.46, 0.14, 0.46),
  'pyramid': (0.42, 0.42, 0.42),
  'capsule': (0.22, 0.50, 0.22),
  'ellipsoid': (0.50, 0.30, 0.36),
}
_SIZE_FACTORS = (0.7, 1.0, 1.4)
HALF_EXTENT_M = np.array(
  [
    [np.multiply(_MEDIUM_HALF_EXTENT_M[name], s) for s in _SIZE_FACTORS]
    for name in OBJECTS
  ],
  np.float32,
)  # [class, size, xyz]


@dataclasses.dataclass(frozen=True)
class Level:
  """A named distribution of scenes; ranges are `(low, high)`."""

  name: str
  classes: tuple[str, ...]  # of objects
  surfaces: tuple[str, ...]
  max_objects: int
  colors: tuple[str, ...]
  materials: tuple[str, ...]
  object_textures: tuple[str, ...]
  floor_textures: tuple[str, ...]
  wall_textures: tuple[str, ...]
  outdoor_share: float
  stacked_share: float  # of objects, where something can carry them
  max_lights: int
  soft_shadows: bool
  fog_share: float
  camera_height_m: tuple[float, float]
  pitch_deg: tuple[float, float]
  roll_deg: tuple[float, float]
  fov_deg: tuple[float, float]  # vertical
  wall_m: tuple[float, float]  # distance of the back wall
  room_height_m: tuple[float, float]
  distance_m: tuple[float, float]  # of objects
  apparent_height: tuple[float, float]  # of objects, in image heights
  separation: float  # 1: apparent boxes of objects are disjoint, 0: anything

  @property
  def semantic_classes(self) -> tuple[str, ...]:
    """Names that can occur in the semantic map."""
    return self.surfaces + self.classes


LEVELS = {
  'quick': Level(
    name='quick',
    classes=OBJECTS[:3],
    surfaces=('floor', 'wall'),
    max_objects=6,
    colors=tuple(COLORS)[:8],
    materials=('matte', 'shiny'),
    object_textures=('plain',),
    floor_textures=('checker',),
    wall_textures=('bricks', 'stripes'),
    outdoor_share=0.0,
    stacked_share=0.15,
    max_lights=1,
    soft_shadows=False,
    fog_share=0.0,
    camera_height_m=(1.2, 1.8),
    pitch_deg=(-22.0, -10.0),
    roll_deg=(-3.0, 3.0),
    fov_deg=(46.0, 58.0),
    wall_m=(4.5, 8.0),
    room_height_m=(100.0, 100.0),  # the ceiling is never in view
    distance_m=(1.8, 5.6),
    apparent_height=(0.13, 0.46),
    separation=0.8,
  ),
  'full': Level(
    name='full',
    classes=OBJECTS,
    surfaces=SURFACES,
    max_objects=MAX_OBJECTS,
    colors=tuple(COLORS),
    materials=MATERIALS,
    object_textures=('plain', 'plain', 'plain', 'checker', 'stripes', 'noise'),
    floor_textures=('checker', 'checker', 'stripes', 'bricks', 'noise'),
    wall_textures=('plain', 'stripes', 'bricks', 'bricks', 'noise'),
    outdoor_share=0.4,
    stacked_share=0.2,
    max_lights=MAX_LIGHTS,
    soft_shadows=True,
    fog_share=0.3,
    camera_height_m=(0.8, 2.2),
    pitch_deg=(-24.0, 0.0),
    roll_deg=(-8.0, 8.0),
    fov_deg=(40.0, 72.0),
    wall_m=(4.0, 10.0),
    room_height_m=(2.5, 3.6),
    distance_m=(1.6, 8.0),
    apparent_height=(0.07, 0.5),
    separation=0.4,
  ),
}
