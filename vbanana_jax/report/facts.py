"""What is known of a run, in words: a card with links, and texts to unfold.

The texts are on the page itself, because a page that was mailed has no folder
for its links to lead to.
"""

import html
import os
import pathlib
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vbanana_jax.report import page


def draw_card(
  title: str,
  color: str,
  about: Mapping[str, str],
  links: Mapping[str, str],
  details: Mapping[str, str],
) -> str:
  """One run as HTML.

  Args:
    title: its name.
    color: of its curves; '' where curves are not of runs.
    about: facts by name.
    links: addresses by name.
    details: titles -> HTML that unfolds.
  """
  anchors = ' · '.join(
    f'<a href="{html.escape(address)}">{html.escape(name)}</a>'
    for name, address in links.items()
  )
  folded = ''.join(page.fold(name, body) for name, body in details.items())
  return (
    f'<div class="card"><h3>{_draw_swatch(color)}{html.escape(title)}</h3>'
    f'{draw_facts(about)}{f"<p>{anchors}</p>" if anchors else ""}{folded}</div>'
  )


def draw_names(runs: Sequence[tuple[str, str, str]]) -> str:
  """Runs in short, a line each: name, color ('' for none), and words."""
  lines = ''.join(
    f'<li>{_draw_swatch(color)}<b>{html.escape(name)}</b> '
    f'{html.escape(words)}</li>'
    for name, color, words in runs
  )
  return f'<ul class="runs">{lines}</ul>'


def _draw_swatch(color: str) -> str:
  return f'<i class="swatch" style="background:{color}"></i>' if color else ''


def draw_facts(facts: Mapping[str, Any]) -> str:
  """Names and values as a table of two columns; '' of nothing."""
  lines = ''.join(
    f'<tr><th scope="row">{html.escape(str(key))}</th>'
    f'<td>{html.escape(str(value))}</td></tr>'
    for key, value in facts.items()
  )
  return f'<table class="facts"><tbody>{lines}</tbody></table>' if lines else ''


def draw_text(text: str) -> str:
  """Lines as they are; '' of nothing."""
  return f'<pre>{html.escape(text)}</pre>' if text else ''


def draw_warning(text: str) -> str:
  """A line that a reader must not miss."""
  return f'<p class="warn">{html.escape(text)}</p>'


def find_links(
  folder: pathlib.Path, names: Iterable[str], out: pathlib.Path
) -> dict[str, str]:
  """Addresses, relative to a page, of those files of a folder that exist."""
  there = [name for name in names if (folder / name).exists()]
  start = os.path.abspath(out.parent)
  found = {}
  for name in there:
    address = os.path.relpath(os.path.abspath(folder / name), start)
    address = address.replace(os.sep, '/')
    found[f'{folder.name}/{name}'] = urllib.parse.quote(address)
  return found


def flatten(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Fields of a nested config by dotted names."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, Mapping) and value:
      flat |= flatten(value, f'{prefix}{key}.')
    else:
      flat[f'{prefix}{key}'] = value
  return flat


def to_clock(seconds: float) -> str:
  """Minutes and seconds."""
  minutes, rest = divmod(seconds, 60)
  return f'{int(minutes)} min {rest:.0f} s' if minutes else f'{rest:.1f} s'
