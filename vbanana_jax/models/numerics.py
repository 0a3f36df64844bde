"""Matrix products with narrow operands and float32 results.

Every accelerator, and every CPU with bf16 dot instructions, multiplies
bfloat16 faster than float32 as long as the result stays float32. JAX's own
transpose rule would feed the backward products a float32 operand and so miss
that path; `dot` therefore brings its own vjp, and contracts weight gradients
over batch and token axes without flattening them first.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from vbanana_jax.models import blocked

_CPU_INFO = pathlib.Path('/proc/cpuinfo')
_CPU_FLAGS = {'amx_bf16', 'avx512_bf16'}
# XLA can be told to keep to older instructions; these have no bf16 among them.
_ISA_FLAG = '--xla_cpu_max_isa='
_NARROW_ISAS = {'SSE4_2', 'AVX', 'AVX2', 'AVX512', 'AVX512_VNNI'}


@dataclasses.dataclass(frozen=True)
class Precision:
  """Types of the network's arithmetic; weights are always float32.

  Attributes:
    matmul_dtype: what the two sides of a matrix product are rounded to.
    activation_dtype: what is kept between products.
    accelerator: blocks are scanned and attention is the library's; otherwise
      both are written as a CPU likes them.
    blocked: a kernel of `models.blocked` for long sequences, if there is one.
  """

  matmul_dtype: str = 'float32'
  activation_dtype: str = 'float32'
  accelerator: bool = False
  blocked: Callable[..., jax.Array] | None = None


def build_precision(backend: str | None = None) -> Precision:
  """The fast policy of this backend.

  A CPU is asked what it can do, and XLA_FLAGS what XLA may use of it; neither
  is timed: a run that is resumed must choose the same arithmetic again.
  """
  backend = backend or jax.default_backend()
  if backend != 'cpu':
    kernel = blocked.find_kernel(backend)
    return Precision('bfloat16', 'bfloat16', accelerator=True, blocked=kernel)
  return Precision(matmul_dtype='bfloat16' if _cpu_has_bf16() else 'float32')


def _cpu_has_bf16() -> bool:
  flags = os.environ.get('XLA_FLAGS', '').split()
  isas = [flag[len(_ISA_FLAG) :] for flag in flags if _ISA_FLAG in flag]
  if isas and isas[-1].upper() in _NARROW_ISAS:  # XLA takes the last, too
    return False
  if not _CPU_INFO.exists():
    return False
  return bool(_CPU_FLAGS & set(_CPU_INFO.read_text().split()))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def dot(x: jax.Array, kernel: jax.Array, matmul_dtype: str) -> jax.Array:
  """`x [..., i] @ kernel [i, o]` in float32 from factors of `matmul_dtype`."""
  return product(x, kernel, (x.ndim - 1,), (0,), matmul_dtype)


def product(a, b, a_axes, b_axes, matmul_dtype: str) -> jax.Array:
  """`a` and `b` summed over these axes, in float32 from narrow factors."""
  return lax.dot_general(
    a.astype(matmul_dtype),
    b.astype(matmul_dtype),
    ((a_axes, b_axes), ((), ())),
    preferred_element_type=jnp.float32,
  )


def _dot_forward(x, kernel, matmul_dtype):
  # Not `dot`, in which rematerialization would see no product to keep.
  y = product(x, kernel, (x.ndim - 1,), (0,), matmul_dtype)
  return y, (x, kernel)


def _dot_backward(matmul_dtype, saved, g):
  x, kernel = saved
  rows = tuple(range(x.ndim - 1))
  dx = product(g, kernel, (g.ndim - 1,), (1,), matmul_dtype)
  dkernel = product(x, g, rows, rows, matmul_dtype)
  return dx.astype(x.dtype), dkernel.astype(kernel.dtype)


dot.defvjp(_dot_forward, _dot_backward)
