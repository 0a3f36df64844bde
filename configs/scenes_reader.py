"""The network that says what a painted picture shows: `scenes-reader`.

Purpose: looks for the facts of captions in generated pictures. It has another
  seed than `scenes_nano`, never sees a painted picture and never paints one.
Command: vbanana train --config scenes_reader --workdir runs/scenes_reader
  vbanana evaluate --workdir runs/scenes_reader
Hardware: 2 CPU cores with AVX-512 bf16, 4 GB; half an hour.
Expect: docs/networks.md has its scores.
"""

from vbanana_jax.configs import base

MIXTURE = {'semantic': 1, 'referring': 4, 'instance': 3}


def get_config(arg: str = ''):
  words = base.parse_arg(arg, ('smoke',))
  config = base.get_base()
  config.seed = 1
  config.sources.full = base.make_source('scenes', level='full')
  for task, weight in MIXTURE.items():
    config.mixture[task] = config.mixture[f'{task}@full'] = float(weight)
  config.data.short_text_length = 20
  config.data.text_length = 64
  config.loss.one_pass_share = 1.0
  config.length = '28_800 examples'
  return base.make_smoke(config) if 'smoke' in words else config
