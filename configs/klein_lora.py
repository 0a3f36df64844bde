"""An adapter (LoRA) of FLUX.2 klein base, tuned on all tasks.

Purpose: as `klein_full`, at a fraction of its memory: the transformer is
  frozen, and gradients, moments and averages are those of the adapter.
Command: vbanana import klein FLUX.2-klein-base-4B --out imports/klein_4b
  vbanana train --config klein_lora --config.model.snapshot=imports/klein_4b
    --workdir runs/klein_lora
  vbanana export --format diffusers --workdir runs/klein_lora --out adapter
Hardware: a v5e chip of 16 GB holds a batch of 1 where config.model.text_cache
  has what the text encoder makes (`vbanana cache`): 10.8 GiB by the compiler.
  With the text encoder in memory it does not fit, 15.9 of 15.8 GiB.
Expect: never run with published weights; lengths and learning rates are
  guesses.
"""

from vbanana_jax.configs import klein_full


def get_config(arg: str = ''):
  config = klein_full.get_config(arg)
  config.model.lora.rank = 32
  config.model.lora.targets = 'blocks'
  config.optim.adam_learning_rate = 1e-4
  return config
