"""What the rest of the library knows of a network, whatever it is.

A network works on latents `[b, y, x, c]`: the pixels themselves, or tokens of
what an autoencoder makes of them. Noise, times, the loss and the samplers live
there; pictures in [0, 1] go in through `to_latents` and come out of
`from_latents`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import jax
from jaxtyping import Array, Bool, Float, Int

from vbanana_jax.models.numerics import Precision


@dataclasses.dataclass(frozen=True)
class FlowTraits:
  """How a network stands to the flow from noise (time 0) to pictures (time 1).

  Attributes:
    prediction: what it returns, of `diffusion.flow.PREDICTIONS`.
    times: between which times it is sampled, a key of
      `inference.sampling.TIMES`.
    start_time: the least time that a sampler tells it.
    guided: times inside of which guidance acts.
    unit_noise: whether its noise has unit strength, whatever a task asks for.
  """

  prediction: str
  times: str
  start_time: float
  guided: tuple[float, float]
  unit_noise: bool


class Network(Protocol):
  """A `flax.linen.Module`; `pool_weights` and `make_inputs`
  are called plainly, the other methods through `apply`.

  Attributes:
    config: has at least `max_text`, the longest instruction in tokens, and
      `patch`, which divides the sides of pictures in pixels.
    precision: arithmetic.
    flow: see `FlowTraits`.
    heads: numbers of attention heads, by what they attend for.
    frozen: types of the parts that are never trained, by their name at the
      root of the parameters.
    memory_rows: of the leaves of a memory, the axis that counts instructions.
  """

  config: Any
  precision: Precision
  flow: FlowTraits
  heads: Mapping[str, int]
  frozen: Mapping[str, str]
  memory_rows: Any

  def __call__(
    self,
    latents: Float[Array, 'b y x c'],
    time: Float[Array, 'b'],
    tokens: Int[Array, 'b l'],
    source: Float[Array, 'b y x c'],
    has_source: Bool[Array, 'b'],
  ) -> Float[Array, 'b y x c']:
    """`denoise` after `encode_text`."""

  def make_inputs(self, size: int) -> tuple[jax.Array, ...]:
    """Of `__call__`, for one picture with sides of `size` pixels."""

  def encode_text(self, tokens: Int[Array, 'b l']) -> Any:
    """Memory of instructions, padded with 0; of zeros alone, of none.

    A network for batches that bring their `memory` need not have it.
    """

  def encode_nothing(self, memory: Any) -> Any:
    """Memory of no instruction, one row, as long as `memory`."""

  def denoise(
    self,
    latents: Float[Array, 'b y x c'],
    time: Float[Array, 'b'],
    memory: Any,
    source: Float[Array, 'b y x c'],
    has_source: Bool[Array, 'b'],
  ) -> Float[Array, 'b y x c']:
    """The prediction that `flow` names.

    Args:
      latents: noisy, or zeros at time 0 for an answer in one pass.
      time: in [0, 1].
      memory: from `encode_text`.
      source: latents of the source picture; ignored without one.
      has_source: whether there is one.
    """

  def to_latents(self, rgb: Float[Array, 'b h w 3']) -> jax.Array:
    """Latents of pictures in [0, 1]."""

  def from_latents(self, latents: Float[Array, 'b y x c']) -> jax.Array:
    """Pictures `[b, h, w, 3]`, which may leave [0, 1]."""

  def pool_weights(self, weight_px: Float[Array, 'b h w']) -> jax.Array:
    """`[b, y, x]`: weights of the pixels of each place, added up."""
