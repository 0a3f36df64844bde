"""Large pages for large arrays, which a CPU asks for at every step.

XLA takes the memory of a step's temporaries, hundreds of megabytes, from the
C library and gives it back after the step; no flag of XLA keeps it. The C
library asks the system each time, which fills every page with zeros when it is
first touched, 4 KiB at a time: a fifth of the time of a small step. In pages of
2 MiB that costs a quarter, where steps follow each other: what lies free for
seconds, a virtual machine's host may take back, and then it costs more. glibc
asks for them if its environment says so when a process starts.

Telling glibc to keep what is freed (`mallopt`) costs nothing a step, and was
given up: small arrays settle in the large hole between two steps, the next step
takes new memory, and a process grew to eight times its size.
"""

import os
import pathlib
import platform
import sys

_VARIABLE = 'GLIBC_TUNABLES'
LARGE_PAGES = 'glibc.malloc.hugetlb=1'
_SINCE = (2, 35)
_OFFERED = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')


def restart_with_large_pages() -> None:
  """Starts this process anew, with the same words, if that gets large pages.

  Does nothing where they are not for the asking or something was asked of
  this kind before, so that it restarts once at most. To be called before
  anything is opened or started.
  """
  told = os.environ.get(_VARIABLE, '')
  if 'malloc.hugetlb' in told or not are_for_the_asking():
    return
  os.environ[_VARIABLE] = ':'.join(filter(None, (told, LARGE_PAGES)))
  sys.stdout.flush()
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def are_for_the_asking() -> bool:
  """Whether the system gives large pages to who asks, and glibc can ask."""
  library, version = platform.libc_ver()
  if library != 'glibc' or not _OFFERED.exists():
    return False
  is_new = tuple(map(int, version.split('.')[:2])) >= _SINCE
  return is_new and '[madvise]' in _OFFERED.read_text()
