"""The quickstart's model, trained for an hour.

Purpose: what the same small network reaches when it is given time.
Command: vbanana train --config cpu_hour:pretrain --workdir runs/hour/pretrain
  vbanana train --config cpu_hour:tune --workdir runs/hour/tune
    --config.init_from=runs/hour/pretrain
  vbanana evaluate --workdir runs/hour
Hardware: 2 CPU cores with AVX-512 bf16, 4 GB; an hour.
Expect: depth delta1 .97, normals 9 degrees, semantic mIoU .85, referring cIoU
  .75, instance pmF1 .5.
"""

from vbanana_jax.configs import base, quickstart


def get_config(arg: str = 'tune'):
  words = base.parse_arg(arg, quickstart.ARGS)
  config = quickstart.get_config(arg)
  if 'smoke' not in words:
    config.length = (
      '14_400 examples' if 'pretrain' in words else '144_000 examples'
    )
  return config
