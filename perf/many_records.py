"""What a larger set of photographs costs: start, memory and rate by records.

  python -m perf.many_records [--counts 10000 10000000] [--output JSON]

The sets are prepared folders whose shards are links to one shard of small
pictures, so that ten million records need no more disk than a few thousand. The
whole path from the shards to batches is the one that training takes; only the
pages of the disk are always in memory here, which real sets of this size are
not.
"""

import argparse
import gc
import os
import pathlib
import tempfile
import time

from perf import pictures, timing
from vbanana_jax.config import load_config
from vbanana_jax.data import array_records, build, stream

COUNTS = (10_000, 100_000, 1_000_000, 10_000_000)
# About what fits into a shard of 128 MiB at 50 KB a picture.
RECORDS_A_SHARD = 2_500
_SIDE = 32


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--counts', type=int, nargs='+', default=COUNTS)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  if args.quick:
    args.counts, args.rounds = COUNTS[:3], 1
  result = measure(counts=args.counts, rounds=args.rounds)
  print(timing.save('many_records', result, output=args.output))


def measure(
  *,
  counts=COUNTS,
  rounds: int = 5,
  records_a_shard: int = RECORDS_A_SHARD,
  images: int = 1920,
) -> dict:
  """Sets of `counts` records, in turns.

  Args:
    counts: records, ascending.
    rounds: turns that each set takes.
    records_a_shard: of the shard that all are links to.
    images: of a turn.

  Returns:
    `ratios` of the largest to the smallest; by records: `start_ms` from the
    folder to the first batch; `resident_mb` that the process grew by when
    every shard was open; and `images_per_s`.
  """
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    prepared = pictures.prepare_pictures(
      folder, records_a_shard, width=_SIDE, height=_SIDE
    )
    sets = [
      pictures.link_shards(prepared, folder / f'{count}', count)
      for count in counts
    ]
    feeds = {count: PhotoFeed(path) for count, path in zip(counts, sets)}
    feeds[counts[0]].start()  # what the first one loads for all
    found = {count: measure_start(feed) for count, feed in feeds.items()}
    times = timing.interleave(
      {str(n): lambda f=f: f.take(images) for n, f in feeds.items()}, rounds
    )
  for count, cell in found.items():
    cell['images_per_s'] = timing.summarize(
      [images / wall for wall in times[str(count)]['wall']]
    )
  least, most = str(counts[0]), str(counts[-1])
  pair = f'{counts[-1]:,} records over {counts[0]:,}'
  starts = [found[count]['start_ms'] for count in (counts[-1], counts[0])]
  return {
    'ratios': {
      f'{pair}, images a second': timing.compare(times, least, most),
      f'{pair}, images a CPU second': timing.compare(times, least, most, 'cpu'),
      f'{pair}, time to the first batch': timing.shorten(starts[0] / starts[1]),
      'bytes of memory a record': timing.shorten(
        1e6 * found[counts[-1]]['resident_mb'] / counts[-1]
      ),
    },
    'records_a_shard': records_a_shard,
    'side': _SIDE,
    'records': {str(count): cell for count, cell in found.items()},
  }


def measure_start(feed: 'PhotoFeed') -> dict[str, float]:
  """Milliseconds to the first batch, and MB once all shards are open."""
  gc.collect()
  before, began = read_resident(), time.perf_counter()
  feed.start()
  feed.take(1)
  seconds = time.perf_counter() - began
  feed.open_all()
  gc.collect()
  return {
    'start_ms': timing.shorten(1e3 * seconds),
    'resident_mb': timing.shorten(max(0.0, read_resident() - before)),
  }


def read_resident() -> float:
  """MB that this process holds."""
  pages = pathlib.Path('/proc/self/statm').read_text().split()[1]
  return int(pages) * os.sysconf('SC_PAGESIZE') / 1e6


class PhotoFeed:
  """Batches of one prepared folder, each turn from further on."""

  def __init__(self, folder: pathlib.Path):
    self._config = load_config('photos').to_dict()
    self._config['mixture']['generate'] = 0.0
    self._config['data']['photos'] = str(folder)
    self._folder = folder
    self._step = 0

  def start(self) -> None:
    """Makes the mixture, as a training process does once."""
    workdir = self._folder.with_suffix('.run')
    self._mixture = build.build_mixture(self._config, workdir)
    self._source = self._mixture.entries[0].source

  def open_all(self) -> None:
    """Reads the first record of every shard."""
    at = 0
    for shard in array_records.load_manifest(self._folder)['shards']:
      self._source[at]
      at += shard['count']

  def take(self, images: int) -> None:
    """Reads so many images, rounded up to whole batches."""
    batch_size = self._config['batch_size']
    steps = -(-images // batch_size)
    batches = stream.build_stream(
      self._mixture,
      batch_size=batch_size,
      seed=0,
      max_text=self._config['model']['max_text'],
      start_step=self._step,
      end_step=self._step + steps,
    )
    self._step += steps
    for _ in batches:
      pass


if __name__ == '__main__':
  main()
