"""The network that comes with the package: `vb.open('scenes-nano')`.

Purpose: to have something to ask right after installation. It learns from
  drawn scenes of both levels and nothing else.
Command: vbanana train --config scenes_nano:pretrain
    --workdir runs/scenes_nano/pretrain
  vbanana train --config scenes_nano:tune --workdir runs/scenes_nano/tune
    --config.init_from=runs/scenes_nano/pretrain
  vbanana train --config scenes_nano:refine --workdir runs/scenes_nano/refine
    --config.init_from=runs/scenes_nano/tune
  vbanana evaluate --workdir runs/scenes_nano/refine
Hardware: 2 CPU cores with AVX-512 bf16, 4 GB; three hours.
Expect: docs/networks.md has its scores.
"""

from vbanana_jax.configs import base, quickstart

PRETRAIN = {'generate': 2, 'edit': 1}
TUNE = {
  'generate': 3,
  'edit': 3,
  'depth': 2,
  'normals': 3,
  'semantic': 4,
  'referring': 6,
  'instance': 7,
}


def get_config(arg: str = 'tune'):
  words = base.parse_arg(arg, (*quickstart.ARGS, 'refine'))
  config = base.get_base()
  config.sources.full = base.make_source('scenes', level='full')
  pretrain, refine = 'pretrain' in words, 'refine' in words
  for task, weight in (PRETRAIN if pretrain else TUNE).items():
    config.mixture[task] = float(weight)
    config.mixture[f'{task}@full'] = weight * (1.5 if refine else 1.0)
  config.data.short_text_length = 20
  config.data.text_length = 64
  config.loss.one_pass_share = 0.9
  config.length = '19_200 examples' if pretrain else '96_000 examples'
  if refine:
    config.seed = 2  # other scenes than before
    config.length = '192_000 examples'
  return base.make_smoke(config) if 'smoke' in words else config
