"""The page of a scored run, or of several side by side."""

import dataclasses
import html
import json
import os
import pathlib
import shlex
from collections.abc import Sequence
from typing import Any

from vbanana_jax.evaluation import results as results_file
from vbanana_jax.evaluation import run_curves, run_examples, run_tables
from vbanana_jax.evaluation.scored_runs import ScoredRun, load_runs
from vbanana_jax.report import charts, facts, gallery, page, tables
from vbanana_jax.runtime import files, logs

_NONE = object()  # where a config lacks a field
_LOG_ROWS = 12  # shown of a log
_LOG_KEYS = ('step', 'loss', 'gradient_norm', 'images_per_second', 'seconds')
_STEMS = ('results.json', 'gallery.npz', 'example_scores.npz')
_FILES = ('run.json', 'metrics.jsonl', 'scores.jsonl', 'parameters.txt')


def write_report(
  workdirs: Sequence[pathlib.Path], out: pathlib.Path
) -> pathlib.Path:
  """Writes the page of workdirs that hold results.json; the first is the base.

  Args:
    workdirs: of one run, or of several to compare.
    out: the file, to which links are relative.

  Raises:
    UserError: a folder holds no results, or ones that cannot be read.
  """
  runs = load_runs(workdirs)
  files.check_folder(out.parent)
  title, head = _make_head(runs)
  sections = [
    *_make_score_sections(runs),
    page.Section('Examples'),
    _make_curve_section(runs),
    _make_more_section(runs),
    _make_config_section(runs),
    _make_run_section(runs, out),
  ]
  taken = len(page.make_page(title, head, sections).encode())
  examples, notes = run_examples.make_kept_rows(runs)
  examples = {**run_examples.make_galleries(runs), **examples}
  for trial in (trial for run in runs for trial in run.gallery):
    notes[trial] = results_file.get_task(trial).note
  parts = gallery.draw_galleries(examples, notes, page.MAX_BYTES - taken)
  sections = [
    dataclasses.replace(each, parts=parts) if each.title == 'Examples' else each
    for each in sections
  ]
  return page.write_page(out, title, head, sections)


def _make_head(runs: Sequence[ScoredRun]) -> tuple[str, str]:
  """The page's title, and what stands below it, with a line a run."""
  told = (
    'One set of weights answers every task. Scores are of averaged weights on '
    'scenes never trained on; @k marks answers sampled in k steps. '
  )
  base = runs[0]
  title = base.name
  if len(runs) == 1:
    told += results_file.describe_scores(base.results)
  else:
    title = f'{", ".join(run.name for run in runs[1:])} against {base.name}'
    told += (
      f'{base.name} is the baseline: differences are of the others minus it. '
      'Intervals are over these examples; another training can differ by more.'
    )
  colors = run_curves.get_colors(runs)
  lines = [
    (run.name, colors.get(run.name, ''), _describe_shortly(run)) for run in runs
  ]
  return title, f'<p>{html.escape(told)}</p>{facts.draw_names(lines)}'


def _describe_shortly(run: ScoredRun) -> str:
  results = run.results
  steps = ' + '.join(f'{x["step"]:,}' for x in results['phases'].values())
  parts = [f'{steps} steps'] if steps else []
  parts += [f'{results["eval_set"]}, level {results["level"]}']
  parts += [f'commit {results.get("git", {}).get("commit", "unknown")[:10]}']
  return ', '.join(parts)


def _make_run_section(
  runs: Sequence[ScoredRun], out: pathlib.Path
) -> page.Section:
  cards = []
  for number, run in enumerate(runs):
    results = run.results
    git = results.get('git', {})
    about: dict[str, str] = {
      'scored on': f'{results["eval_set"]}, level {results["level"]}',
      'weights': results['weights'],
    }
    for name, phase in results['phases'].items():
      about[name] = (
        f'{phase["step"]:,} steps in {facts.to_clock(phase["seconds"])}, '
        f'{results_file.describe_data(phase)}'
      )
    about['evaluation'] = facts.to_clock(results['seconds'])
    about['scored at commit'] = _describe_commit(git)
    details = {}
    for phase, folder in run.folders.items():
      details |= _describe_training(phase, folder, about)
    names = [run.name_file(stem).name for stem in _STEMS]
    links = facts.find_links(run.workdir, names, out)
    for folder in run.folders.values():
      links |= facts.find_links(folder, _FILES, out)
    details['versions'] = facts.draw_facts(results['versions'])
    details['all of the config'] = facts.draw_facts(
      facts.flatten(results['config'])
    )
    role = ' (baseline)' if len(runs) > 1 and not number else ''
    color = run_curves.get_colors(runs).get(run.name, '')
    cards.append(facts.draw_card(run.name + role, color, about, links, details))
  return page.Section('Runs', f'<div class="cards">{"".join(cards)}</div>')


def _describe_commit(git: dict[str, str]) -> str:
  changed = {'yes': ', with changes', 'no': ''}.get(git.get('changed', ''), '')
  return f'{git.get("commit", "unknown")}{changed}'


def _describe_training(
  phase: str, folder: pathlib.Path, about: dict[str, str]
) -> dict[str, str]:
  """What unfolds of a phase: its commands and its log; its commit is added."""
  details = {}
  path = folder / 'run.json'
  if path.exists():
    record = logs.load_json(path)
    about[f'{phase} at commit'] = _describe_commit(record.get('git', {}))
    commands = [record.get('command', [])]
    commands += [each['command'] for each in record.get('resumed', [])]
    lines = [_write_command(words) for words in commands if words]
    details[f'command of {phase}'] = facts.draw_text('\n'.join(lines))
  rows = logs.load_metrics(folder / 'metrics.jsonl')
  details[f'log of {phase}'] = tables.draw_table(make_log_table(phase, rows))
  return details


def _write_command(words: list[str]) -> str:
  """What a person types: the program by its name."""
  program, *others = words
  return shlex.join([os.path.basename(program), *others])


def make_log_table(phase: str, rows: list[dict[str, Any]]) -> tables.Table:
  """Lines of a metrics.jsonl at even distances, the last one among them."""
  stride = -(-len(rows) // _LOG_ROWS) or 1
  keys = [key for key in _LOG_KEYS if any(key in row for row in rows)]
  return tables.Table(
    f'log of {phase}',
    [key.replace('_', ' ') for key in keys],
    [
      [tables.Cell(row.get(key)) for key in keys]
      for row in rows[::-1][::stride][::-1]
    ],
    f'{len(rows)} lines are in metrics.jsonl; these are at even distances.',
  )


def _make_score_sections(runs: list[ScoredRun]) -> list[page.Section]:
  places = run_tables.list_places(runs)
  headline = [place for place in places if run_tables.is_headline(place)]

  def draw(short, every):
    """The headlines, and all of them behind a title."""
    more = every.name.replace('all', f'all {len(places)}', 1)
    folded = page.fold(more, tables.draw_table(every), printed=True)
    return tables.draw_table(short) + folded

  scores = (
    run_tables.make_score_table(runs, headline, 'scores'),
    run_tables.make_score_table(runs, places, 'all scores'),
  )
  sections = [page.Section('Scores', draw(*scores))]
  if len(runs) > 1:
    pairs = run_tables.find_pairs(runs)
    short, reasons = run_tables.make_difference_table(
      runs, headline, 'differences', pairs
    )
    every, _ = run_tables.make_difference_table(
      runs, places, 'all differences', pairs
    )
    told = (facts.draw_warning(f'Not compared: {why}.') for why in reasons)
    body = ''.join(told) + draw(short, every)
    sections.append(page.Section('Differences', body))
  return sections


def _make_curve_section(runs: list[ScoredRun]) -> page.Section:
  parts = {}
  for title, found in run_curves.make_curves(runs).items():
    drawn = ''.join(
      f'<figure>{charts.draw_chart(chart)}</figure>' for chart in found
    )
    body = f'<div class="curves">{drawn}</div>'
    shown = title in (run_curves.SCORES, run_curves.COURSE)
    parts[title] = body if shown else page.fold(title.lower(), body)
  hint = '' if parts else '<p class="hint">No log of a training is there.</p>'
  return page.Section('Curves', hint, parts)


def _make_more_section(runs: list[ScoredRun]) -> page.Section:
  made = {
    'By number of objects': run_tables.make_count_table(runs),
    'Facts of captions': run_tables.make_fact_table(runs),
    'Painted colors': run_tables.make_color_table(runs),
  }
  drawn = {title: tables.draw_table(table) for title, table in made.items()}
  return page.Section(
    'More tables',
    parts={
      title: page.fold(f'{len(made[title].rows)} rows', body, printed=True)
      for title, body in drawn.items()
      if body
    },
  )


def _make_config_section(runs: list[ScoredRun]) -> page.Section:
  """The fields in which the configs differ."""
  configs = [facts.flatten(run.results['config']) for run in runs]
  rows = []
  for key in dict.fromkeys(key for config in configs for key in config):
    values = [config.get(key, _NONE) for config in configs]
    if any(value != values[0] for value in values):
      words = [None if x is _NONE else _write_value(x) for x in values]
      rows.append([tables.Cell(key), *map(tables.Cell, words)])
  columns = ['field', *(run.name for run in runs)]
  table = tables.Table('differences of configs', columns, rows)
  title = f'{len(rows)} fields'
  drawn = page.fold(title, tables.draw_table(table), printed=True)
  return page.Section('Configs that differ', drawn)


def _write_value(value: Any) -> str:
  """Of a config; words without quotes, but for no words."""
  is_words = isinstance(value, str) and value
  return value if is_words else json.dumps(value)
