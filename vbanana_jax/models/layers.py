"""Layers shared by the image transformer and the text stack."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax.models import numerics

# Tells the compiler where activations live; see
# `sharding.build_activation_constraint`.
ActivationConstraint = Callable[[jax.Array], jax.Array]

_HIDDEN_MULTIPLE = 64


def identity(x: jax.Array) -> jax.Array:
  """The `ActivationConstraint` of one device: `x` as it is."""
  return x


def hidden_width(width: int) -> int:
  """SwiGLU width with the cost of a plain 4x MLP: 8/3, rounded up."""
  return -(-8 * width // 3 // _HIDDEN_MULTIPLE) * _HIDDEN_MULTIPLE


def named(init: Callable[..., Any], *names: str) -> Callable[..., Any]:
  """An initializer whose array knows the logical names of its axes.

  `vbanana_jax.sharding` decides which of them are split over which devices.
  """
  return nn.with_logical_partitioning(init, names)


class Dense(nn.Module):
  """`x [..., i] -> [..., features]`, by `numerics.dot`.

  `axes` are the logical names of the kernel's two. Variables `lora`, `down`
  [i, rank] and `up` [rank, features], change it where they are given.
  """

  features: int
  precision: numerics.Precision
  axes: tuple[str, str]
  use_bias: bool = False
  kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, x):
    kernel = self.param(
      'kernel',
      named(self.kernel_init, *self.axes),
      (x.shape[-1], self.features),
    )
    y = numerics.dot(x, kernel, self.precision.matmul_dtype)
    if self.has_variable('lora', 'down'):
      change = x
      for name in ('down', 'up'):
        factor = self.get_variable('lora', name)
        change = numerics.dot(change, factor, self.precision.matmul_dtype)
      y += change
    if self.use_bias:
      zeros = named(nn.initializers.zeros, 'vector')
      y += self.param('bias', zeros, (self.features,))
    return y.astype(self.precision.activation_dtype)


def rms_norm(x: jax.Array) -> jax.Array:
  """`x` over the root of its mean square along the last axis, in float32."""
  x32 = x.astype(jnp.float32)
  scale = jax.lax.rsqrt(jnp.mean(x32 * x32, axis=-1, keepdims=True) + 1e-6)
  return (x32 * scale).astype(x.dtype)


class RMSNorm(nn.Module):
  """`rms_norm` with a learned gain."""

  @nn.compact
  def __call__(self, x):
    ones = named(nn.initializers.ones, 'vector')
    gain = self.param('scale', ones, (x.shape[-1],))
    return (rms_norm(x) * gain).astype(x.dtype)


@jax.custom_vjp
def _swiglu(gate, up):
  """`silu(gate) * up`, of which the backward pass keeps these two alone.

  Derived by JAX, a step takes 8 % more memory.
  """
  return nn.silu(gate) * up


def _open_forward(gate, up):
  return _swiglu(gate, up), (gate, up)


def _open_backward(saved, g):
  gate, up = saved
  share = nn.sigmoid(gate)
  opened = gate * share
  return g * up * (share + opened * (1 - share)), g * opened


_swiglu.defvjp(_open_forward, _open_backward)


class SwiGLU(nn.Module):
  """`down(silu(gate(x)) * up(x))`."""

  precision: numerics.Precision

  @nn.compact
  def __call__(self, x):
    width, hidden = x.shape[-1], hidden_width(x.shape[-1])
    wide, narrow = ('embed', 'mlp'), ('mlp', 'embed')
    gate = Dense(hidden, self.precision, wide, name='gate')(x)
    up = Dense(hidden, self.precision, wide, name='up')(x)
    return Dense(width, self.precision, narrow, name='down')(_swiglu(gate, up))


def rope_sin_cos(
  positions: np.ndarray, head_width: int, base: float = 100.0
) -> tuple[np.ndarray, np.ndarray]:
  """Cosines and sines `[n, e]` for `apply_rope`.

  The first half of a head turns with the positions, shared evenly between
  their axes; the other half never turns, so that content can be matched
  wherever it is (image queries against text keys, which have no place).

  Args:
    positions: `[n, axes]`.
    head_width: e, a multiple of 4 x axes.
    base: ratio of the fastest to the slowest frequency.
  """
  axes = positions.shape[1]
  pairs = head_width // 4 // axes
  frequencies = base ** (-np.arange(pairs) / pairs)
  angles = (positions[:, :, None] * frequencies).reshape(len(positions), -1)
  angles = np.concatenate([angles, np.zeros_like(angles)], axis=1)
  angles = np.repeat(angles, 2, axis=1)  # neighbors 2i and 2i + 1 turn together
  return np.cos(angles).astype('f'), np.sin(angles).astype('f')


def apply_rope(
  x: jax.Array, tables: tuple[np.ndarray, np.ndarray], matmul_dtype: str
) -> jax.Array:
  """Rotary position embedding of `x [b, n, k, e]`.

  The quarter turn is a small signed permutation and is written as a product:
  slicing and joining halves costs a CPU several times more.

  Args:
    x: rounded to `matmul_dtype` where it is turned.
    tables: from `rope_sin_cos`.
    matmul_dtype: see `numerics.dot`.
  """
  cos, sin = tables
  turned = _rotate_half(x, matmul_dtype)
  return (x * cos[:, None] + turned * sin[:, None]).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _rotate_half(x, matmul_dtype):
  # With `numerics.dot` there would be a gradient of the constant matrix too.
  return _turn(x, matmul_dtype)


def _turn(x, matmul_dtype):
  e = x.shape[-1]
  even = np.arange(0, e, 2)
  matrix = np.zeros((e, e), np.float32)
  matrix[even + 1, even] = -1.0
  matrix[even, even + 1] = 1.0
  return numerics.product(x, matrix, (x.ndim - 1,), (0,), matmul_dtype).astype(
    x.dtype
  )


def _turn_forward(x, matmul_dtype):
  return _turn(x, matmul_dtype), None


def _turn_backward(matmul_dtype, saved, g):
  return (-_turn(g, matmul_dtype),)  # The other way round.


_rotate_half.defvjp(_turn_forward, _turn_backward)


def apply_blocks(
  block: type[nn.Module],
  depth: int,
  *,
  per_block: int,
  shared: int,
  remat: str,
  precision: numerics.Precision,
  **kwargs,
) -> nn.Module:
  """`depth` blocks as one module with one stacked parameter tree.

  On accelerators the blocks are a `lax.scan` (compile time does not grow with
  depth); on a CPU they are unrolled, because a scan costs 1.2x a step there.

  Args:
    block: called as `block(policy=policy, **kwargs)(x, *per_block_inputs,
      *shared_inputs)` and returning `(x, None)`.
    depth: number of blocks.
    per_block: how many inputs carry a leading block axis.
    shared: how many inputs are the same for every block.
    remat: 'none', or 'full' to keep only each block's input for the backward
      pass, or 'dots' to keep the results of matrix products.
    precision: says whether this is for an accelerator; passed to `block`.
    **kwargs: passed to `block`.
  """
  block = REMAT[remat](block)
  stack = nn.scan(
    block,
    variable_axes={'params': 0, 'lora': 0},
    split_rngs={'params': True},
    in_axes=(0,) * per_block + (nn.broadcast,) * shared,
    length=depth,
    unroll=1 if precision.accelerator else depth,
    metadata_params={nn.PARTITION_NAME: 'layers'},
  )
  return stack(precision=precision, **kwargs)


REMAT = {
  'none': lambda block: block,
  'full': lambda block: nn.remat(block, prevent_cse=False),
  'dots': lambda block: nn.remat(
    block,
    prevent_cse=False,
    policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
  ),
}
