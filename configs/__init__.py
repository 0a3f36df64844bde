"""Experiments, one file each, installed as `vbanana_jax.configs`.

A config is plain data: it imports neither jax nor the library, so it loads
in milliseconds. Run one by its name or by its path:

  vbanana train --config quickstart:pretrain --workdir runs/mine/pretrain
  vbanana train --config configs/quickstart.py:tune --workdir runs/mine/tune
"""
