"""Is this folder the benchmark that it should be?

Opens a sample of a split and looks for what goes wrong in practice: parts
that are missing, another unit, mirrored axes, damaged files.
"""

import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

from vbanana_jax.benchmark import protocol_file, protocols, questions, readers
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import TASKS
from vbanana_jax.tasks.benchmark import Benchmark, Finding

_SHOWN = 5  # damaged files that are listed one by one


def find_protocols(
  name: str, split: str | None = None
) -> list[protocols.Protocol]:
  """The protocol of that name, or all that read the benchmark `name`.

  Args:
    name: of a protocol, its file, or a benchmark.
    split: of the benchmark. Of a benchmark's protocols, those are taken whose
      own split it is, or else the first one.

  Raises:
    UserError: a name that is neither, and for an unknown split.
  """
  if protocol_file.is_named(name):
    return [protocols.load_protocol(name, split)]
  every = [
    protocols.load_protocol(title) for title in protocols.list_protocols()
  ]
  using = [protocol for protocol in every if protocol.reader == name]
  if not using:
    return [protocols.load_protocol(name, split)]
  own = [protocol for protocol in using if split in (None, protocol.split)]
  return own or [using[0].choose_split(split)]


def examine(
  protocol: protocols.Protocol, root: pathlib.Path, *, sample: int
) -> list[Finding]:
  """Checks one benchmark folder; `sample` examples are opened."""
  try:
    reader = questions.open_reader(protocol, root)
  except UserError as error:
    return [Finding(True, str(error))]
  return [
    *_check_list(protocol, reader.items),
    *_check_sample(protocol, reader, sample),
  ]


def make_text(protocol: protocols.Protocol, findings: Iterable[Finding]) -> str:
  """The report: one finding a line, faults marked."""
  findings = list(findings)
  faults = sum(bool(finding.is_fault) for finding in findings)
  verdict = (
    f'{faults} fault{"s" * (faults > 1)}' if faults else 'no fault found'
  )
  lines = [
    f'  {"FAULT" if finding.is_fault else "ok   "}  {finding.text}'
    for finding in findings
  ]
  return '\n'.join([f'{protocol.label}: {verdict}', *lines])


def _check_list(protocol, items) -> Iterator[Finding]:
  n, wanted = len(items), protocol.count
  if protocol.standard_split:
    yield Finding(
      False,
      f'split {protocol.split}; that of the protocol is '
      f'{protocol.standard_split}, and scores of another are marked',
    )
  if wanted is None:
    yield Finding(False, f'{n} examples; how many there should be is unknown')
  else:
    yield Finding(n != wanted, f'{n} examples, {wanted} in the protocol')
  digest = protocols.hash_ids(items)
  known = protocol.has_known_ids(items)
  if known is None:
    yield Finding(False, f'SHA-256 of the ids: {digest} (none to compare with)')
  elif known:
    yield Finding(False, 'ids are those of the protocol')
  elif n == wanted:  # of another number they cannot be
    yield Finding(
      True,
      'ids are not those of the protocol, though as many: other examples, or '
      'files under other names',
    )
  if not protocol.verified:
    yield Finding(False, 'layout known from documents, not from real files')


def _check_sample(protocol, reader, sample) -> Iterator[Finding]:
  chosen = np.unique(
    np.linspace(0, len(reader.items) - 1, sample).round().astype(int)
  )
  scoring = TASKS[protocol.task].benchmark
  tally = scoring.make_tally()
  damaged = []
  for item in (reader.items[i] for i in chosen):
    try:
      tally.add(_load(reader, scoring, item))  # the one truth that is held
    except UserError as error:
      damaged.append(str(error))
  for text in damaged[:_SHOWN]:
    yield Finding(True, text)
  if len(damaged) > _SHOWN:
    yield Finding(True, f'{len(damaged) - _SHOWN} more cannot be read')
  sound = len(chosen) - len(damaged)
  yield Finding(not sound, f'{sound} of {len(chosen)} opened are sound')
  if sound:
    yield from tally.judge(protocol)


def _load(
  reader: readers.Reader, scoring: Benchmark, item: readers.Item
) -> dict[str, np.ndarray]:
  """The truth, once it is known to be as large as the photograph."""
  truth = reader.load_truth(item)
  photo, labeled = reader.load_image(item).shape[:2], scoring.get_shape(truth)
  if photo != labeled:
    raise UserError(
      f'{item.id}: the photograph has {photo[1]} x {photo[0]} pixels and its '
      f'truth {labeled[1]} x {labeled[0]}: one of them was resized'
    )
  return truth
