"""Image generation on photographs and scenes together.

Purpose: shows that real pictures are one more source of the same mixture.
Command: vbanana prepare image_folder cifar10_train.zip --out data/cifar10
  vbanana train --config photos --workdir runs/photos
    --config.sources.photos.path=data/cifar10
Hardware: 2 CPU cores, 4 GB.
"""

from vbanana_jax.configs import base


def get_config(arg: str = ''):
  words = base.parse_arg(arg, ('smoke',))
  config = base.get_base()
  config.mixture.generate = 1.0
  config.data.short_text_length = 16
  config.sources.photos = base.make_source('records')
  config.mixture['generate@photos'] = 2.0
  config.length = '28_000 examples'
  return base.make_smoke(config) if 'smoke' in words else config
