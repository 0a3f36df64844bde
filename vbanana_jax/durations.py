"""How long and how often: '600 steps', '38_400 examples', '10 percent'."""

from vbanana_jax.errors import UserError

UNITS = ('steps', 'examples', 'percent')
NEVER = ('', '0')  # how often, where that may be not at all


def to_steps(
  duration: str, *, batch_size: int, total_steps: int | None = None
) -> int:
  """Number of steps, at least 1.

  Args:
    duration: a number and one of `UNITS`.
    batch_size: examples a step.
    total_steps: what a percentage is of.

  Raises:
    UserError: for anything else, or a percentage of nothing.
  """
  number, _, unit = str(duration).strip().partition(' ')
  try:
    value = float(number)
  except ValueError:
    value = -1.0
  if not 0 < value < float('inf') or unit not in UNITS:
    raise UserError(
      f'duration {duration!r} is not a positive number and one of {UNITS}, '
      "like '600 steps'"
    )
  if unit == 'examples':
    value /= batch_size
  if unit == 'percent':
    if total_steps is None:
      raise UserError(
        f'duration {duration!r} has nothing to be a percentage of; '
        'say it in steps or examples'
      )
    value *= total_steps / 100
  return max(1, round(value))
