"""Large pages: fewer faults a step, one restart, the same words."""

import os
import subprocess
import sys

import pytest

from vbanana_jax import allocator

needs_large_pages = pytest.mark.skipif(
  not allocator.are_for_the_asking(), reason='no large pages for the asking'
)

# Page faults of a program whose temporaries take 64 MiB, the third time.
FAULTS = """
import resource
import jax, jax.numpy as jnp
step = jax.jit(lambda x: jnp.sum(jnp.sort(x[:, None] + x[None], axis=0)))
x = jnp.arange(4096.0)
for _ in range(3):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  jax.block_until_ready(step(x))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
RESTART = """
import os, sys
from vbanana_jax import allocator
print('started', flush=True)
allocator.restart_with_large_pages()
print(os.environ['GLIBC_TUNABLES'], sys.argv[1:])
"""


def run_python(code, *words, tunables=''):
  done = subprocess.run(
    [sys.executable, '-c', code, *words],
    capture_output=True,
    text=True,
    check=True,
    env={**os.environ, 'GLIBC_TUNABLES': tunables, 'XLA_FLAGS': ''},
  )
  return done.stdout.splitlines()


@needs_large_pages
def test_a_step_has_hardly_a_page_fault():
  (count,) = run_python(FAULTS, tunables=allocator.LARGE_PAGES)
  assert int(count) < 2000  # 16,384 pages of 4 KiB otherwise


@needs_large_pages
@pytest.mark.parametrize(
  'before, after',
  [
    ('', 'glibc.malloc.hugetlb=1'),
    ('glibc.malloc.check=0', 'glibc.malloc.check=0:glibc.malloc.hugetlb=1'),
  ],
)
def test_a_process_restarts_once_with_the_same_words(before, after):
  lines = run_python(RESTART, 'a b', '--c', tunables=before)
  assert lines == ['started', 'started', f"{after} ['a b', '--c']"]


def test_whoever_has_chosen_is_left_alone():
  chosen = 'glibc.malloc.hugetlb=0'
  lines = run_python(RESTART, tunables=chosen)
  assert lines == ['started', f'{chosen} []']
