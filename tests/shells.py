"""Shell scripts of launch/, run where nothing is installed.

A stub environment stands in for Python, so that nothing is installed: its
`python` and `vbanana` write their arguments to a log.
"""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).parent.parent

PYTHON_STUB = """#!/usr/bin/env bash
[[ $1 == -c ]] && exit {too_old:d}
printf 'python %s\\n' "$*" >>{log}
"""
VBANANA_STUB = """#!/usr/bin/env bash
printf 'vbanana %s\\n' "$*" >>{log}
case "$*" in *{fails_on}*) {failure} ;; esac
"""


def make_environment(
  folder, *, too_old=False, fails_on='-nothing-', failure='exit 3'
):
  """Makes a stub environment; returns variables that activate it, its log."""
  log = folder / 'log'
  log.touch()
  (folder / 'bin').mkdir()
  for name, text in (('python', PYTHON_STUB), ('vbanana', VBANANA_STUB)):
    stub = folder / 'bin' / name
    stub.write_text(
      text.format(log=log, too_old=too_old, fails_on=fails_on, failure=failure)
    )
    stub.chmod(0o755)
  home = folder / 'home'
  home.mkdir()
  return {
    'PATH': '/usr/bin:/bin',
    'HOME': str(home),
    'VIRTUAL_ENV': str(folder),
  }, log


def run_script(name, *args, env=None, cwd=None):
  return subprocess.run(
    ['bash', str(ROOT / 'launch' / name), *args],
    env=env,
    cwd=cwd,
    capture_output=True,
    text=True,
    timeout=60,
    stdin=subprocess.DEVNULL,
  )
