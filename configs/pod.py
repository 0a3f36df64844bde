"""A run for a pod: a larger network, larger pictures, all kinds of scenes.

Purpose: where a run of many devices begins; `vbanana plan --config pod` says
  which slices hold it. All of its batches have one length, so that each
  process makes its own rows alone.
Command: vbanana train --config pod:pretrain --workdir runs/pod/pretrain
  vbanana train --config pod:tune --workdir runs/pod/tune
    --config.init_from=runs/pod/pretrain
  vbanana evaluate --workdir runs/pod
Hardware: a slice of 16 to 256 chips, or GPU nodes; docs/pods.md.
Expect: not run yet; no scores. Lengths and learning rates are guesses from
  the small network.
"""

from vbanana_jax.configs import base, quickstart


def get_config(arg: str = 'tune'):
  words = base.parse_arg(arg, quickstart.ARGS)
  config = base.get_base()
  config.mixture.update(
    quickstart.PRETRAIN if 'pretrain' in words else quickstart.TUNE
  )
  config.image_size = 256
  config.batch_size = 256  # and that of eval: what up to 256 devices can share
  config.length = '4_000_000 examples'
  config.log_every = '50 steps'
  config.save_every = '1000 steps'
  config.model.size = 'base'
  config.model.patch = 16
  config.sources.scenes.level = 'full'
  config.data.text_length = config.model.max_text
  config.data.short_text_length = 0
  config.eval.batch_size = 256
  # A batch is padded to its size: whole ones cost no more.
  config.eval.sampled_limit = 256
  config.eval.watch = 256
  return base.make_smoke(config) if 'smoke' in words else config
