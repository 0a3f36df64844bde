"""Folders of photographs that nobody took: random pictures as JPEG and PNG."""

import json
import os
import pathlib

import numpy as np
from PIL import Image

from vbanana_jax.data import array_records, prepare

CAPTION = 'a photograph'


def prepare_pictures(
  folder: pathlib.Path, number: int, *, width: int = 500, height: int = 375
) -> pathlib.Path:
  """Random pictures as `vbanana prepare image_folder` leaves them.

  They are blots with grain over them, so that they compress about as much as
  photographs; every fourth one is a PNG.

  Args:
    folder: gets `pictures`, and `prepared`, which is returned.
    number: of pictures.
    width: in pixels.
    height: in pixels.
  """
  pictures = folder / 'pictures'
  pictures.mkdir(parents=True)
  rng = np.random.default_rng(0)
  for k in range(number):
    blots = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    wide = np.asarray(blots.resize((width, height), Image.Resampling.BICUBIC))
    grain = rng.normal(0, 4, wide.shape)
    rgb = np.clip(wide + grain, 0, 255).astype(np.uint8)
    if k % 4:
      Image.fromarray(rgb).save(pictures / f'{k}.jpg', quality=90)
    else:
      Image.fromarray(rgb).save(pictures / f'{k}.png')
  prepared = folder / 'prepared'
  prepare.prepare_image_folder(pictures, prepared, caption=CAPTION)
  return prepared


def link_shards(
  prepared: pathlib.Path, folder: pathlib.Path, records: int
) -> pathlib.Path:
  """A prepared folder that seems to hold any number of records.

  Its shards are links to the one shard of `prepared`: nothing but the bytes on
  the disk is pretended.

  Args:
    prepared: from `prepare_pictures`, of one shard.
    folder: is made and returned.
    records: rounded up to whole shards.
  """
  manifest = array_records.load_manifest(prepared)
  (shard,) = manifest['shards']
  folder.mkdir()
  count = -(-records // shard['count'])
  shards = [{**shard, 'file': f'shard-{k:05d}'} for k in range(count)]
  for link in shards:
    os.symlink(prepared / shard['file'], folder / link['file'])
  manifest |= {'shards': shards, 'count': count * shard['count']}
  (folder / array_records.MANIFEST).write_text(json.dumps(manifest))
  return folder
