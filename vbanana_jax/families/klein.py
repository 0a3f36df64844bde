"""FLUX.2 klein base, tuned from an import: `config.model.snapshot`.

Its instructions, shapes and first weights are those of the import, and so are
the parts that are never trained, which no checkpoint repeats.
"""

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from vbanana_jax import keys, models
from vbanana_jax.errors import UserError
from vbanana_jax.families import klein_work
from vbanana_jax.families.work import StepFlops
from vbanana_jax.klein import adapter_files, imported, lora
from vbanana_jax.klein.snapshot import Snapshot
from vbanana_jax.klein.tokenizer import PromptTokenizer
from vbanana_jax.models import layers
from vbanana_jax.models.klein.network import Klein, KleinConfig


class KleinTokenizer:
  """Prompts in klein's form, as ids plus one: see `types.Tokenizer`."""

  def __init__(self, prompts: PromptTokenizer):
    self._prompts = prompts
    self.hash: str = prompts.hash

  def count(self, text: str) -> int:
    """Number of tokens, those of the form included."""
    return self._prompts.count(text)

  def encode(self, text: str, max_length: int) -> Int[np.ndarray, 'l']:
    """Ids plus one, filled up with 0.

    Raises:
      UserError: there are more than `max_length`, or the text holds a mark.
    """
    ids = self._prompts.encode(text, max_length)
    used = np.arange(max_length) < self._prompts.count(text)
    return np.where(used, ids + 1, 0).astype(np.int32)


class KleinFamily:
  """See `base.Family`."""

  def label(self, model: Mapping[str, Any]) -> str:
    manifest = imported.load_manifest(_get_folder(model))
    return f'klein ({manifest["network"]})'

  def load_tokenizer(self, model: Mapping[str, Any]) -> KleinTokenizer:
    return KleinTokenizer(_open(_get_folder(model)).tokenizer)

  def build_network(
    self,
    model: Mapping[str, Any],
    precision: models.Precision,
    constrain: layers.ActivationConstraint,
  ) -> Klein:
    if model['remat'] not in layers.REMAT:
      raise UserError(
        f'config.model.remat is {model["remat"]!r}: choose of '
        f'{", ".join(layers.REMAT)}'
      )
    snapshot = imported.open_import(_get_folder(model), precision)
    prompts = snapshot.tokenizer
    networks = {
      name: part.network.clone(constrain=constrain)
      if name != 'vae'
      else part.network
      for name, part in snapshot.parts.items()
    }
    shape = networks['transformer'].config
    networks['transformer'] = networks['transformer'].clone(
      config=dataclasses.replace(shape, remat=model['remat'])
    )
    nothing = tuple(prompts.list_ids(''))
    if model['max_text'] < len(nothing):
      raise UserError(
        f'config.model.max_text is {model["max_text"]}: the form around an '
        f'instruction alone has {len(nothing)} tokens'
      )
    if model['text_cache']:
      networks['text_encoder'] = None
    config = KleinConfig(
      max_text=model['max_text'],
      patch=math.lcm(*networks['vae'].config.token_px),
      pad=prompts.pad,
      nothing=nothing,
    )
    return Klein(config, **networks, change=_find_change(model, snapshot))

  def describe_memory(
    self, model: Mapping[str, Any], precision: models.Precision
  ) -> dict[str, Any]:
    folder = _get_folder(model)
    files = imported.load_manifest(folder)['files']
    told = {
      name: files[name]['sha256']
      for name in sorted(files)
      if name.startswith(('text_encoder/', 'tokenizer/'))
    }
    snapshot = _open(folder)
    features = snapshot.parts['text_encoder'].network.config.features
    return {
      'network': 'klein',
      'text_encoder': hashlib.sha256(json.dumps(told).encode()).hexdigest(),
      'states': list(snapshot.states),
      'max_text': model['max_text'],
      'shape': [model['max_text'], features],
      # Products round their factors to it anyway.
      'dtype': precision.matmul_dtype,
    }

  def load_parts(
    self, model: Mapping[str, Any], abstract: Mapping[str, Any], seed: int
  ) -> dict[str, Any]:
    snapshot = _open(_get_folder(model))
    parts = {
      name: snapshot.load(name, _get_type(part), part)
      for name, part in abstract.items()
      if name != 'lora'
    }
    if 'lora' in abstract:
      parts['lora'] = _make_factors(model, snapshot, seed)
    return parts

  def describe(self, model: Mapping[str, Any]) -> dict[str, str]:
    folder = _get_folder(model)
    return {
      'tokenizer': self.load_tokenizer(model).hash,
      'snapshot': imported.load_manifest(folder)['fingerprint'],
    }

  def count_step_flops(
    self, config: Mapping[str, Any], text_length: int
  ) -> StepFlops:
    del text_length  # all instructions are filled up to one length
    snapshot = _open(_get_folder(config['model']))
    return klein_work.count_step_flops(config, snapshot)


@functools.lru_cache(maxsize=2)
def _open(folder: str) -> Snapshot:
  return imported.open_import(folder, models.Precision())


def _find_change(
  model: Mapping[str, Any], snapshot: Snapshot
) -> lora.LowRank | None:
  """What is trained instead of the transformer, if `lora.rank` says so."""
  section = model['lora']
  if not section['rank']:
    return None
  return lora.make_change(section, snapshot.parts['transformer'])


def _make_factors(
  model: Mapping[str, Any], snapshot: Snapshot, seed: int
) -> lora.Factors:
  """Those of the adapter that `lora.path` names, or new ones."""
  change = _find_change(model, snapshot)
  folder = model['lora']['path']
  if not folder:
    return change.make_factors(keys.make_key(seed, 'init'))
  adapter = adapter_files.read(folder, change.rows, change.abstract)
  wanted = set(lora.list_targets(change.rows, change.targets))
  rank = lora.find_rank(adapter.factors)
  if wanted != set(adapter.factors) or rank != change.rank:
    raise UserError(
      f'{folder} changes {len(adapter.factors)} kinds of matrices with rank '
      f'{rank}, and config.model.lora asks for {len(wanted)} with rank '
      f'{change.rank}: set rank and targets to what it has'
    )
  if adapter.scale != change.scale:
    raise UserError(
      f'{folder} has alpha {adapter.scale * rank:g}: set '
      f'config.model.lora.alpha={adapter.scale * rank:g}'
    )
  return adapter.factors


def _get_folder(model: Mapping[str, Any]) -> str:
  folder = model['snapshot']
  if not folder:
    raise UserError(
      'config.model.snapshot is empty: name the folder that vbanana import '
      'klein made, as --config.model.snapshot=imports/klein_4b'
    )
  return folder


def _get_type(part: Any) -> Any:
  """The one type of all arrays of a part."""
  types = {leaf.dtype for leaf in jax.tree.leaves(part)}
  (found,) = types
  return found
