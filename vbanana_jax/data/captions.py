"""Captions of a folder of pictures: a table, name.txt or the folder's name."""

import collections
import posixpath
from collections.abc import Mapping, Sequence

from vbanana_jax.data import file_names, metadata
from vbanana_jax.data.folders import Member
from vbanana_jax.errors import UserError

# Entries without pictures, or pictures without entries, beyond this share are
# a mistake in all of them.
MOST_UNMATCHED = 0.05
_NAMED = 3
_TEXTS = ('.txt', '.caption')  # endings of a text beside a picture


class Captions:
  """Caption of each picture, looked up in this order.

  1. `metadata.jsonl`, `.csv` or `.tsv` in the picture's folder or above: names
     relative to that file's folder (see `file_names`) and texts;
  2. `name.txt` or `name.caption` beside `name.jpg`, in capitals too;
  3. the name of the folder it lies in (a class), underscores as spaces, where
     pictures lie in more than one;
  4. `default`.

  Args:
    members: all files by their names.
    default: caption of pictures that nothing else describes.
    pictures: names of those that are wanted; by default of all.

  Attributes:
    splits: pictures by what the tables' column `split` says they are for.

  Raises:
    UserError: names a line that is not understood.
  """

  def __init__(
    self,
    members: Mapping[str, Member],
    default: str | None,
    pictures: Sequence[str] | None = None,
  ):
    self._members = members
    if pictures is None:
      pictures = [name for name in members if not is_caption_file(name)]
    self._pictures = pictures
    self._default = default
    self._listed: dict[str, str | None] = {}
    self._entries = self._repeated = 0
    self._lost: list[metadata.Entry] = []
    self.splits: collections.Counter[str] = collections.Counter()
    self._texts = {
      posixpath.splitext(name)[0].casefold(): member
      for name, member in members.items()
      if _is_text(name)
    }
    folders = {posixpath.dirname(name) for name in pictures} - {''}
    self._has_classes = len(folders) > 1
    tables = [name for name in members if metadata.is_table(name)]
    self._table_folders = [posixpath.dirname(name) for name in tables]
    for name in members:
      metadata.refuse_unread_tables(name, members[name].place)
    if tables:
      names = file_names.FileNames(
        (member.name, *member.aliases)
        for member in members.values()
        if not is_caption_file(member.name)
      )
      for name in tables:
        self._read(members[name], names)

  def __getitem__(self, name: str) -> str | None:
    """Caption, or None where nothing says what the picture shows."""
    if self._listed.get(name) is not None:
      return self._listed[name]
    text = self._find_text(name)
    if text is not None:
      return ' '.join(metadata.decode_text(text).split())
    folder = posixpath.basename(posixpath.dirname(name))
    if self._has_classes and folder:
      return folder.replace('_', ' ')
    return self._default

  def describe(self) -> str:
    """Where captions come from, in one line."""
    counts, folders = collections.Counter(), set()
    for name in self._pictures:
      folder = posixpath.basename(posixpath.dirname(name))
      if self._listed.get(name) is not None:
        counts['from tables'] += 1
      elif self._find_text(name) is not None:
        counts['from texts beside them'] += 1
      elif self._has_classes and folder:
        counts['names of folders'] += 1
        folders.add(folder)
      elif self._default is not None:
        counts['as --caption says'] += 1
    kinds = ', '.join(f'{n} {kind}' for kind, n in counts.items())
    shown = sorted(folders)[:_NAMED]
    if shown:
      kinds += f' ({", ".join(shown)}{", ..." if folders - set(shown) else ""})'
    if not kinds:
      return (
        'no captions: the pictures train without words; give a metadata.csv, '
        'a name.txt each, class folders or --caption where there are words'
      )
    return f'captions: {kinds}'

  @property
  def is_empty(self) -> bool:
    """Whether nothing describes any picture."""
    return all(self[name] is None for name in self._pictures)

  def check_matches(self, allow: bool) -> list[str]:
    """Compares the tables with the pictures; returns what a person should know.

    Args:
      allow: take what matches, however few.

    Raises:
      UserError: more than `MOST_UNMATCHED` of the entries name no picture, or
        of the pictures below a table have no entry; and where no picture has
        words although files lie there that seem to hold them.
    """
    below = [name for name in self._pictures if self._is_below_a_table(name)]
    unlisted = [
      name
      for name in below
      if name not in self._listed and self._find_text(name) is None
    ]
    lost = [f'{entry.name} ({entry.place})' for entry in self._lost]
    notes = []
    for names, count, what in (
      (lost, self._entries, 'entries of tables of captions name no picture'),
      (unlisted, len(below), 'pictures have no entry in the table above them'),
    ):
      if not names:
        continue
      shown = ', '.join(names[:_NAMED]) + (', ...' if names[_NAMED:] else '')
      note = f'{len(names)} of {count} {what}: {shown}'
      if len(names) > MOST_UNMATCHED * count and not allow:
        raise UserError(
          f'{note}; more than {MOST_UNMATCHED:.0%} is taken for a mistake: '
          'mend the names, or go on all the same with --allow-unmatched'
        )
      notes.append(note)
    if self._repeated:
      notes.append(
        f'{self._repeated} entries are of pictures that had one before; the '
        'first is taken'
      )
    return notes + self._find_unread(allow)

  def _find_unread(self, allow: bool) -> list[str]:
    """What seems to hold captions and is of no picture, as a note."""
    stems = {posixpath.splitext(name)[0].casefold() for name in self._pictures}
    texts = [m.name for stem, m in self._texts.items() if stem not in stems]
    tables = [
      member.name
      for member in self._members.values()
      if metadata.may_hold_captions(member)
    ]
    if len(texts) == 1:  # as a README
      texts = []
    unread = sorted(tables + texts)
    if not unread:
      return []
    shown = ', '.join(unread[:_NAMED]) + (', ...' if unread[_NAMED:] else '')
    note = f'{len(unread)} files may hold captions and are not read: {shown}'
    if self.is_empty and not allow:
      raise UserError(
        f'no picture has words, and {note}: put them into a metadata.csv with '
        'the columns file_name and text, or into name.txt beside name.jpg, or '
        'train without words with --allow-unmatched'
      )
    return [note]

  def _read(self, table: Member, names: file_names.FileNames) -> None:
    folder = posixpath.dirname(table.name)
    wanted = set(self._pictures)
    for entry in metadata.read_table(table):
      if file_names.leaves_folder(entry.name):
        raise UserError(
          f'{entry.place}: "file_name" must be a path inside its own folder, '
          f'not {entry.name}'
        )
      self._entries += 1
      name = names.find(folder, entry.name)
      if name is None:
        self._lost.append(entry)
      elif name in self._listed:
        self._repeated += 1
      else:
        self._listed[name] = entry.text
        if entry.split and name in wanted:
          self.splits[entry.split] += 1

  def _is_below_a_table(self, name: str) -> bool:
    return any(
      not folder or name.startswith(f'{folder}/')
      for folder in self._table_folders
    )

  def _find_text(self, name: str) -> Member | None:
    stem = posixpath.splitext(name)[0]
    exact = self._members.get(f'{stem}.txt')
    return exact or self._texts.get(stem.casefold())


def is_caption_file(name: str) -> bool:
  """Whether a file holds captions and not a picture."""
  return metadata.is_table(name) or _is_text(name) or name.endswith('.jsonl')


def _is_text(name: str) -> bool:
  return posixpath.splitext(name)[1].lower() in _TEXTS
