"""Axis letters and the batch that flows from data to the compiled steps.

  b  batch          h w  pixels         c  channels      n  image tokens
  l  text tokens    d    width          k  heads         e  head width
  q  classes, instances or legend entries      t  sampler steps

Colors outside the network are RGB in [0, 1]; time runs from 0 (noise) to
1 (data); depth is z-depth in meters; normals have x right, y up, z to the
viewer.
"""

from typing import NotRequired, Protocol, TypedDict

import numpy as np
from jaxtyping import Array, Bool, Float, Int


class Batch(TypedDict):
  """One training batch; every leaf has the batch as its leading axis.

  Keys:
    tokens: instruction, padded with 0.
    source: source picture in [0, 1]; ignored where `has_source` is False.
    target: painted answer in [0, 1].
    weight_px: what each pixel counts for in the loss; 0 where it has no right
      answer.
    task: index into the mixture's tuple of task names.
    noise_scale: standard deviation of the noise (network units).
    one_pass_share: probability of training as a one-pass answer.
    index: global example index; seeds the example's noise and time.
    memory: what the network's text encoder made of the instruction, where a
      cache has it.
  """

  tokens: Int[Array, 'b l']
  source: Float[Array, 'b h w 3']
  has_source: Bool[Array, 'b']
  target: Float[Array, 'b h w 3']
  weight_px: Float[Array, 'b h w']
  task: Int[Array, 'b']
  noise_scale: Float[Array, 'b']
  one_pass_share: Float[Array, 'b']
  index: Int[Array, 'b']
  memory: NotRequired[Float[Array, 'b l j']]


class Tokenizer(Protocol):
  """Instructions to token ids; 0 fills up and is the id of no token.

  Attributes:
    hash: SHA-256 of the vocabulary's file.
  """

  hash: str

  def count(self, text: str) -> int:
    """Number of tokens of an instruction."""

  def encode(self, text: str, max_length: int) -> Int[np.ndarray, 'l']:
    """Token ids, filled up to `max_length`; UserError where there are more."""
