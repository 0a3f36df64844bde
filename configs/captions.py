"""Image generation on photographs with captions, and scenes beside them.

Purpose: shows that real pictures are one more source of the same mixture. A
  photograph with several captions is asked for by another one each time.
Command: vbanana prepare image_folder photos.zip --out data/photos
  vbanana train --config captions --workdir runs/captions
    --config.sources.photos.path=data/photos
Hardware: 2 CPU cores, 4 GB.
Expect: docs/labeled_sets.md has a training of two thirds of this length. The
  pictures get the colors and the large shapes of photographs; what the caption
  says hardly matters.
"""

from vbanana_jax.configs import base


def get_config(arg: str = ''):
  words = base.parse_arg(arg, ('smoke',))
  config = base.get_base()
  config.sources.photos = base.make_source('records')
  # What a caption says of the place of things has to stay true: no crops.
  config.sources.photos.augment.flip = 0.5
  config.mixture['generate@photos'] = 2.0
  config.mixture.generate = 1.0
  config.data.short_text_length = 16
  config.length = '28_000 examples'
  return base.make_smoke(config) if 'smoke' in words else config
