"""What a file is that should have been a picture, for the line that says so."""

_LFS = b'version https://git-lfs'
_STARTS = (
  (_LFS, 'a Git LFS pointer, not the file: git lfs pull brings it'),
  (b'/annex/objects/', 'a git-annex pointer: git annex get brings the file'),
  (b'../.git/annex/', 'a git-annex pointer: git annex get brings the file'),
  (b'\x1f\x8b', 'gzip: unpack it first'),
  (b'PK\x03\x04', 'a zip: unpack it first'),
  (b'Rar!', 'a RAR archive: unpack it first'),
  (b'7z\xbc\xaf\x27\x1c', 'a 7z archive: unpack it first'),
  (b'%PDF', 'a PDF'),
  (b'\0\5\x16\7', 'what a Mac keeps beside a file (AppleDouble)'),
  (b'\x93NUMPY', 'an array of NumPy'),
)  # fmt: skip
_PAGES = (b'<!doctype html', b'<html', b'<head', b'<body')
_ERRORS = (b'<?xml', b'{')
_LOOKED_AT = 512  # bytes


def describe_stranger(encoded: bytes) -> str:
  """In brackets, what a file is that is no picture; empty if nobody knows.

  Args:
    encoded: the file, or its start.
  """
  kind = _find_kind(encoded)
  return f' ({kind})' if kind else ''


def _find_kind(encoded: bytes) -> str | None:
  if not encoded:
    return 'the file is empty'
  head = encoded[:_LOOKED_AT]
  for start, kind in _STARTS:
    if head.startswith(start):
      return kind
  if not head.strip(b'\0'):
    return 'zeros alone: it was never written, copy it again'
  text = head.removeprefix(b'\xef\xbb\xbf').lstrip().lower()
  if text.startswith(_PAGES):
    return 'a web page, as of a download that failed'
  if b'<svg' in text:
    return 'an SVG drawing: save it as PNG'
  if text.startswith(_ERRORS):
    return 'XML or JSON, as of a download that failed'
  return None
