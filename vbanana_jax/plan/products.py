"""FLOPs of the matrix products in a compiled program."""

import math
import re

import numpy as np

from vbanana_jax.plan.hlo import Instruction, Shape

# Products of queries and keys that a kernel makes, of their size each: scores
# and values; in the backward pass the scores again, and the gradients of
# values, weights, queries and keys.
_PRODUCTS = {'splash_mha_fwd': 2, 'splash_mha_dkv': 5}
_FIRST = 2  # operand of these that holds the queries; the keys are next


def find_kernel(one: Instruction) -> str | None:
  """Name of the Pallas kernel that an instruction calls; None of others."""
  if '"tpu_custom_call"' not in one.attributes:
    return None
  # What else is in a name: whether keys are masked, and what is returned.
  return re.sub(r'_segmented|_(no_)?residuals|[.\d]+$', '', one.name)


def count_product(one: Instruction, operands: list[tuple[Shape, ...]]) -> float:
  """FLOPs of a `dot`, a `convolution` or attention; 0 of anything else.

  Args:
    one: the instruction.
    operands: shapes of each of its operands.
  """
  if one.opcode == 'dot':
    axes = re.search(r'lhs_contracting_dims=\{([\d,]*)\}', one.attributes)
    sizes = operands[0][0].dimensions
    summed = [sizes[int(k)] for k in axes[1].split(',') if k] if axes else []
    return 2.0 * math.prod(one.shapes[0].dimensions) * math.prod(summed)
  kernel = find_kernel(one)
  if kernel in _PRODUCTS:
    queries, keys = (shape[0].dimensions for shape in operands[_FIRST:][:2])
    return 2.0 * _PRODUCTS[kernel] * math.prod(queries) * keys[-2]
  if one.opcode != 'convolution':
    return 0.0
  labels = re.search(r'dim_labels=(\w+)_(\w+)->(\w+)', one.attributes).groups()
  left, right, out = (
    dict(zip(label, shape.dimensions))
    for label, shape in zip(
      labels, (operands[0][0], operands[1][0], one.shapes[0])
    )
  )
  flops = 2.0 * out['b'] * out['f'] * right['i']
  for k, window in enumerate(_read_windows(one.attributes)):
    flops *= _count_pairs(left[str(k)], right[str(k)], out[str(k)], **window)
  return flops


def _read_windows(attributes: str) -> list[dict[str, int]]:
  """Stride, dilation and padding before, of each spatial axis."""
  text = re.search(r'window=\{([^}]*)\}', attributes)
  if not text:
    return []
  fields = dict(word.split('=') for word in text[1].split())
  count = len(fields['size'].split('x'))

  def read(name, default):
    return fields[name].split('x') if name in fields else [default] * count

  return [
    {
      'stride': int(stride),
      'pad': int(pad.split('_')[0]),
      'left_step': int(left),
      'right_step': int(right),
    }
    for stride, pad, left, right in zip(
      read('stride', '1'),
      read('pad', '0_0'),
      read('lhs_dilate', '1'),
      read('rhs_dilate', '1'),
    )
  ]


def _count_pairs(
  left, right, out, *, stride, pad, left_step, right_step
) -> int:
  """Products along one spatial axis that do not fall on padding.

  Compilers write batches of matrix products as such axes.
  """
  at = np.arange(out)[:, None] * stride + np.arange(right) * right_step - pad
  inside = (at >= 0) & (at <= (left - 1) * left_step) & (at % left_step == 0)
  return int(inside.sum())
