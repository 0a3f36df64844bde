"""Our benchmark results beside published ones, each with its known caveat."""

import dataclasses
import json
import pathlib
import string
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PATH = pathlib.Path(__file__).parents[1] / 'protocols' / 'published.json'

_WIDTH = 100
_NAME_WIDTH = 38
_CELL_WIDTH = 15
_MARKS = {
  'T': 'trained in the domain',
  'I': 'needs the camera intrinsics',
  'i': 'trained with intrinsics',
  'M': 'another model in front',
}
_MOST_METRICS = 3  # columns of a block
_NOTHING = 'not measured here'


@dataclasses.dataclass(frozen=True)
class Published:
  """One system's published numbers on one benchmark.

  Attributes:
    benchmark: name of our protocol for it, without its version.
    system: as its authors call it.
    metrics: values by our names, in our units (fractions, degrees).
    source: table of a paper, or a page.
    trained_in_domain: whether it saw the benchmark's training split.
    intrinsics: 'inference', 'training' or 'none': when it needs those of the
      camera; None where the question does not arise.
    extra_model: what stands in front of it, if anything does.
    difference: from our protocol, as far as known.
  """

  benchmark: str
  system: str
  metrics: Mapping[str, float]
  source: str
  trained_in_domain: bool
  intrinsics: str | None
  extra_model: str | None
  difference: str

  @property
  def marks(self) -> str:
    """Letters of what sets the system apart; `_MARKS` spells them out."""
    found = {
      'T': self.trained_in_domain,
      'I': self.intrinsics == 'inference',
      'i': self.intrinsics == 'training',
      'M': self.extra_model is not None,
    }
    return ''.join(mark for mark, holds in found.items() if holds)


@dataclasses.dataclass
class _Block:
  """One benchmark: rows of text cells, notes by letter, letters by source."""

  title: str
  metrics: list[str]
  rows: list[list[str]] = dataclasses.field(default_factory=list)
  facts: list[str] = dataclasses.field(default_factory=list)
  notes: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)

  def refer(self, note: str, source: str) -> str:
    """Letter of a note, which it gets if it is new."""
    letter = string.ascii_lowercase[len(self.notes)]
    return self.notes.setdefault((note, source), letter)

  def write_notes(self) -> list[str]:
    """What is known of our rows, the notes, and where they are from."""
    by_source: dict[str, list[str]] = {}
    for (_, source), letter in self.notes.items():
      by_source.setdefault(source, []).append(letter)
    sources = (f'{", ".join(by)}: {name}' for name, by in by_source.items())
    return [
      *self.facts,
      *(f'{letter}: {note}' for (note, _), letter in self.notes.items()),
      *([f'sources: {"; ".join(sources)}'] if by_source else []),
    ]


def load_published() -> tuple[Published, ...]:
  """The numbers of the paper and of its rivals, in the order of the tables."""
  rows = json.loads(PATH.read_text(encoding='utf-8'))['results']
  return tuple(Published(**row) for row in rows)


def find_rivals(
  published: Iterable[Published], ours: Iterable[Mapping[str, Any]]
) -> list[Published]:
  """What was published on the benchmarks that we have results of."""
  scored = {_name_block(result) for result in ours}
  return [row for row in published if row.benchmark in scored]


def make_protocol_table(
  published: Iterable[Published], ours: Iterable[Mapping[str, Any]]
) -> str:
  """Plain text of at most 100 columns, one block a benchmark, ours first.

  Args:
    published: as from `load_published`.
    ours: results as grading writes them: protocol, version, n, complete,
      predictions, passes, metrics {name: {value, interval}}, single_pass,
      constants, git, known_difference. Benchmarks without one say so.
  """
  lines, published = [], list(published)
  for block in _make_blocks(published, ours):
    head = [block.title, *block.metrics, '', '']
    lines += [_write_line(row).rstrip() for row in (head, *block.rows)]
    for note in block.write_notes():
      lines += _wrap(note, '  ')
    lines.append('')
  marks = _wrap(_explain_marks()) if published else []
  return '\n'.join([*lines, *marks])


def make_protocol_markdown(
  published: Iterable[Published], ours: Iterable[Mapping[str, Any]]
) -> str:
  """The same as Markdown tables, for documents."""
  lines = []
  for block in _make_blocks(published, ours):
    head = ['system', *block.metrics, 'marks', 'notes']
    rule = ['---', *['---:'] * len(block.metrics), '---', '---']
    lines += [f'### {block.title}', '']
    lines += [f'| {" | ".join(row)} |' for row in (head, rule, *block.rows)]
    lines += ['', *(f'- {note}' for note in block.write_notes()), '']
  return '\n'.join([*lines, _explain_marks()])


def _make_blocks(
  published: Iterable[Published], ours: Iterable[Mapping[str, Any]]
) -> list[_Block]:
  theirs: dict[str, list[Published]] = {}
  for row in published:
    theirs.setdefault(row.benchmark, []).append(row)
  own: dict[str, list[Mapping[str, Any]]] = {}
  for result in ours:
    own.setdefault(_name_block(result), []).append(result)
  return [
    _make_block(name, theirs.get(name, []), own.get(name, []))
    for name in dict.fromkeys((*own, *theirs))
  ]


def _name_block(result: Mapping[str, Any]) -> str:
  """The benchmark; another split than the protocol's is a block of its own.

  So it never stands beside published numbers.
  """
  if result.get('split') == result.get('standard_split'):
    return result['protocol']
  return f'{result["protocol"]}, split {result["split"]}'


def _make_block(
  name: str,
  theirs: Sequence[Published],
  own: Sequence[Mapping[str, Any]],
) -> _Block:
  metrics = list(dict.fromkeys(m for row in theirs for m in row.metrics))
  if not metrics:
    metrics = list(own[0].get('headline') or own[0]['metrics'])
  block = _Block(name, metrics[:_MOST_METRICS])
  for result in own:
    _add_ours(block, result)
  if not own:
    cells = [''] * len(block.metrics)
    block.rows.append([f'ours: {_NOTHING}', *cells, '', ''])
  for row in theirs:
    cells = [_write_printed(row.metrics.get(m)) for m in block.metrics]
    letter = block.refer(row.difference, row.source)
    block.rows.append([row.system, *cells, row.marks, letter])
  return block


def _add_ours(block: _Block, result: Mapping[str, Any]) -> None:
  """Rows of one result and of its single pass, each with its intervals."""
  passes = int(result['passes'])
  answers = [(f'ours, {passes} pass{"es" * (passes > 1)}', result['metrics'])]
  if result.get('single_pass'):
    answers.append(('ours, first pass alone', result['single_pass']))
  note = result.get('known_difference')
  letter = block.refer(note, 'our protocol') if note else ''
  for label, metrics in answers:
    cells = [metrics.get(metric, {}) for metric in block.metrics]
    if result['complete'] is False:
      label += ' (PARTIAL)'
    values = [_write(cell.get('value')) for cell in cells]
    spreads = [_write_interval(cell.get('interval')) for cell in cells]
    block.rows.append([label, *values, '', letter])
    block.rows.append(['  95 % interval', *spreads, '', ''])
  if constants := result.get('constants'):
    cells = [_write(constants.get(metric)) for metric in block.metrics]
    block.rows.append(['best constant answer', *cells, '', ''])
  block.facts.append(f'ours: {_describe(result)}')


def _describe(result: Mapping[str, Any]) -> str:
  """Where a result comes from, in one line."""
  git = result.get('git') or {}
  facts = [f'protocol version {result["version"]}', f'n {result["n"]}']
  if result.get('split') != result.get('standard_split'):
    facts.append(
      f'split {result["split"]} and not {result["standard_split"]}, not '
      'comparable with published numbers'
    )
  if result['complete'] is False:
    facts.append('a part of the benchmark, not comparable')
  elif result['complete'] is None:
    facts.append('nobody has said how many there are')
  facts.append(str(result['predictions']))
  if result.get('painted'):
    facts.append(f'weights {result["painted"]["settings"].get("weights")}')
  if result.get('decoder'):
    facts.append(f'decoder {result["decoder"].get("name")}')
  changed = ', changed' if git.get('changed') == 'yes' else ''
  facts.append(f'commit {str(git.get("commit", "unknown"))[:10]}{changed}')
  jax_version = (result.get('versions') or {}).get('jax', 'unknown')
  facts.append(f'jax {jax_version}')
  if result.get('date'):
    facts.append(str(result['date']).replace('T', ' '))
  return '; '.join(facts)


def _write_printed(value: float | None) -> str:
  return '-' if value is None else f'{value:.6g}'


def _write(value: float | None) -> str:
  """Three places, and fewer from 10 on, so that an interval fits a column."""
  if value is None:
    return '-'
  places = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
  return f'{value:.{places}f}'


def _write_interval(interval: Sequence[float | None] | None) -> str:
  if interval is None or None in interval:
    return '-'
  return ' to '.join(_write(end) for end in interval)


def _write_line(row: Sequence[str]) -> str:
  name, *cells, marks, letter = row
  columns = ''.join(f'{cell:>{_CELL_WIDTH}}' for cell in cells)
  if len(name) > _NAME_WIDTH:  # a line of its own
    name = f'{name}\n{"":<{_NAME_WIDTH}}'
  return f'{name:<{_NAME_WIDTH}}{columns}  {marks:<4}{letter}'


def _wrap(text: str, indent: str = '') -> list[str]:
  return textwrap.wrap(
    text,
    _WIDTH,
    initial_indent=indent,
    subsequent_indent=f'{indent}   ',
    break_on_hyphens=False,
  )


def _explain_marks() -> str:
  marks = ', '.join(f'{mark}: {text}' for mark, text in _MARKS.items())
  return f'{marks}. -: not published. Values as printed by their authors.'
