"""`vbanana export --format safetensors`: weights in a folder to share."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

from vbanana_jax import models
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import model_card
from vbanana_jax.evaluation import results as tables
from vbanana_jax.runtime import files, logs, paths, processes
from vbanana_jax.training import (
  checkpoint_files,
  exported_weights,
  provenance,
  public_record,
  trained_folders,
  weights,
)


def export_network(
  workdir: pathlib.Path,
  out: pathlib.Path,
  *,
  results: Sequence[pathlib.Path] = (),
  overwrite: bool = False,
) -> list[pathlib.Path]:
  """Writes the newest averaged weights of a run, and all that is known of it.

  Args:
    workdir: of the run, or the folder that holds it as tune/, or an export.
    out: the folder to write.
    results: files of `vbanana evaluate` about it; those in the workdir if none
      are given.
    overwrite: whether an export of other weights may be replaced.

  Returns:
    paths of the files; config.json, which lists the others, is written last.

  Raises:
    UserError: the run has no weights or began from published ones, results are
      of other weights, or `out` cannot be written or holds something else.
  """
  run = trained_folders.find_run(workdir)
  record = provenance.load_run_json(run)
  _check_own(run, record['config'])
  if checkpoint_files.newest_step(out) is not None:
    raise UserError(f'--out {out} is the workdir of a run: choose another')
  files.check_folder(out)
  params = weights.load_run(run).params
  config = public_record.make_config(record['config'])
  content = {
    exported_weights.WEIGHTS: exported_weights.pack(params),
    exported_weights.RUN: _to_json(
      {**public_record.strip_places(record), 'config': config}
    ),
    exported_weights.METRICS: _copy_metrics(run),
  }
  about = {
    'config': config,
    'manifest': weights.make_manifest(config),
    'step': trained_folders.newest_step(run),
    'averaged': config['optim']['ema_decay'] > 0,
    'parameters': models.count_parameters(params),
    'trainings': public_record.describe_trainings(run),
  }
  versions = provenance.get_package_versions()
  listed = exported_weights.list_files(content)
  about = {'format': exported_weights.FORMAT, **about, 'files': listed}
  if not overwrite:
    wanted = json.loads(json.dumps(about))
    others = (exported_weights.CARD, *content)
    files.check_free(out / exported_weights.CONFIG, wanted, others)
  scores = load_scores(workdir, run, results, listed)
  card = model_card.make_card(out.name, about, scores)
  content[exported_weights.CARD] = card.encode()
  content[exported_weights.CONFIG] = _to_json({**about, 'versions': versions})
  return files.write_together({out / k: data for k, data in content.items()})


def _check_own(run: pathlib.Path, config: dict[str, Any]) -> None:
  """Raises UserError where weights are a change of published ones."""
  if config['model']['snapshot']:
    raise UserError(
      f'{run} began from published weights: --format diffusers or peft writes '
      'it for others, and --format safetensors only networks of our own'
    )


def _to_json(content: Any) -> bytes:
  return (json.dumps(content, indent=2) + '\n').encode()


def _copy_metrics(run: pathlib.Path) -> bytes:
  rows = logs.load_metrics(run / exported_weights.METRICS)
  lines = (json.dumps(public_record.strip_places(row)) for row in rows)
  return ''.join(f'{line}\n' for line in lines).encode()


def load_scores(
  workdir: pathlib.Path,
  run: pathlib.Path,
  named: Sequence[pathlib.Path],
  listed: dict[str, dict[str, Any]],
) -> list[model_card.Scores]:
  """Results that are of a run's weights, or of what is exported of them.

  Args:
    workdir, run: see `export_network`.
    named: files that have to be of them.
    listed: of the export, see `exported_weights.list_files`.

  Raises:
    UserError: a file is no results, or one of `named` is of other weights.
  """
  step = trained_folders.newest_step(run)
  digest = listed[exported_weights.WEIGHTS]['sha256']
  rounded = exported_weights.name_weights(digest, step)
  there = dict.fromkeys(
    path for folder in (workdir, run) for path in _find_results(folder)
  )
  found = []
  for path in named or there:
    results = tables.load_results(path)
    told = results['weights'].partition(',')[0]
    if told in (rounded, trained_folders.identify(run)):
      found.append(model_card.Scores(results, told == rounded))
    elif named:
      raise UserError(
        f'--results {path} is of other weights ({told}) than {run}: evaluate '
        'it, or leave the file out'
      )
    else:
      processes.log(f'{path} is of other weights, and is left out')
  return found


def _find_results(folder: paths.Path) -> list[paths.Path]:
  return sorted(folder.glob('results*.json')) if folder.is_dir() else []
