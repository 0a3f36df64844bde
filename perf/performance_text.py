"""Numbers, summaries and tables as text, for the page and the terminal."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any


def flatten(
  tree: dict[str, Any], between: str = ': ', above: str = ''
) -> Iterator[tuple[str, Any]]:
  """Names and numbers or summaries, nested at will.

  Args:
    tree: by name; a dict with a `median` is a summary and stays whole.
    between: what joins the names of a branch.
    above: the name of what `tree` lies in.
  """
  for key, value in tree.items():
    name = f'{above}{between}{key}' if above else str(key)
    if isinstance(value, dict) and 'median' not in value:
      yield from flatten(value, between, name)
    else:
      yield name, value


def to_text(value: Any) -> str:
  """A number, or the median of a summary, to three digits."""
  if isinstance(value, dict):
    value = value['median']
  if isinstance(value, bool) or not isinstance(value, int | float):
    return str(value)
  return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'


def to_range(value: Any, show: Callable[[Any], str] = to_text) -> str:
  """Least to most of a summary; nothing of a number."""
  if not isinstance(value, dict):
    return ''
  return f'{show(value["min"])} to {show(value["max"])}'


def to_spread(value: Any) -> str:
  """As in 2.31 (2.2 to 2.45); a number alone, where there is no spread."""
  spread = to_range(value)
  return f'{to_text(value)} ({spread})' if spread else to_text(value)


def to_percent(share: Any) -> str:
  """As in 2.5 %; of a summary its median."""
  share = share['median'] if isinstance(share, dict) else share
  return f'{100 * share:.2g} %' if abs(share) < 0.1 else f'{100 * share:.0f} %'


def tabulate(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
  """A Markdown table."""
  rows = [head, ['---'] * len(head), *lines]
  return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def join(*parts: str) -> str:
  """Paragraphs and tables below each other; empty ones are left out."""
  return '\n\n'.join(filter(None, parts))
