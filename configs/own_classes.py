"""Classes of your own, from photographs with painted masks.

Purpose: teaches a tuned network to find what you have painted. All else that
  it knows stays in the mixture at a low weight, so that it is not forgotten.
Command: vbanana prepare label_folders rooms --split train --out data/rooms
  vbanana train --config own_classes --workdir runs/rooms
    --config.init_from=runs/hour/tune --config.sources.mine.path=data/rooms
  vbanana predict photo.jpg --task semantic --classes table,lamp
    --workdir runs/rooms
Hardware: 2 CPU cores, 4 GB.
Expect: docs/labeled_sets.md has a training on CamVid. Small things are missed
  at 64 pixels in patches of 8.
"""

from vbanana_jax.configs import base

SCENES = {
  'depth': 0.5,
  'normals': 0.5,
  'semantic': 0.5,
  'referring': 0.5,
  'instance': 0.5,
}


def get_config(arg: str = ''):
  words = base.parse_arg(arg, ('smoke',))
  config = base.get_base()
  config.sources.mine = base.make_source(
    'records',
    # Each name has one color, which is learned by heart: sooner than to read
    # any color from the legend, as 'quick', 'full' and 'numbers' teach.
    style='fixed',
    # The names of one legend. Of more classes each legend has some, and
    # answers about all of them are asked for in parts.
    least_classes=2,
    most_classes=20,
    # Small things drown in a one-pass answer unless they weigh more.
    class_balance=0.5,
  )
  # Few pictures have to look like many.
  config.sources.mine.augment.update(
    {
      'crop_scale': (0.4, 1.0),
      'crop_ratio': (0.8, 1.25),
      'flip': 0.5,
      'gamma': 0.3,
      'brightness': 0.15,
      'contrast': 0.15,
      'saturation': 0.2,
    }
  )
  config.mixture.update(SCENES)
  config.mixture['semantic@mine'] = 10.0
  # A name and its color take seven tokens. Legends that are longer than this
  # lose names.
  config.data.text_length = 160
  config.data.short_text_length = 40
  config.length = '38_400 examples'
  return base.make_smoke(config) if 'smoke' in words else config
