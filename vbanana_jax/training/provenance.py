"""Where a run comes from: run.json, which says how to repeat it."""

import hashlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess
import sys
from typing import Any

import jax

from vbanana_jax.config import complete_sources
from vbanana_jax.configs import base
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import logs, paths, processes

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

# Sections of a config, beside the sources, that may lack what is newer.
_FILLED = ('eval', 'model', 'loss')


def get_versions() -> dict[str, str]:
  """Python, platform, device and package versions."""
  versions = {
    'python': platform.python_version(),
    'platform': f'{platform.system()} {platform.machine()}',
    'device': f'{jax.device_count()} x {jax.devices()[0].device_kind}',
    'cores': str(os.cpu_count()),
  }
  return versions | get_package_versions()


def get_package_versions() -> dict[str, str]:
  """Versions of what decides the numbers."""
  versions = {}
  for package in PACKAGES:
    try:
      versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      versions[package] = 'not installed'
  return versions


def get_code() -> dict[str, dict[str, str]]:
  """What a result was computed with: `versions` and `git`."""
  return {'versions': get_versions(), 'git': get_git_state()}


def get_git_state() -> dict[str, str]:
  """Commit of the source tree, and a hash of what was changed since.

  Returns:
    `commit`; `changed`, yes or no; and where it was, `difference`: the SHA-256
    of the difference to the commit and of all new files of the package.
    'unknown' where the package does not lie in a repository of its own.
  """
  folder = pathlib.Path(__file__).parents[1]

  def git(*words: str) -> bytes:
    done = subprocess.run(
      ['git', '-C', str(folder), *words], capture_output=True
    )
    return done.stdout if done.returncode == 0 else b''

  if shutil.which('git') is None or not git('ls-files', '__init__.py'):
    return {'commit': 'unknown', 'changed': 'unknown'}
  state = {'commit': git('rev-parse', 'HEAD').decode().strip()}
  if not git('status', '--porcelain'):
    return {**state, 'changed': 'no'}
  found = hashlib.sha256(git('diff', 'HEAD', '--binary'))
  new = git('ls-files', '--others', '--exclude-standard', '-z')
  for name in sorted(filter(None, new.decode().split('\0'))):
    found.update(name.encode() + (folder / name).read_bytes())
  return {**state, 'changed': 'yes', 'difference': found.hexdigest()}


def get_topology(mesh: jax.sharding.Mesh) -> dict[str, Any]:
  """Devices, processes, and the mesh that the devices form."""
  return {
    'device': mesh.devices.flat[0].device_kind,
    'devices': mesh.size,
    'processes': jax.process_count(),
    'mesh': dict(mesh.shape),
  }


def save_run_json(
  workdir: pathlib.Path,
  config: dict[str, Any],
  mesh: jax.sharding.Mesh,
  *,
  start_step: int,
) -> None:
  """Writes run.json: everything that a reader needs to repeat the run.

  Where a run goes on, the record of its start stays, but for the config, and
  `resumed` gets one more of {step, command, git, versions, topology}. Of
  several processes the first one writes.

  Args:
    workdir: of the run.
    config: as it is now, with every default.
    mesh: the devices.
    start_step: number of finished updates; 0 where a run begins.
  """
  if not processes.is_first():
    return
  from vbanana_jax.data import build  # brings grain: predict needs neither

  path = workdir / 'run.json'
  now = {
    'command': sys.argv,
    **get_code(),
    'topology': get_topology(mesh),
  }
  if not start_step:
    data = build.describe_data(config)
    logs.save_json(path, {'config': config, 'data': data, **now})
    return
  before = load_run_json(workdir)
  resumed = [*before.get('resumed', []), {'step': start_step, **now}]
  logs.save_json(path, {**before, 'config': config, 'resumed': resumed})


def load_run_json(workdir: paths.Path) -> dict[str, Any]:
  """A workdir's run.json.

  Settings of its sources, network, loss and scores that are newer than the run
  have their defaults, with which all is what it was before there was the
  setting.

  Raises:
    UserError: it holds no config, or one that this version does not know.
  """
  path = workdir / 'run.json'
  run = logs.load_json(path)
  config = run.get('config') if isinstance(run, dict) else None
  if not (isinstance(config, dict) and config):
    raise UserError(f'{path} holds no config: bring it back from a copy')
  if 'sources' not in config:
    raise UserError(
      f'{path} is of an earlier version, whose configs had no sources: train '
      'again, or use the version that it names'
    )
  try:
    sources = complete_sources(config['sources'])
  except UserError as error:
    raise UserError(
      f'{path} is of another version: {error}; use the version that it names'
    ) from error
  defaults = base.get_base().to_dict()
  filled = {
    name: {**defaults[name], **config[name]}
    for name in _FILLED
    if name in config
  }
  return {**run, 'config': {**config, **filled, 'sources': sources}}
