"""From nothing to a tuned generalist on a laptop.

Purpose: shows the whole journey at a size where it takes minutes.
Command: bash launch/quickstart.sh
Hardware: 2 CPU cores, 4 GB; eleven minutes with AVX-512 bf16, 26 with AVX2.
Expect: depth delta1 .80 to .88, normals 16 to 20 degrees, semantic mIoU .40 to
  .50, referring cIoU .25 to .45, instance pmF1 .10 to .15.
"""

from vbanana_jax.configs import base

ARGS = ('pretrain', 'tune', 'smoke')
PRETRAIN = {'generate': 1, 'edit': 1}
TUNE = {
  'generate': 2,
  'edit': 1,
  'depth': 2,
  'normals': 3,
  'semantic': 3,
  'referring': 6,
  'instance': 9,
}


def get_config(arg: str = 'tune'):
  words = base.parse_arg(arg, ARGS)
  config = base.get_base()
  config.data.short_text_length = 16
  config.eval.watch_sampled = 0  # sampling would take a minute of eleven
  if 'pretrain' in words:
    config.mixture.update(PRETRAIN)
    config.length = '3_456 examples'
  else:
    config.mixture.update(TUNE)
    config.length = '26_880 examples'
  return base.make_smoke(config) if 'smoke' in words else config
