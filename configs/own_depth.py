"""Depth of your own camera, from its photographs and its depth pictures.

Purpose: teaches a tuned network the distances of the places that your camera
  has seen. Pixels without a depth count for nothing. Depth of scenes stays in
  the mixture: it is exact, and ends nowhere.
Command: vbanana prepare rgbd rooms --derive-normals --out data/rooms
  vbanana train --config own_depth --workdir runs/rooms
    --config.init_from=runs/hour/tune --config.sources.camera.path=data/rooms
  vbanana predict photo.jpg --task depth --workdir runs/rooms
Hardware: 2 CPU cores, 4 GB.
Expect: docs/labeled_depth.md has one training of half this length. Meters are
  those of one camera: a picture does not say by itself how wide it looks.
"""

from vbanana_jax.configs import base

SCENES = {
  'depth': 3,
  'normals': 2,
  'semantic': 1,
  'referring': 1,
  'instance': 1,
}


def get_config(arg: str = ''):
  words = base.parse_arg(arg, ('smoke',))
  config = base.get_base()
  config.sources.camera = base.make_source('records')
  # A crop looks as through a longer lens, with the meters unchanged: little of
  # it, or none where the distances have to be those of the whole picture.
  config.sources.camera.augment.update(
    {
      'crop_scale': (0.8, 1.0),
      'flip': 0.5,
      'gamma': 0.3,
      'brightness': 0.15,
      'saturation': 0.2,
      'noise': 0.02,
    }
  )
  config.mixture.update(SCENES)
  config.mixture['depth@camera'] = 8.0
  config.mixture['normals@camera'] = 2.0  # 0 without --derive-normals
  config.data.short_text_length = 16
  config.length = '38_400 examples'
  return base.make_smoke(config) if 'smoke' in words else config
