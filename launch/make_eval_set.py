"""Freezes the held-out set: writes vbanana_jax/protocols/eval_v2.json, once.

  python launch/make_eval_set.py

Takes some seconds. The file is committed and never written again: a change
to scenes, language or tasks that moves its digests needs an eval_v3.
"""

import sys

from vbanana_jax.evaluation import held_out

LEVELS = ('quick', 'full')


def main() -> None:
  if held_out.PROTOCOL_PATH.exists():
    sys.exit(f'{held_out.PROTOCOL_PATH} is frozen already; nothing is done')
  eval_sets = [
    held_out.freeze_eval_set(level, n=512, size=64, prefix_n=32)
    for level in LEVELS
  ]
  held_out.PROTOCOL_PATH.parent.mkdir(exist_ok=True)
  held_out.save_eval_sets(eval_sets, held_out.PROTOCOL_PATH)


if __name__ == '__main__':
  main()
