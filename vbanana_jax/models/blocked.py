"""Attention of long sequences, in blocks that a chip holds.

The scores of 8,704 tokens, which a picture of 1024 pixels a side and its source
have, do not fit into a chip's memory. Kernels that come with JAX go through
them block by block: splash on a TPU, cuDNN's on a GPU.
"""

import functools
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu import splash_attention as splash
from jaxtyping import Array, Bool, Float

# Shorter sequences are faster whole: their scores stay on the chip.
LEAST_TOKENS = 1024

_BLOCK = 512  # queries, and keys, at a time
_LANES = 128  # least block of the kernel
_AMPERE = 8.0  # the first of NVIDIA's that cuDNN's kernel is written for

# Of queries, keys, values and, if not all keys may be seen, a mask.
Kernel = Callable[..., jax.Array]


def find_kernel(platform: str) -> Kernel | None:
  """The kernel of this platform; None where there is none, as on a CPU."""
  if platform == 'tpu':
    return attend_splash
  if platform == jax.default_backend() == 'gpu':
    found = getattr(jax.devices()[0], 'compute_capability', '')
    if re.fullmatch(r'[0-9.]+', found) and float(found) >= _AMPERE:
      return attend_cudnn
  return None


def suits(kernel: Kernel | None, q: jax.Array, k: jax.Array) -> bool:
  """Whether queries and keys `[b, n, k, e]` are attended to in blocks."""
  return kernel is not None and max(q.shape[1], k.shape[1]) >= LEAST_TOKENS


def attend_splash(
  q: Float[Array, 'b n k e'],
  k: Float[Array, 'b m k e'],
  v: Float[Array, 'b m k e'],
  mask: Bool[Array, 'b m'] | None = None,
  *,
  interpret: bool = False,
) -> Float[Array, 'b n k e']:
  """Attention by JAX's splash kernel for TPUs, with a float32 softmax.

  Args:
    q: queries, on one device.
    k: keys.
    v: values.
    mask: True where a key may be seen; everywhere if not given.
    interpret: whether to compute as the kernel does, on any device.

  Returns:
    what the queries see, in the type of `v`.
  """
  n, m, heads = q.shape[1], k.shape[1], q.shape[2]
  q = (q * q.shape[-1] ** -0.5).astype(k.dtype)
  q, k, v = (_pad(x).swapaxes(1, 2) for x in (q, k, v))
  rows, columns = q.shape[2], k.shape[2]
  kernel = _make_splash(heads, rows, columns, interpret)
  if mask is None and columns == m:
    out = jax.vmap(kernel)(q, k, v)
  else:
    if mask is None:
      mask = jnp.ones((len(k), m), bool)
    seen = splash.SegmentIds(
      q=jnp.ones((len(q), rows), jnp.int32),
      kv=jnp.pad(mask, ((0, 0), (0, columns - m))).astype(jnp.int32),
    )
    out = jax.vmap(kernel)(q, k, v, seen)
  return out.swapaxes(1, 2)[:, :n]


def attend_cudnn(
  q: Float[Array, 'b n k e'],
  k: Float[Array, 'b m k e'],
  v: Float[Array, 'b m k e'],
  mask: Bool[Array, 'b m'] | None = None,
) -> Float[Array, 'b n k e']:
  """Attention by cuDNN, with a float32 softmax and factors of bfloat16.

  The arguments and the result are those of `attend_splash`.
  """
  narrow = (x.astype(jnp.bfloat16) for x in (q, k, v))
  out = jax.nn.dot_product_attention(
    *narrow,
    mask=None if mask is None else mask[:, None, None, :],
    implementation='cudnn',
  )
  return out.astype(v.dtype)


def _block(count: int) -> int:
  return min(_BLOCK, -(-count // _LANES) * _LANES)


def _pad(x: Float[Array, 'b n k e']) -> Float[Array, 'b r k e']:
  count = x.shape[1]
  return jnp.pad(x, ((0, 0), (0, -count % _block(count)), (0, 0), (0, 0)))


@functools.lru_cache
def _make_splash(heads: int, n: int, m: int, interpret: bool):
  mask = splash.MultiHeadMask([splash.FullMask((n, m))] * heads)
  rows, columns = _block(n), _block(m)
  blocks = splash.BlockSizes(
    block_q=rows,
    block_kv=columns,
    block_kv_compute=columns,
    block_q_dkv=rows,
    block_kv_dkv=columns,
    block_kv_dkv_compute=columns,
    use_fused_bwd_kernel=True,
  )
  with jax.ensure_compile_time_eval():
    return splash.make_splash_mha_single_device(
      mask, block_sizes=blocks, interpret=interpret
    )
