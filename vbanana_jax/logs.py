"""What a run writes down: progress bar, metrics.jsonl, run.json."""

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

import jax
import tqdm

from vbanana_jax.errors import UserError

PACKAGES = (
  'vbanana-jax',
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'orbax-checkpoint',
  'grain',
  'numpy',
)


def get_versions() -> dict[str, str]:
  """Python, platform, device and package versions."""
  versions = {
    'python': platform.python_version(),
    'platform': f'{platform.system()} {platform.machine()}',
    'device': f'{jax.device_count()} x {jax.devices()[0].device_kind}',
    'cores': str(os.cpu_count()),
  }
  for package in PACKAGES:
    try:
      versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      versions[package] = 'not installed'
  return versions


def get_git_state() -> dict[str, str]:
  """Commit of the source tree and whether it was changed since."""

  def git(*words: str) -> str:
    done = subprocess.run(
      ['git', '-C', str(pathlib.Path(__file__).parent), *words],
      capture_output=True,
      text=True,
    )
    return done.stdout.strip() if done.returncode == 0 else ''

  return {
    'commit': git('rev-parse', 'HEAD') or 'unknown',
    'changed': 'yes' if git('status', '--porcelain') else 'no',
  }


def save_json(path: pathlib.Path, content: Any) -> None:
  """Writes JSON beside `path` and renames it there."""
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(path.name + '.part')
  temporary.write_text(json.dumps(content, indent=2, sort_keys=False) + '\n')
  temporary.replace(path)


def load_json(path: pathlib.Path) -> Any:
  """Reads JSON; a broken file is a UserError that names it."""
  try:
    return json.loads(path.read_text())
  except (OSError, ValueError) as error:
    raise UserError(f'{path} cannot be read as JSON: {error}') from error


def save_run(workdir: pathlib.Path, config: dict[str, Any]) -> None:
  """Writes run.json: everything that a reader needs to repeat the run."""
  save_json(
    workdir / 'run.json',
    {
      'config': config,
      'command': sys.argv,
      'git': get_git_state(),
      'versions': get_versions(),
    },
  )


class MetricsLog:
  """Appends one JSON object a line to metrics.jsonl.

  On resume, lines past the step that training starts from are dropped: they
  are about to be written again.
  """

  def __init__(self, workdir: pathlib.Path, *, start_step: int):
    self.path = workdir / 'metrics.jsonl'
    kept = [row for row in load_metrics(self.path) if row['step'] <= start_step]
    self.seconds = kept[-1]['seconds'] if kept else 0.0
    self.waited = kept[-1]['waited'] if kept else 0.0
    self.cpu_seconds = kept[-1]['cpu_seconds'] if kept else 0.0
    text = ''.join(json.dumps(row) + '\n' for row in kept)
    temporary = self.path.with_name(self.path.name + '.part')
    temporary.write_text(text)
    temporary.replace(self.path)

  def write(self, row: dict[str, Any]) -> None:
    """One line, on disk when this returns."""
    with self.path.open('a') as file:
      file.write(json.dumps(row) + '\n')


def load_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
  """All whole lines; a line cut short by a kill is left out."""
  if not path.exists():
    return []
  text = path.read_text()
  return [
    json.loads(line)
    for line in text[: text.rfind('\n') + 1].split('\n')
    if line
  ]


def make_bar(total: int, initial: int, name: str) -> tqdm.tqdm:
  """Progress bar on stderr; plain sparse lines where there is no terminal."""
  return tqdm.tqdm(
    total=total,
    initial=initial,
    desc=name,
    unit='step',
    dynamic_ncols=True,
    mininterval=0.5 if sys.stderr.isatty() else 20.0,
  )
