"""What every measurement's command does: options, result, JSON, table.

A measurement is a file of this folder with a function `measure`, whose keyword
arguments are the command's options and whose result holds `tables` (see
`perf.tables`) and whatever else its JSON should say. Without options the JSON
is perf/results/NAME.json, which documents cite; with any it is
runs/perf/NAME.json, so that a smaller run replaces no published number.
"""

import argparse
import importlib.metadata
import inspect
import os
import pathlib
import sys
import typing
from collections.abc import Callable
from typing import Any

from perf import tables, timing
from vbanana_jax import cli
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import logs
from vbanana_jax.training import provenance

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / 'perf' / 'results'
OTHER_RESULTS = ROOT / 'runs' / 'perf'

_CPU_INFO = pathlib.Path('/proc/cpuinfo')
# What a peer runs on; only what is installed is named.
_PEERS = ('torch', 'hilbertmap', 'libtpu', 'pillow')
# What changes how fast a process is, from outside.
_SETTINGS = ('XLA_FLAGS', 'GLIBC_TUNABLES')
_DOT_FLAGS = ('avx512f', 'avx512_bf16', 'amx_bf16')


def run_main(measure: Callable[..., Any], *, quick: dict[str, Any]) -> None:
  """Measures as the command line says, prints the tables, writes the JSON.

  Args:
    measure: returns a result.
    quick: its arguments with `--quick`, for rough numbers.
  """
  # Not by its module: run by name, it is whatever program runs it.
  name = pathlib.Path(inspect.getfile(measure)).stem
  parser = make_parser(measure, measure.__globals__['__doc__'])
  options = vars(parser.parse_args())
  output = options.pop('output')
  if options.pop('quick'):
    options |= quick
  cli.use_compilation_cache()
  try:
    result = measure(**options)
  except UserError as error:
    sys.exit(f'perf.{name}: {error}')
  path = save(name, result, output=output)
  print(f'{tables.make_tables(result)}\n{path}')


def make_parser(
  measure: Callable[..., Any], about: str
) -> argparse.ArgumentParser:
  """Options by the names, types and defaults of a function's arguments."""
  parser = argparse.ArgumentParser(
    description=about, formatter_class=argparse.RawTextHelpFormatter
  )
  hints = typing.get_type_hints(measure)
  for name, parameter in inspect.signature(measure).parameters.items():
    flag, default = f'--{name.replace("_", "-")}', parameter.default
    if isinstance(default, bool):
      parser.add_argument(
        flag, action=argparse.BooleanOptionalAction, default=default
      )
      continue
    kind, many = hints[name], None
    if typing.get_origin(kind) is tuple:
      kind, many = typing.get_args(kind)[0], '+'
    parser.add_argument(
      flag, type=kind, nargs=many, default=default, help=f'[{default}]'
    )
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  parser.add_argument('--output', type=pathlib.Path, help='JSON to write')
  return parser


def save(
  name: str, result: dict[str, Any], output: pathlib.Path | None = None
) -> pathlib.Path:
  """Writes a result with its command, machine and source, and says where.

  Args:
    name: of the measurement.
    result: of its `measure`.
    output: the file; see this module if not given.
  """
  folder = OTHER_RESULTS if sys.argv[1:] else RESULTS
  path = output or folder / f'{name}.json'
  path.parent.mkdir(parents=True, exist_ok=True)
  content = {
    'command': make_command(name),
    **result,
    'machine': describe_machine(),
    'git': provenance.get_git_state(),
  }
  logs.save_json(path, content)
  return path


def load(name: str) -> dict[str, Any]:
  """A committed result."""
  return logs.load_json(RESULTS / f'{name}.json')


def make_command(name: str) -> str:
  """The command of this process, without where its output goes."""
  words, skip = [f'python -m perf.{name}'], False
  for word in sys.argv[1:]:
    if not (skip or word.startswith('--output')):
      words.append(word)
    skip = word == '--output'
  return ' '.join(words)


def describe_machine() -> dict[str, Any]:
  """Device, cores, their dot instructions, versions, and the load now.

  Returns:
    what `provenance.get_versions` says, and of peers that are installed;
    `usable_cores`; `cpu` and `cpu_flags`; `load_average` of 1, 5 and 15
    minutes, this process included; `settings` of the environment, if any.
  """
  machine: dict[str, Any] = dict(provenance.get_versions())
  for package in _PEERS:
    try:
      machine[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      continue
  machine['usable_cores'] = timing.count_cores()
  if _CPU_INFO.exists():
    text = _CPU_INFO.read_text()
    models = [line for line in text.splitlines() if 'model name' in line]
    machine['cpu'] = models[0].split(':')[1].strip() if models else 'unknown'
    machine['cpu_flags'] = [f for f in _DOT_FLAGS if f in set(text.split())]
  machine['settings'] = {
    name: os.environ[name] for name in _SETTINGS if name in os.environ
  }
  machine['load_average'] = [round(load, 2) for load in os.getloadavg()]
  return machine
