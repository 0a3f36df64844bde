"""Names in zips: UTF-8 where they say so, and what systems write else."""

import zipfile
from collections.abc import Sequence

_SAYS_UTF8 = 0x800
_ZIP = 'cp437'  # what `zipfile` reads the others as; it loses nothing
# Of Windows in Japan, mainland China, Korea, Taiwan, Eastern Europe, the West.
_OF_WINDOWS = ('cp932', 'gbk', 'cp949', 'cp950', 'cp866', 'cp1252')


def decode_names(
  infos: Sequence[zipfile.ZipInfo],
) -> list[tuple[str, tuple[str, ...]]]:
  """Each file's name with forward slashes, and others that its bytes may mean.

  A Mac writes UTF-8 and does not say so; Windows writes its country's code
  page. Where names are not UTF-8 they are taken as Japanese if most of their
  characters can be nothing else, and as the zip format's own code page if not.
  """
  raw = [_get_bytes(info) for info in infos]
  unsaid = [name for name in raw if name is not None]
  encoding = _guess(unsaid)
  return [
    (info.filename.replace('\\', '/'), ())
    if name is None
    else (name.decode(encoding).replace('\\', '/'), _read_otherwise(name))
    for info, name in zip(infos, raw)
  ]


def _get_bytes(info: zipfile.ZipInfo) -> bytes | None:
  """The bytes of a name whose encoding is not said; None if it is, or ASCII."""
  if info.flag_bits & _SAYS_UTF8 or info.filename.isascii():
    return None
  try:
    return info.filename.encode(_ZIP)
  except UnicodeEncodeError:  # from a field that says UTF-8
    return None


def _guess(names: Sequence[bytes]) -> str:
  if all(_decode(name, 'utf-8') is not None for name in names):
    return 'utf-8'
  japanese = [_decode(name, 'cp932') for name in names]
  if None in japanese:
    return _ZIP
  pairs = [
    character.encode('cp932')
    for name in japanese
    for character in name
    if not character.isascii()
  ]
  # An accented letter before a plain one looks like one character, too.
  sure = sum(len(pair) == 2 and pair[1] >= 0x80 for pair in pairs)
  return 'cp932' if 2 * sure >= len(pairs) else _ZIP


def _read_otherwise(name: bytes) -> tuple[str, ...]:
  found = (_decode(name, encoding) for encoding in _OF_WINDOWS)
  return tuple(text.replace('\\', '/') for text in found if text is not None)


def _decode(name: bytes, encoding: str) -> str | None:
  try:
    return name.decode(encoding)
  except UnicodeDecodeError:
    return None
