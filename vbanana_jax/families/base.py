"""What a family of networks has to have."""

from collections.abc import Mapping
from typing import Any, Protocol

from vbanana_jax.families.work import StepFlops
from vbanana_jax.models import Network, Precision, layers
from vbanana_jax.types import Tokenizer


class Family(Protocol):
  """What becomes of a config's section `model`; UserError names a mistake."""

  def label(self, model: Mapping[str, Any]) -> str:
    """What people call the network."""

  def load_tokenizer(self, model: Mapping[str, Any]) -> Tokenizer:
    """Of the network's instructions; read once a process."""

  def build_network(
    self,
    model: Mapping[str, Any],
    precision: Precision,
    constrain: layers.ActivationConstraint,
  ) -> Network:
    """The network, without weights.

    With `text_cache` it lacks what encodes instructions.

    Args:
      model: section of a config.
      precision: arithmetic.
      constrain: from `sharding.build_activation_constraint`.
    """

  def describe_memory(
    self, model: Mapping[str, Any], precision: Precision
  ) -> dict[str, Any]:
    """All that the memory of an instruction depends on, but the instruction.

    `shape` and `dtype` are those of one memory, an array; UserError where it
    is none that can be kept.
    """

  def load_parts(
    self, model: Mapping[str, Any], abstract: Mapping[str, Any], seed: int
  ) -> dict[str, Any]:
    """Parts of the weights as the family brings them; {} if they are new.

    Args:
      model: section of a config.
      abstract: shapes, types and shardings of the parts, by name.
      seed: of the run, for what is drawn.
    """

  def describe(self, model: Mapping[str, Any]) -> dict[str, str]:
    """What a checkpoint has to say of what is outside of it."""

  def count_step_flops(
    self, config: Mapping[str, Any], text_length: int
  ) -> StepFlops:
    """Work of one training step of a whole config, by hand."""
