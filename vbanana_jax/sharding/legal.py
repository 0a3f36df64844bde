"""The nearest legal numbers, for messages that say what to set instead."""

import math
from collections.abc import Iterable


def nearest(value: int, choices: Iterable[int]) -> str:
  """The largest choice below `value` and the smallest above, as text."""
  choices = set(choices)
  below = sorted(k for k in choices if k < value)[-1:]
  above = sorted(k for k in choices if k > value)[:1]
  return ' and '.join(map(str, below + above))


def nearest_divisors(value: int, numbers: Iterable[int]) -> str:
  """The numbers nearest to `value` that divide all of `numbers`, as text."""
  return nearest(value, divisors(math.gcd(*numbers)))


def divisors(number: int) -> list[int]:
  """All numbers that divide a positive `number`, ascending."""
  return [k for k in range(1, number + 1) if number % k == 0]
