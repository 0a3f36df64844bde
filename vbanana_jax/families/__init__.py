"""Families of networks, by the name in `config.model.family`.

A family turns the section `model` of a config into a tokenizer, a network
(`models.contract`), weights that a training begins with, and a count of its
work. Nothing else in the library knows which families there are.
"""

from collections.abc import Mapping
from typing import Any

from vbanana_jax.errors import UserError
from vbanana_jax.families import klein, pixels
from vbanana_jax.families.base import Family
from vbanana_jax.families.work import StepFlops
from vbanana_jax.models import Precision
from vbanana_jax.types import Tokenizer

__all__ = [
  'FAMILIES',
  'Family',
  'Precision',
  'StepFlops',
  'get_family',
  'label',
  'load_tokenizer',
]

FAMILIES: dict[str, Family] = {
  'pixels': pixels.Pixels(),
  'klein': klein.KleinFamily(),
}


def get_family(model: Mapping[str, Any]) -> Family:
  """The family of a config's section `model`.

  Raises:
    UserError: there is none of that name.
  """
  name = model['family']
  if name not in FAMILIES:
    raise UserError(
      f'config.model.family is {name!r}: choose of {", ".join(FAMILIES)}'
    )
  return FAMILIES[name]


def label(config: Mapping[str, Any]) -> str:
  """What a config's network is called, in a word or two."""
  return get_family(config['model']).label(config['model'])


def load_tokenizer(config: Mapping[str, Any]) -> Tokenizer:
  """What turns instructions into the tokens of a config's network."""
  return get_family(config['model']).load_tokenizer(config['model'])
