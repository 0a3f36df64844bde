"""What is found out about a snapshot: a number, and whether it will do."""

import json
import math
from collections.abc import Iterable
from typing import NamedTuple

_WIDTH = 50  # of what was looked at


class Finding(NamedTuple):
  """One line of the report.

  Attributes:
    about: what was looked at.
    passed: whether it is as it should be; None where it was not looked at.
    found: what it is, in words.
    wanted: what it should be, in words; '' where nothing is asked.
    value: the number that was judged, if there is one.
  """

  about: str
  passed: bool | None
  found: str
  wanted: str = ''
  value: float | None = None


def judge(
  about: str,
  value: float,
  unit: str,
  least: float = -math.inf,
  most: float = math.inf,
) -> Finding:
  """A number that has to lie between two others; NaN never does."""
  ends = []
  if least > -math.inf:
    ends.append(f'at least {least:g}')
  if most < math.inf:
    ends.append(f'at most {most:g}')
  found = f'{value:.4g} {unit}'.strip()
  return Finding(
    about, least <= value <= most, found, ' and '.join(ends), value
  )


def make_line(finding: Finding) -> str:
  """A line of the report, whose columns are as wide in every line."""
  word = {True: 'pass', False: 'FAIL', None: '-'}[finding.passed]
  wanted = f'  ({finding.wanted})' if finding.wanted else ''
  return f'{word:4}  {finding.about:{_WIDTH}}  {finding.found}{wanted}'


def to_json(findings: Iterable[Finding]) -> str:
  """The same for programs: a list of objects; what is no number is null."""
  rows = [each._asdict() for each in findings]
  for row in rows:
    if row['value'] is not None and not math.isfinite(row['value']):
      row['value'] = None
  return json.dumps(rows, indent=1)
