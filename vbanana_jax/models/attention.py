"""Attention: the library's on accelerators, our own on a CPU."""

import functools

import jax
import jax.numpy as jnp

from vbanana_jax.models import blocked, numerics


def attend(
  q: jax.Array,
  k: jax.Array,
  v: jax.Array,
  mask: jax.Array,
  precision: numerics.Precision,
) -> jax.Array:
  """Bidirectional attention with a float32 softmax.

  Args:
    q: `[b, n, k, e]`, root mean square 1 times a learned gain.
    k: `[b, m, k, e]`, likewise.
    v: `[b, m, k, e]`.
    mask: `[b, m]`, True where a key may be seen.
    precision: the type of operands, and whether this is for an accelerator.

  Returns:
    `[b, n, k * e]`.
  """
  b, n, heads, e = q.shape
  if blocked.suits(precision.blocked, q, k):
    out = precision.blocked(q, k, v, mask)
  elif precision.accelerator:
    mask = jnp.broadcast_to(mask[:, None, None, :], (b, heads, n, k.shape[1]))
    out = jax.nn.dot_product_attention(q, k, v, mask=mask)
  else:
    # A head's queries, keys and values side by side suit a CPU's products.
    q, k, v = (x.swapaxes(1, 2) for x in (q * e**-0.5, k, v))
    out = _attend_by_head(q, k, v, mask, precision.matmul_dtype).swapaxes(1, 2)
  return out.reshape(b, n, heads * e)


# exp() of this, and one over it, are still far from the end of float32.
_LARGEST_LOGIT = 60.0


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _attend_by_head(q, k, v, mask, matmul_dtype):
  """Attention of `[b, k, n, e]` with queries that are scaled already.

  Logits beyond the caps have gradients still, so that they can come back.
  """
  return _attend_forward(q, k, v, mask, matmul_dtype)[0]


def _attend_forward(q, k, v, mask, matmul_dtype):
  """The textbook's operations, in the order that costs a CPU least.

  Normalized queries and keys bound the logits, so no maximum is subtracted,
  and the division waits until the values are summed.
  """
  logits = _product('bkne,bkme->bknm', q, k, matmul_dtype)
  weights = jnp.exp(jnp.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT))
  weights = jnp.where(mask[:, None, None, :], weights, 0.0)
  total = jnp.sum(weights, axis=-1, keepdims=True)
  out = _product('bknm,bkme->bkne', weights, v, matmul_dtype) / total
  return out, (q, k, v, weights, total)


def _attend_backward(matmul_dtype, saved, g):
  q, k, v, weights, total = saved
  g = g / total
  dweights = _product('bkne,bkme->bknm', g, v, matmul_dtype)
  mean = jnp.sum(weights * dweights, axis=-1, keepdims=True) / total
  dlogits = weights * (dweights - mean)
  dq = _product('bknm,bkme->bkne', dlogits, k, matmul_dtype)
  dk = _product('bknm,bkne->bkme', dlogits, q, matmul_dtype)
  dv = _product('bknm,bkne->bkme', weights, g, matmul_dtype)
  return dq, dk, dv, None


_attend_by_head.defvjp(_attend_forward, _attend_backward)


def _product(form, a, b, matmul_dtype):
  return jnp.einsum(
    form,
    a.astype(matmul_dtype),
    b.astype(matmul_dtype),
    preferred_element_type=jnp.float32,
  )
