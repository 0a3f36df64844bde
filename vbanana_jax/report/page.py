"""One self-contained HTML page: no other host, any screen, on paper too.

Without a script all of it can be read, enlarged and downloaded; the script adds
sorting, and keys for pictures at full size.
"""

import dataclasses
import html
import os
import pathlib
import re
from collections.abc import Sequence

from vbanana_jax.runtime import files

MAX_BYTES = 9_000_000
_FOLDER = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Section:
  """A part of the page with its own line in the list of contents.

  Attributes:
    title: of it.
    body: HTML; a section without any is left out.
    parts: titles -> HTML of what is below, each in the contents too.
    kind: a class that `page.css` knows.
  """

  title: str
  body: str = ''
  parts: dict[str, str] = dataclasses.field(default_factory=dict)
  kind: str = ''


def write_page(
  path: str | os.PathLike, title: str, head: str, sections: Sequence[Section]
) -> pathlib.Path:
  """Writes the page atomically and returns its path; see `make_page`."""
  return files.write_atomic(path, make_page(title, head, sections).encode())


def make_page(title: str, head: str, sections: Sequence[Section]) -> str:
  """The page as text.

  Args:
    title: of it.
    head: HTML below the title.
    sections: in order.
  """
  shown = [each for each in sections if each.body or each.parts]
  name = html.escape(title)
  style, script = (
    (_FOLDER / file_name).read_text(encoding='utf-8')
    for file_name in ('page.css', 'page.js')
  )
  return (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    f'<title>{name}</title><style>{style}</style></head><body>'
    f'<header id="top"><h1>{name}</h1>{head}</header>'
    f'{_draw_contents(shown)}'
    f'<main>{"".join(map(_draw_section, shown))}</main>'
    f'<script>{script}</script></body></html>\n'
  )


def fold(title: str, body: str, *, printed: bool = False) -> str:
  """HTML behind its title, unfolded on paper if `printed`; '' without any."""
  if not body:
    return ''
  kind = ' class="print"' if printed else ''
  return (
    f'<details{kind}><summary>{html.escape(title)}</summary>{body}</details>'
  )


def make_id(title: str) -> str:
  """What an address ends in for a title."""
  return re.sub(r'\W+', '-', title.lower()).strip('-')


def _draw_contents(sections: Sequence[Section]) -> str:
  lines = []
  for each in sections:
    below = ''.join(
      f'<li><a href="#{make_id(f"{each.title} {part}")}">{html.escape(part)}'
      '</a></li>'
      for part in each.parts
    )
    lines.append(
      f'<li><a href="#{make_id(each.title)}">{html.escape(each.title)}</a>'
      f'{f"<ul>{below}</ul>" if below else ""}</li>'
    )
  return f'<nav aria-label="contents"><ul>{"".join(lines)}</ul></nav>'


def _draw_section(section: Section) -> str:
  parts = ''.join(
    f'<div class="part" id="{make_id(f"{section.title} {title}")}">'
    f'<h3>{html.escape(title)}</h3>{body}</div>'
    for title, body in section.parts.items()
  )
  kind = f' class="{section.kind}"' if section.kind else ''
  return (
    f'<section id="{make_id(section.title)}"{kind}>'
    f'<h2>{html.escape(section.title)}</h2>{section.body}{parts}</section>'
  )
