"""FLUX.2 klein base, an open generator, tuned on all tasks.

Purpose: starts from published weights instead of a pretraining of one's own.
Command: vbanana import klein FLUX.2-klein-base-4B --out imports/klein_4b
  vbanana train --config klein_full --config.model.snapshot=imports/klein_4b
    --workdir runs/klein
Hardware: v5e-16 or v5p-8: 10 GiB of 15.8 a chip of the first, by the compiler;
  docs/open_weights.md has hours and prices on paper.
Mixture: scenes of the level `full` alone; add records of your own.
Expect: never run with published weights; lengths and learning rates are
  guesses.
"""

from vbanana_jax.configs import base, quickstart


def get_config(arg: str = ''):
  words = base.parse_arg(arg, ('smoke',))
  config = base.get_base()
  config.mixture.update(quickstart.TUNE)
  config.image_size = 512
  config.batch_size = 16
  config.length = '200_000 examples'
  config.log_every = '50 steps'
  config.save_every = '1000 steps'
  config.sources.scenes.level = 'full'
  config.model.family = 'klein'
  config.model.remat = 'full'
  config.model.max_text = 512  # as the base was trained, pads included
  config.data.text_length = config.model.max_text
  config.loss.times = 'uniform'
  config.loss.shift = 'flux1'  # as the base was trained
  config.optim.name = 'adamw'
  config.optim.adam_learning_rate = 1e-5
  config.optim.decay = 0.2
  config.eval.batch_size = 16
  config.eval.sampled_steps = 50
  config.eval.retention.prompts = (
    'a cat asleep on a wooden chair; a street at night in the rain; '
    'a bowl of oranges, oil painting; a sign that says "open"'
  )
  config.eval.retention.guidance = 4.0
  return base.make_smoke(config) if 'smoke' in words else config
