"""Slices of TPUs: what a chip can do at most, and how many are wired how."""

import dataclasses
import difflib
import importlib.metadata
import os
import re
from typing import Any

from vbanana_jax.errors import UserError
from vbanana_jax.training.flops import PEAKS


@dataclasses.dataclass(frozen=True)
class Chip:
  """Published peaks of one chip.

  Attributes:
    flops: a second, bfloat16.
    hbm_bytes_a_second: to and from the chip's memory.
    ici_bytes_a_second: out of the chip, over all of its links together.
    hbm_bytes: that a program may use; the compiler keeps the rest.
  """

  flops: float
  hbm_bytes_a_second: float
  ici_bytes_a_second: float
  hbm_bytes: float


_GIB = 2**30
# Peaks: cloud.google.com/tpu/docs/v5e, /v6e and /v5p, key chip specifications
# ("interchip interconnect": 1600, 3584 and 4800 Gbps, one way). Of the 16, 32
# and 95 GB of memory the compiler gives a program what stands here: its own
# words when a program is too large.
CHIPS = {
  'v5e': Chip(PEAKS['TPU v5 lite'], 819e9, 1600e9 / 8, 15.75 * _GIB),
  'v6e': Chip(PEAKS['TPU v6 lite'], 1640e9, 3584e9 / 8, 31.24 * _GIB),
  'v5p': Chip(PEAKS['TPU v5'], 2765e9, 4800e9 / 8, 95.73 * _GIB),
}

# Chips -> how they are wired; the standard slices of the same documents.
_FLAT = {
  1: '1x1',
  4: '2x2',
  8: '2x4',
  16: '4x4',
  32: '4x8',
  64: '8x8',
  128: '8x16',
  256: '16x16',
}
_LAYOUTS = {
  'v5e': _FLAT,
  'v6e': _FLAT,
  'v5p': {
    4: '2x2x1',
    8: '2x2x2',
    16: '2x2x4',
    32: '2x4x4',
    64: '4x4x4',
    128: '4x4x8',
    256: '4x8x8',
  },
}


@dataclasses.dataclass(frozen=True)
class Topology:
  """A slice.

  Attributes:
    name: kind and number of chips, as in v5e-256.
    kind: a key of `CHIPS`.
    layout: how the chips are wired, as in 16x16.
    count: number of chips.
  """

  name: str
  kind: str
  layout: str
  count: int

  @property
  def chip(self) -> Chip:
    """Its peaks."""
    return CHIPS[self.kind]

  @property
  def accelerator(self) -> str:
    """What the cloud calls it; of a v5p the cloud counts cores, two a chip."""
    name = {'v5e': 'v5litepod'}.get(self.kind, self.kind)
    return f'{name}-{self.count * (2 if self.kind == "v5p" else 1)}'

  @property
  def hosts(self) -> dict[str, list[int]]:
    """What libtpu is told of a slice whose hosts have not four chips.

    One chip and, of the flat kinds, eight are one host, as the cloud rents
    them.
    """
    if self.count == 1:
      return {'chips_per_host_bounds': [1, 1, 1]}
    if self.layout == '2x4':
      return {'chips_per_host_bounds': [2, 4, 1]}
    return {}


TOPOLOGIES = {
  f'{kind}-{count}': Topology(f'{kind}-{count}', kind, layout, count)
  for kind, layouts in _LAYOUTS.items()
  for count, layout in layouts.items()
}


def find_topology(name: str) -> Topology:
  """The slice of a name.

  Raises:
    UserError: there is none; names those that there are.
  """
  if name not in TOPOLOGIES:
    same = [t.name for t in TOPOLOGIES.values() if t.accelerator == name]
    near = same or difflib.get_close_matches(name, TOPOLOGIES, n=1)
    hint = f'; did you mean {near[0]}?' if near else ''
    raise UserError(
      f'unknown topology {name!r}: choose of {", ".join(TOPOLOGIES)} (kind and '
      f'number of chips){hint}'
    )
  return TOPOLOGIES[name]


def has_libtpu() -> bool:
  """Whether there is a compiler for TPUs."""
  try:
    importlib.metadata.distribution('libtpu')
  except importlib.metadata.PackageNotFoundError:
    return False
  return True


def load_devices(topology: Topology) -> list[Any]:
  """Devices of a slice that is described and not there.

  One can compile for them, and nothing else. Call it before anything else has
  made jax load libtpu, since libtpu reads its settings once. From then on this
  process does without the persistent cache of compiled programs: those for
  chips that are not there are written to it and cannot be read back.

  Raises:
    UserError: libtpu is not installed, or does not know the slice.
  """
  if not has_libtpu():
    raise UserError(
      'plan compiles with libtpu, which is not installed: pip install -c '
      "constraints.txt -e '.[plan]'"
    )
  # It would look for chips and ask the cloud about them, and let only one
  # process on a machine load it, although no chip is touched.
  os.environ.update(
    TPU_SKIP_MDS_QUERY='1',
    TPU_ACCELERATOR_TYPE=topology.accelerator,
    TPU_WORKER_HOSTNAMES='localhost',
    TPU_MIN_LOG_LEVEL='3',
    ALLOW_MULTIPLE_LIBTPU_LOAD='1',
  )
  import jax
  from jax.experimental import topologies
  from jax.experimental.compilation_cache import compilation_cache

  jax.config.update('jax_enable_compilation_cache', False)
  compilation_cache.reset_cache()  # it may be in use, which the setting leaves
  try:
    described = topologies.get_topology_desc(
      platform='tpu',
      topology_name=f'{topology.kind}:{topology.layout}',
      **topology.hosts,
    )
  except jax.errors.JaxRuntimeError as error:
    version = importlib.metadata.version('libtpu')
    raise UserError(
      f'libtpu {version} has no slice {topology.name}: '
      f'{str(error).splitlines()[0]}'
    ) from error
  return described.devices


def smaller_topologies(topology: Topology) -> list[Topology]:
  """Slices of the same chip with at most as many, smallest first."""
  return [
    other
    for other in TOPOLOGIES.values()
    if other.kind == topology.kind and other.count <= topology.count
  ]


def read_needed_bytes(message: str) -> float | None:
  """What the compiler says a program needs when it is too large for a chip.

  Args:
    message: of the error that the compiler raises.

  Returns:
    bytes; None if the error is about something else.
  """
  found = re.search(
    r'\(([\d.]+)([KMGT])\) exceeds available HBM'
    r'|Used ([\d.]+)([KMGT]) of .* hbm',
    message,
  )
  if not found:
    return None
  number, unit = (word for word in found.groups() if word)
  return float(number) * 1024 ** ('KMGT'.index(unit) + 1)
