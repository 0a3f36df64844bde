"""Work of threads beside the loop that needs its results."""

import collections
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import TypeVar

_Item = TypeVar('_Item')
_Result = TypeVar('_Result')

_MOST_THREADS = 8


def prefetch_map(
  function: Callable[[_Item], _Result],
  items: Iterable[_Item],
  *,
  ahead: int,
  threads: int,
  eager_yield: bool = False,
) -> Iterator[tuple[_Item, futures.Future[_Result]]]:
  """`function` of every item, in order, begun before its result is asked for.

  Files are read, decoded and encoded outside the interpreter's lock, and so
  while the network paints.

  Args:
    function: of one item; what it raises is raised by `result()`.
    items: asked for one at a time, in the caller's thread.
    ahead: how many are begun and not yet asked for, at most.
    threads: that work on them.
    eager_yield: yields finished results before it asks for the next item; for
      items that take longer than `function`.

  Yields:
    the item and its future, which is done.
  """
  waiting: collections.deque = collections.deque()
  pool = futures.ThreadPoolExecutor(threads)
  with contextlib.ExitStack() as stack:
    # What has not begun is left when the caller stops asking.
    stack.callback(pool.shutdown, cancel_futures=True)
    for item in items:
      waiting.append((item, pool.submit(function, item)))
      while len(waiting) > ahead or (
        eager_yield and waiting and waiting[0][1].done()
      ):
        yield _wait(waiting.popleft())
    while waiting:
      yield _wait(waiting.popleft())


def _wait(begun):
  futures.wait([begun[1]])
  return begun


def choose_concurrency(rows: int) -> dict[str, int]:
  """`threads` and `ahead` of `prefetch_map` for a painter of `rows` at once."""
  threads = min(os.cpu_count() or 1, _MOST_THREADS)
  return {'threads': threads, 'ahead': rows + threads}
