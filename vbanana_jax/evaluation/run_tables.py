"""Tables of a report: scores beside constants, and differences of runs."""

import numpy as np

from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import example_scores
from vbanana_jax.evaluation import results as results_file
from vbanana_jax.evaluation.run_curves import ARROW
from vbanana_jax.evaluation.scored_runs import ScoredRun, find_reason
from vbanana_jax.metrics import bootstrap
from vbanana_jax.report.tables import BETTER, SAME, WORSE, Cell, Table, to_text

_SIGN = {'max': 1.0, 'min': -1.0}
_OBEDIENCE = 'obedience'
_COLORS = 'color_distance'  # has a table of its own

Place = tuple[str, str]  # trial and metric
Intervals = dict[Place, tuple[float, float]]


def is_headline(place: Place) -> bool:
  """Whether a score is the one of its trial that a person looks at first."""
  trial, metric = place
  return metric in (results_file.get_headline(trial), _OBEDIENCE)


def list_places(runs: list[ScoredRun]) -> list[Place]:
  """What any of the runs was scored on, in order."""
  places = dict.fromkeys(place for run in runs for place in run.rows)
  return [place for place in places if place[1] != _COLORS]


def make_score_table(
  runs: list[ScoredRun], places: list[Place], name: str
) -> Table:
  """Scores of every run beside the best constant answer's."""
  rows = []
  for place in places:
    found = [run.rows.get(place) for run in runs]
    known = [row for row in found if row]
    constants = [row['constant'] for row in known]
    cells = [Cell(None) if row is None else _make_score(row) for row in found]
    rows.append(
      [
        _name_row(place, known[0]['better']),
        Cell(next((x for x in constants if x is not None), None)),
        *cells,
        *([Cell(known[0]['n'])] if len(runs) == 1 else []),
      ]
    )
  hint = (
    'Below each score its 95 % interval. Constant: the best constant answer '
    'for that metric, fitted on training scenes. Arrows point to better; ▲ is '
    'better than the constant, ▼ is not, and what has no constant to beat has '
    'neither.'
  )
  if len(runs) == 1:
    columns = ['score of', 'constant', 'score', 'n']
  else:
    columns = ['score of', 'constant', *(run.name for run in runs)]
  return Table(name, columns, rows, hint)


def find_pairs(runs: list[ScoredRun]) -> dict[str, Intervals]:
  """Of each run that is comparable with the first, intervals of pairs."""
  base, *others = runs
  return {
    run.name: _find_pairs(base, run)
    for run in others
    if not find_reason(base, run)
  }


def make_difference_table(
  runs: list[ScoredRun],
  places: list[Place],
  name: str,
  pairs: dict[str, Intervals],
) -> tuple[Table, list[str]]:
  """Differences from the first run, and why some are not there.

  Where both have what each example scored, the interval is of `find_pairs`.
  """
  base, *others = runs
  reasons = [reason for run in others if (reason := find_reason(base, run))]
  comparable = [run for run in others if run.name in pairs]
  unpaired, odd = set(), set()
  rows = []
  for place in places:
    row, cells = base.rows.get(place), []
    for run in comparable:
      other = run.rows.get(place)
      if row is None or other is None:
        cells.append(Cell(None))
        continue
      if row['n'] != other['n']:
        odd.add(f'{place[0]} ({row["n"]} examples of {base.name}, '
                f'{other["n"]} of {run.name})')  # fmt: skip
        cells.append(Cell(None))
        continue
      interval = pairs[run.name].get(place)
      if interval is None:
        interval = _find_unpaired(row, other)
        unpaired |= {' '.join(place)} if interval else set()
      cells.append(_make_difference(row, other, interval))
    if row is not None and any(cell.value is not None for cell in cells):
      rows.append([_name_row(place, row['better']), *cells])
  if odd:
    reasons.append(f'another number of examples: {"; ".join(sorted(odd))}')
  columns = [f'score, minus {base.name}', *(run.name for run in comparable)]
  return Table(name, columns, rows, _explain(base, rows, unpaired)), reasons


def _explain(base: ScoredRun, rows: list, unpaired: set[str]) -> str:
  total = sum(len(row) - 1 for row in rows)
  hint = (
    f'Each run minus {base.name}, with the 95 % interval of the difference '
    'over examples. ▲ better, ▼ worse; ≈: the interval holds 0, and the '
    f'difference is not told from none. If none of these {total} were real, '
    f'about {0.05 * total:.0f} would look so by chance. '
  )
  if not unpaired:
    return hint + 'Intervals are of pairs: the same examples in both.'
  if len(unpaired) == len(rows):
    return (
      hint + 'Intervals are unpaired, and wider than they need to be: one of '
      'the results was written without example_scores.npz; evaluate again.'
    )
  return (
    hint + 'Intervals are of pairs, the same examples in both, but for '
    f'{", ".join(sorted(unpaired))}.'
  )


def make_count_table(runs: list[ScoredRun]) -> Table:
  """Headline scores by number of objects."""
  counts = sorted(
    {
      int(count)
      for run in runs
      for found in run.results['by_count'].values()
      for count in found
    }
  )
  rows = []
  for trial in dict.fromkeys(t for r in runs for t in r.results['by_count']):
    metric = results_file.get_headline(trial)
    for run in runs:
      found = run.results['by_count'].get(trial, {})
      values = [found.get(str(count), {}).get(metric) for count in counts]
      if any(value is not None for value in values):
        label = _label(f'{trial} {metric}', run, runs)
        rows.append([Cell(label), *map(Cell, values)])
  columns = ['objects', *map(str, counts)]
  return Table('scores by number of objects', columns, rows)


def make_fact_table(runs: list[ScoredRun]) -> Table:
  """What of captions shows in generated pictures."""
  columns = ('asked', 'floor', 'held', 'ceiling', 'reached')
  rows = [
    [
      Cell(_label(f'{trial} {row["kind"]}', run, runs)),
      *(Cell(row[name]) for name in columns),
    ]
    for run in runs
    for trial, found in run.results.get('obedience', {}).items()
    for row in found
  ]
  return Table(
    'facts of captions',
    ['kind of fact', *columns],
    rows,
    'Facts that were asked of generated pictures, and shares that another '
    'network saw: in pictures of other captions (floor), in those painted for '
    'the captions (held), in true renderings (ceiling). Reached is how far '
    'from floor to ceiling held lies.',
  )


def make_color_table(runs: list[ScoredRun]) -> Table:
  """How far painted colors lie from legal ones."""
  places = dict.fromkeys(p for r in runs for p in r.rows if p[1] == _COLORS)
  rows = [
    [
      Cell(trial),
      *(Cell(run.rows.get(place, {}).get('value')) for run in runs),
    ]
    for place in places
    for trial in place[:1]
  ]
  one = len(runs) == 1
  names = ['8-bit levels'] if one else [run.name for run in runs]
  return Table(
    'painted colors',
    ['task', *names],
    rows,
    'How far painted colors lie from the nearest legal ones, in 8-bit levels: '
    '0 is exact, 255 is black for white.',
  )


def _label(text: str, run: ScoredRun, runs: list[ScoredRun]) -> str:
  return text if len(runs) == 1 else f'{text}, {run.name}'


def _name_row(place: Place, better: str | None) -> Cell:
  text = ' '.join(place)
  return Cell(text, f'{text} {ARROW[better]}'.strip())


def _make_score(row: dict) -> Cell:
  verdict = ''
  if row['constant'] is not None and row['better'] is not None:
    gain = (row['value'] - row['constant']) * _SIGN[row['better']]
    verdict = BETTER if gain > 0 else WORSE
  return Cell(row['value'], '', _get_interval(row), verdict)


def _make_difference(row: dict, other: dict, interval) -> Cell:
  difference = other['value'] - row['value']
  verdict = ''
  if interval:
    low, high = interval
    if low <= 0 <= high:
      verdict = SAME
    elif row['better'] is not None:
      gain = difference * _SIGN[row['better']]
      verdict = BETTER if gain > 0 else WORSE
  text = f'{"+" * (difference >= 0)}{to_text(float(difference))}'
  return Cell(difference, text, interval, verdict)


def _get_interval(row: dict) -> tuple[float, float] | None:
  return None if None in row['interval'] else tuple(row['interval'])


def _find_unpaired(row: dict, other: dict) -> tuple[float, float] | None:
  intervals = _get_interval(row), _get_interval(other)
  if None in intervals:
    return None
  return bootstrap.subtract_intervals(
    (row['value'], intervals[0]), (other['value'], intervals[1])
  )


def _find_pairs(base: ScoredRun, other: ScoredRun) -> Intervals:
  """Intervals of pairs, of what both have the examples' scores of."""
  found = {}
  for trial, before in base.states.items():
    after = other.states.get(trial, {})
    _check_states(base, trial, before)
    _check_states(other, trial, after)
    intervals = example_scores.find_paired_intervals(trial, before, after)
    for metric, interval in intervals.items():
      if np.isfinite(interval).all():
        found[trial, metric] = interval
  return found


def _check_states(
  run: ScoredRun, trial: str, states: example_scores.States
) -> None:
  """Raises UserError where the headline is not that of the results."""
  row = run.rows.get((trial, results_file.get_headline(trial)))
  if not states or row is None:
    return
  value = example_scores.summarize(trial, states)[row['metric']]
  if not np.isclose(value, row['value'], rtol=1e-4, atol=1e-6):
    raise UserError(
      f'{run.name_file("example_scores.npz")}: not of the results beside it '
      f'({trial} {row["metric"]} is {value:.4g} and {row["value"]:.4g}): '
      f'remove {run.path.name} and evaluate again'
    )
