"""The process that compiles, so that it can be stopped: see `compiler.py`.

Reads JSON, one object a line: first `config` and `topology`, then an `ask` (a
method of `Programs`) with its `args`. To each ask it answers one line, with
`value` (a number, or the fields of a `Program`), `refused` or `failed`. It ends
with the process that started it, however that one ends.
"""

import ctypes
import dataclasses
import json
import os
import signal
import sys

import jax

from vbanana_jax.errors import UserError
from vbanana_jax.plan.programs import Programs
from vbanana_jax.plan.topologies import find_topology

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def main() -> None:
  """Answers until its input ends."""
  end_with_parent()
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)  # the compiler's own words are no answers
  jax.config.update('jax_platforms', 'cpu')
  first = json.loads(sys.stdin.readline())
  programs = Programs(first['config'], find_topology(first['topology']))
  for line in sys.stdin:
    print(json.dumps(_answer(programs, json.loads(line))), file=answers)
    answers.flush()
    jax.clear_caches()


def end_with_parent() -> None:
  """A compilation does not notice that nobody waits for it."""
  ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
  if os.getppid() != int(sys.argv[1]):  # it has ended already
    sys.exit()


def _answer(programs: Programs, asked: dict) -> dict:
  try:
    value = getattr(programs, asked['ask'])(*asked['args'])
  except UserError as error:
    return {'refused': str(error)}
  except jax.errors.JaxRuntimeError as error:
    return {'failed': str(error).splitlines()[0]}
  return {
    'value': value if isinstance(value, float) else dataclasses.asdict(value)
  }


if __name__ == '__main__':
  main()
