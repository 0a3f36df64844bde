"""A hundred odd files that somebody may drop on a page, made here."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIZES = ((1, 1), (1, 3000), (3000, 1), (2, 2), (7, 5), (64, 48))
KINDS = ('PNG', 'JPEG', 'WEBP', 'TIFF', 'BMP', 'GIF')
TEXTS = {
  'page.png': b'<!doctype html><title>no picture</title>',
  'drawing.svg': b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
  'words.jpg': b'just words',
  'nothing.png': b'',
  'one_byte.png': b'\x89',
  'archive.png': b'PK\x03\x04' + bytes(60),
  'paper.png': b'%PDF-1.7 ' + bytes(60),
  'film.jpg': b'\0\0\0\x20ftypisom' + bytes(60),
  'zeros.png': bytes(4096),
  'script.png': b"#!/bin/sh\necho 'no picture'\n",
  'pickle.png': b'\x80\x04\x95' + bytes(60),
}


def make_odd_files() -> dict[str, bytes]:
  """Contents by name; most are no whole pictures."""
  found = dict(TEXTS)
  rng = np.random.default_rng(0)
  for kind in KINDS:
    for width, height in SIZES:
      pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
      name = f'{kind.lower()}_{width}x{height}.{kind.lower()}'
      found[name] = encode(Image.fromarray(pixels), kind)
    whole = found[f'{kind.lower()}_64x48.{kind.lower()}']
    for share in (0.02, 0.3, 0.6, 0.95):
      cut = whole[: int(share * len(whole))]
      found[f'{kind.lower()}_cut_{share}.{kind.lower()}'] = cut
    noise = bytearray(whole)
    for place in rng.integers(30, len(noise), 40):
      noise[place] ^= 255
    found[f'{kind.lower()}_noise.{kind.lower()}'] = bytes(noise)
    found[f'{kind.lower()}_named.txt'] = whole
  for mode in ('1', 'L', 'P', 'RGBA', 'CMYK', 'LA', 'I;16', 'I', 'F'):
    image = make_in_mode(mode, rng)
    for kind in ('PNG', 'JPEG', 'TIFF', 'WEBP'):
      if (mode, kind) == ('I', 'PNG'):  # which Pillow 13 will not write
        continue
      try:
        name = f'{mode.replace(";", "_")}.{kind.lower()}'
        found[name] = encode(image, kind)
      except (OSError, KeyError):  # a kind that does not hold this mode
        continue
  frames = [make_in_mode('P', rng) for _ in range(3)]
  found['animation.gif'] = encode(
    frames[0], 'GIF', save_all=True, append_images=frames[1:]
  )
  for edge in (30_000, 60_000, 2**31 - 1):
    found[f'vast_{edge}.png'] = make_vast_png(edge)
  return found


def make_in_mode(mode: str, rng: np.random.Generator) -> Image.Image:
  if mode in ('I;16', 'I', 'F'):
    return Image.fromarray(rng.integers(0, 2**16, (48, 64), np.uint16)).convert(
      mode
    )
  return Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).convert(
    mode
  )


def make_vast_png(edge: int) -> bytes:
  """A few hundred bytes that promise `edge` x `edge` pixels."""
  header = struct.pack('>IIBBBBB', edge, edge, 8, 2, 0, 0, 0)
  chunks = (
    (b'IHDR', header),
    (b'IDAT', zlib.compress(bytes(99))),
    (b'IEND', b''),
  )
  return b'\x89PNG\r\n\x1a\n' + b''.join(
    struct.pack('>I', len(data))
    + name
    + data
    + struct.pack('>I', zlib.crc32(name + data))
    for name, data in chunks
  )


def encode(image: Image.Image, kind: str, **options) -> bytes:
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()
