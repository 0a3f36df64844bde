"""Is this folder the benchmark that it should be?

Opens a sample of a split and looks for what goes wrong in practice: parts
that are missing, another unit, mirrored axes, damaged files.
"""

import pathlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from vbanana_jax.data import protocols, questions, readers
from vbanana_jax.errors import UserError
from vbanana_jax.grading.tasks import get_shape

_SHOWN = 5  # damaged files that are listed one by one
# Correlations beyond this, on the wrong side, are not chance.
_MIRRORED = 0.2
_MOST_BEYOND = 0.5  # of measured pixels; more means another unit
_FEW = 4  # pictures below which a sample proves nothing about axes


class Finding(NamedTuple):
  """One line of the report.

  Attributes:
    is_fault: whether it makes scores wrong.
    text: what was found, and the remedy.
  """

  is_fault: bool
  text: str


def find_protocols(name: str) -> list[protocols.Protocol]:
  """The protocol of that name, or all that read the benchmark `name`.

  Errors: UserError for a name that is neither.
  """
  every = [
    protocols.load_protocol(title) for title in protocols.list_protocols()
  ]
  using = [protocol for protocol in every if protocol.reader == name]
  return using or [protocols.load_protocol(name)]


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
  return '\n'.join([f'{protocol.title}: {verdict}', *lines])


def _check_list(protocol, items) -> Iterator[Finding]:
  n, wanted = len(items), protocol.count
  if wanted is None:
    yield Finding(False, f'{n} examples; how many there should be is unknown')
  else:
    yield Finding(n != wanted, f'{n} examples, {wanted} in the protocol')
  digest = protocols.hash_ids(items)
  if protocol.ids_sha256 is None:
    yield Finding(False, f'SHA-256 of the ids: {digest} (none to compare with)')
  else:
    same = protocol.ids_sha256 == digest
    yield Finding(not same, f'ids are {"" if same else "not "}the known ones')
  if not protocol.verified:
    yield Finding(False, 'layout known from documents, not from real files')


def _check_sample(protocol, reader, sample) -> Iterator[Finding]:
  chosen = np.unique(
    np.linspace(0, len(reader.items) - 1, sample).round().astype(int)
  )
  truths, damaged = [], []
  for item in (reader.items[i] for i in chosen):
    try:
      truths.append(_load(reader, item))
    except UserError as error:
      damaged.append(str(error))
  for text in damaged[:_SHOWN]:
    yield Finding(True, text)
  if len(damaged) > _SHOWN:
    yield Finding(True, f'{len(damaged) - _SHOWN} more cannot be read')
  yield Finding(not truths, f'{len(truths)} of {len(chosen)} opened are sound')
  if truths:
    yield from _CHECKS[protocol.task](protocol, truths)


def _load(reader: readers.Reader, item: readers.Item) -> dict[str, np.ndarray]:
  """The truth, once it is known to be as large as the photograph."""
  truth = reader.load_truth(item)
  photo, labelled = reader.load_image(item).shape[:2], get_shape(truth)
  if photo != labelled:
    raise UserError(
      f'{item.id}: the photograph has {photo[1]} x {photo[0]} pixels and its '
      f'truth {labelled[1]} x {labelled[0]}: one of them was resized'
    )
  return truth


def _check_depth(protocol, truths) -> Iterator[Finding]:
  depths = [t['depth_m'][t['depth_m'] > 0] for t in truths]
  measured = np.mean([(t['depth_m'] > 0).mean() for t in truths])
  yield Finding(measured == 0, f'{measured:.1%} of pixels are measured')
  if measured and protocol.cap_m:
    beyond = np.mean(np.concatenate(depths) > protocol.cap_m)
    yield Finding(
      beyond > _MOST_BEYOND,
      f'{beyond:.1%} of them lie beyond the cap of {protocol.cap_m:g} m',
    )
  if measured:
    low, median, high = np.percentile(np.concatenate(depths), (1, 50, 99))
    yield Finding(
      not 0.2 < median < 100,
      f'depth: median {median:.3g} m, 98 % within {low:.3g} to {high:.3g} m',
    )
  slope = _correlate(truths, 'depth_m', axis=0)
  if len(truths) >= _FEW and np.isfinite(slope):
    yield Finding(
      slope > _MIRRORED,
      f'depth grows towards the {"bottom" if slope > 0 else "top"} '
      f'(correlation with the row {slope:+.2f}): photographs stand '
      f'{"on their heads" if slope > _MIRRORED else "upright"}',
    )


def _check_normals(protocol, truths) -> Iterator[Finding]:
  del protocol
  valid = np.mean([t['normals'].any(-1).mean() for t in truths])
  yield Finding(valid == 0, f'{valid:.1%} of pixels have a normal')
  if not valid or len(truths) < _FEW:
    return
  # Walls at the left face right, and floors, at the bottom, face up.
  for name, component, axis, sign in (
    ('x (right)', 0, 1, -1),
    ('y (up)', 1, 0, 1),
  ):
    slope = _correlate(truths, 'normals', axis=axis, component=component)
    mirrored = sign * slope < -_MIRRORED
    yield Finding(
      mirrored,
      f'normals: {name} goes with the {"column" if axis else "row"} by '
      f'{slope:+.2f}, expected {"negative" if sign < 0 else "positive"}'
      + (': this axis is mirrored' if mirrored else ''),
    )


def _check_semantic(protocol, truths) -> Iterator[Finding]:
  del protocol
  labels = np.concatenate([t['semantic'].ravel() for t in truths])
  used = np.unique(labels[labels != 255])
  share = (labels != 255).mean()
  yield Finding(share == 0, f'{share:.1%} of pixels have a class')
  yield Finding(False, f'classes met: {", ".join(map(str, used))}')


def _check_referring(protocol, truths) -> Iterator[Finding]:
  del protocol
  shares = np.array([t['mask'].mean() for t in truths])
  yield Finding(
    bool((shares == 0).all()),
    f'masks: median {np.median(shares):.1%} of the picture, '
    f'{(shares == 0).sum()} empty',
  )


def _check_instance(protocol, truths) -> Iterator[Finding]:
  del protocol
  counts = [int(t['masks'].any((2, 3)).sum(1).max()) for t in truths]
  yield Finding(
    False,
    f'instances: {np.mean(counts):.1f} an example, at most {max(counts)}; '
    f'{counts.count(0)} without any',
  )


_CHECKS = {
  'depth': _check_depth,
  'normals': _check_normals,
  'semantic': _check_semantic,
  'referring': _check_referring,
  'instance': _check_instance,
}


def _correlate(truths, key, *, axis, component=None) -> float:
  """Mean correlation of valid values with the row (axis 0) or column (1)."""
  slopes = []
  for truth in truths:
    values = truth[key] if component is None else truth[key][..., component]
    valid = truth[key] > 0 if component is None else truth[key].any(-1)
    place = np.indices(values.shape)[axis][valid]
    values = values[valid]
    if values.size > 1 and values.std() > 0 and place.std() > 0:
      slopes.append(np.corrcoef(place, values)[0, 1])
  return float(np.mean(slopes)) if slopes else float('nan')
