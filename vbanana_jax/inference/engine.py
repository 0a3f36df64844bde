"""A network with its weights, painting whatever comes, in few programs.

What is compiled depends on the grid, on the number of rows and on the length
of the instruction, so each takes few values: grids are `predict.make_grid`'s,
a batch has one row or `rows`, and instructions are padded to a power of two. It
does not depend on the seed.
The keys and values of an instruction are computed once for all that share it.

Of several processes all ask for the same and get the same pictures, or the
first asks and the others paint along: see `InferenceEngine.lead`.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vbanana_jax import families, sharding
from vbanana_jax.diffusion import samplers
from vbanana_jax.errors import UserError
from vbanana_jax.inference import sampling
from vbanana_jax.runtime import processes
from vbanana_jax.tokenizer.tokenizer import Tokenizer

_SHORTEST_TEXT = 16  # tokens
_MOST_KNOWN = 32  # instructions whose keys and values are kept


class SamplerConfig(NamedTuple):
  """How to paint: see `sampling.make_sample_fn`."""

  seed: int | None
  steps: int
  guidance: float = 1.0
  method: str = samplers.DEFAULT


@dataclasses.dataclass(frozen=True, eq=False)
class GenerationInput:
  """One picture to paint.

  Attributes:
    source: `[h, w, 3]` in [0, 1] on the network's grid; zeros where there is
      none.
    has_source: whether it is a picture at all.
    prompt: the instruction.
    noise_scale: of the task.
    label: what the caller knows it by.
  """

  source: np.ndarray
  has_source: bool
  prompt: str
  noise_scale: float
  label: Any = None


class InferenceEngine:
  """Paints with one network; compiles what it needs and keeps it.

  Args:
    model: see `models.contract.Network`.
    params: its weights, on the devices of `mesh`.
    mesh: the devices that share the rows of a batch.
    tokenizer: of the network; the package's own if not given.
  """

  def __init__(
    self,
    model,
    params: Any,
    mesh: jax.sharding.Mesh,
    tokenizer: families.Tokenizer | None = None,
  ):
    self._tokenizer = tokenizer or Tokenizer.load()
    self._model, self._params, self._mesh = model, params, mesh
    self._whole = sharding.replicated_sharding(mesh)
    self._painters: dict[SamplerConfig, Any] = {}
    self._encode = jax.jit(
      sampling.make_text_encoder(model), out_shardings=self._whole
    )
    self._known: dict[str, Any] = {}  # text memories by prompt
    self._leads = False

  def set_params(self, params: Any) -> None:
    """Other weights of the same shapes and shardings; nothing is compiled."""
    self._params = params
    self._known.clear()

  def lead(self, work: Callable[[], int]) -> int:
    """What `work` returns, which paints; of several processes, in the first.

    The others paint along, and return 0 when it is done. They need neither its
    photos nor its files.
    """
    if jax.process_count() == 1:
      return work()
    if not processes.is_first():
      while asked := processes.broadcast_from_first(str):
        self._paint_along(**json.loads(asked))
      return 0
    self._leads = True
    try:
      found = work()
    except UserError:  # it is raised before or after painting
      processes.broadcast_from_first(str)
      raise
    finally:
      self._leads = False
    processes.broadcast_from_first(str)
    return found

  def paint(
    self, sampler: SamplerConfig, items: Sequence[GenerationInput]
  ) -> np.ndarray:
    """All of one grid in one batch, `[n, h, w, 3]` in [0, 1].

    The batch is filled up with copies of the last one, if the devices cannot
    share it.

    Raises:
      UserError: an instruction that is too long for the network.
    """
    n = len(items)
    items = [*items, *[items[-1]] * (sharding.round_up_rows(n, self._mesh) - n)]
    sources = np.stack([item.source for item in items])
    asked = {
      'sampler': sampler,
      'shape': sources.shape,
      'has_source': [item.has_source for item in items],
      'prompts': [item.prompt for item in items],
      'noise_scale': [float(item.noise_scale) for item in items],
    }
    if self._leads:
      self._make_tokens(asked['prompts'])  # before the others begin
      processes.broadcast_from_first(lambda: json.dumps(asked))
    return self._paint_along(**asked, sources=sources)[:n]

  def _paint_along(
    self, sampler, shape, has_source, prompts, noise_scale, sources=None
  ) -> np.ndarray:
    """What every process does of a batch; who is led gets its `sources`."""
    sampler = SamplerConfig(*sampler)
    if self._leads or sources is None:
      sources = processes.broadcast_array(
        np.zeros(shape, np.float32) if sources is None else sources
      )
    unseeded = sampler._replace(seed=None)
    if unseeded not in self._painters:
      self._painters[unseeded] = jax.jit(
        sampling.make_sample_fn(self._model, **unseeded._asdict()),
        out_shardings=self._whole,
      )
    batch = {
      'source': sources,
      'has_source': np.array(has_source),
      'noise_scale': np.array(noise_scale, np.float32),
      # The noise of a picture does not depend on what is painted beside it.
      'index': np.zeros(len(prompts), np.int32),
    }
    own = sharding.local_batch_indices(len(prompts), self._mesh)
    batch = sharding.put_batch(
      {k: x[own] for k, x in batch.items()}, self._mesh
    )
    batch['memory'] = self._read(prompts)
    batch['noise'] = np.asarray(sampling.make_noise_key(sampler.seed))
    return np.asarray(self._painters[unseeded](self._params, batch))

  def paint_batches(
    self, sampler: SamplerConfig, items: Iterable[GenerationInput], *, rows: int
  ) -> Iterator[tuple[GenerationInput, np.ndarray]]:
    """Every item with its picture, in batches of `rows` of one grid.

    What is left of a grid in the end is filled up with copies, unless it is a
    single one, so that a grid takes two programs at most where all ask the
    same.

    Yields:
      items as their batches are full, and not in order where grids differ.
    """
    waiting: dict[tuple[int, ...], list[GenerationInput]] = {}
    for item in items:
      together = waiting.setdefault(item.source.shape, [])
      together.append(item)
      if len(together) == rows:
        yield from self._paint_full(sampler, together, rows)
        together.clear()
    for together in waiting.values():
      if together:
        yield from self._paint_full(sampler, together, rows)

  def _paint_full(self, sampler, items, rows):
    missing = 0 if len(items) == 1 else rows - len(items)
    full = [*items, *[items[-1]] * missing]
    return list(zip(items, self.paint(sampler, full)))

  def _read(self, prompts: list[str]) -> Any:
    """The text memory: one row if all ask the same, and kept for a while."""
    if len(set(prompts)) > 1:
      return self._encode(self._params, self._make_tokens(prompts))
    prompt = prompts[0]
    if prompt not in self._known:
      if len(self._known) == _MOST_KNOWN:
        self._known.pop(next(iter(self._known)))  # the oldest
      tokens = self._make_tokens(prompts[:1])
      self._known[prompt] = self._encode(self._params, tokens)
    return self._known[prompt]

  def _make_tokens(self, prompts: list[str]) -> np.ndarray:
    longest = self._model.config.max_text
    encode = self._tokenizer.encode
    tokens = np.stack([encode(text, longest) for text in prompts])
    return tokens[:, : fit_text((tokens > 0).sum(1).max(), longest)]


def fit_text(tokens: int, longest: int) -> int:
  """The next power of two, so that few lengths are compiled."""
  length = _SHORTEST_TEXT
  while length < tokens:
    length *= 2
  return min(length, longest)
