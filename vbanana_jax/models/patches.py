"""Patches of a picture as tokens, and features of their place and time."""

import jax
import jax.numpy as jnp
import numpy as np

_TIME_FEATURES = 128
_POSITION_OCTAVES = 6


def patchify(picture: jax.Array, patch: int) -> jax.Array:
  """`[b, h, w, c]` to `[b, n, c * patch**2]`, row by row."""
  b, h, w, c = picture.shape
  x = picture.reshape(b, h // patch, patch, w // patch, patch, c)
  return x.swapaxes(2, 3).reshape(b, -1, patch * patch * c)


def unpatchify(x: jax.Array, grid: tuple[int, int], patch: int) -> jax.Array:
  """Inverse of `patchify` for a grid of `(rows, columns)` patches."""
  b, (rows, columns) = x.shape[0], grid
  x = x.reshape(b, rows, columns, patch, patch, -1).swapaxes(2, 3)
  return x.reshape(b, rows * patch, columns * patch, -1)


def blend_patches(x: jax.Array, grid: tuple[int, int], patch: int) -> jax.Array:
  """A picture of patches twice as wide as their places, blended where they lie.

  A patch reaches half a patch beyond its place on all sides and fades towards
  its ends, so that no edge between two places shows in the picture.

  Args:
    x: `[b, n, c * (2 * patch)**2]`.
    grid: rows and columns of places.
    patch: side of a place in pixels; even.

  Returns:
    `[b, rows * patch, columns * patch, c]`.
  """
  b, (rows, columns) = x.shape[0], grid
  fade = _fade(patch)
  x = x.reshape(b, rows, columns, 2 * patch, 2 * patch, -1)
  c = x.shape[-1]
  x = x * (fade[:, None] * fade)[..., None]
  # A row of pixels stays one axis: an axis of three colors would be padded.
  x = x.reshape(b, rows, columns, 2, patch, 2, patch * c)
  canvas = sum(
    jnp.pad(
      x[:, :, :, i, :, j].swapaxes(2, 3),  #     b rows p columns p*c
      ((0, 0), (i, 1 - i), (0, 0), (j, 1 - j), (0, 0)),
    )
    for i in (0, 1)
    for j in (0, 1)
  )
  height, width, margin = rows * patch, columns * patch, patch // 2
  canvas = canvas.reshape(b, height + patch, (width + patch) * c)
  blended = canvas[
    :, margin : margin + height, margin * c : (margin + width) * c
  ]
  cover = [_cover(places, patch) for places in grid]
  blended = blended.reshape(b, height, width, c)
  return blended / (cover[0][:, None] * cover[1])[..., None]


def _fade(patch: int) -> np.ndarray:
  """Weights of the pixels across a patch: those of two neighbors sum to 1."""
  rise = (np.arange(patch, dtype='f') + 0.5) / patch
  return np.concatenate([rise, rise[::-1]])


def _cover(places: int, patch: int) -> np.ndarray:
  """Sum of the weights at each pixel of a row of places; 1 but at its ends."""
  whole = np.zeros((places + 1) * patch, 'f')
  for place in range(places):
    whole[place * patch : (place + 2) * patch] += _fade(patch)
  margin = patch // 2
  return whole[margin:-margin]


def list_places(grid: tuple[int, int]) -> np.ndarray:
  """Row and column of every patch, `[n, 2]`."""
  return np.stack(np.indices(grid), axis=-1).reshape(-1, 2).astype('f')


def position_features(grid: tuple[int, int]) -> np.ndarray:
  """Sines and cosines of the place in the frame, `[n, 4 * octaves]`.

  Unlike RoPE these know where the frame ends, at any size and aspect.
  """
  centers = (list_places(grid) + 0.5) / np.array(
    grid, 'f'
  )  #             in (0, 1)
  angles = np.pi * centers[:, :, None] * 2.0 ** np.arange(_POSITION_OCTAVES)
  angles = angles.reshape(len(centers), -1)
  return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype('f')


def time_features(time: jax.Array) -> jax.Array:
  """Sines and cosines of the time, `[b, 128]`."""
  frequencies = np.pi * np.geomspace(0.5, 500.0, _TIME_FEATURES // 2)
  angles = time[:, None] * frequencies.astype('f')
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
