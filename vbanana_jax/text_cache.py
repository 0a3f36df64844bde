"""Instructions of a training encoded ahead, into `config.model.text_cache`.

First all of them are listed, which makes their examples; then those that are
not there yet are encoded. Both go on after an interruption.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np

from vbanana_jax import durations, families, sharding
from vbanana_jax.data import build, mixture, stream, text_states
from vbanana_jax.errors import DiskFullError, UserError
from vbanana_jax.evaluation import periodic
from vbanana_jax.inference.sampling import make_text_encoder
from vbanana_jax.runtime import paths, workdir_lock
from vbanana_jax.training import weights

_PART = 'text_encoder'
_LISTED = 64  # examples between two looks at the disk
_ROWS = 4  # instructions that a device encodes together
# Told of how many there are; gives what is told of those that are done.
Start = Callable[[int], Callable[[int], object]]


@dataclasses.dataclass(frozen=True)
class Found:
  """What is to be encoded.

  Attributes:
    folder: of the cache.
    examples: that were listed.
    prompts: different ones of them and of the scenes that are watched.
    missing: those that are not there yet.
    size: bytes of one.
    free: bytes on the disk.
  """

  folder: paths.Path
  examples: int
  prompts: int
  missing: Sequence[str]
  size: int
  free: float


def fill(
  config: dict[str, Any],
  part: range | None,
  *,
  start_listing: Start,
  start_encoding: Start,
  tell: Callable[[Found], object],
) -> None:
  """Encodes the instructions of a config's training that are not there yet.

  Those of the scenes that the training is watched on are among them.

  Args:
    config: see `configs/base.py`.
    part: examples, counted from 0; those of the whole training if not given.
    start_listing: is told how many examples there are.
    start_encoding: is told how many bytes are to be written.
    tell: is told what was found, before anything is encoded.

  Raises:
    UserError: for a mistake in the config, or a folder with something else.
    DiskFullError: there is no room for what is missing.
  """
  if not config['model']['text_cache']:
    raise UserError(
      'config.model.text_cache is empty: name the folder to fill, as '
      '--config.model.text_cache=caches/text'
    )
  config = _drop_adapter(config)
  mesh = sharding.build_mesh(config['mesh'])
  model = weights.build_network(config, mesh)
  cache = text_states.open_states(config, model.precision).cache
  part = _cut(config, part)
  examples = build.build_mixture(config)
  watched = periodic.list_prompts(config, examples.tasks)
  with workdir_lock.hold_out(cache.folder, 'name another folder'):
    cache.save_index()  # says from now on what it depends on
    stream_id = text_states.describe_stream(config)
    name = f'listed-{stream_id[:16]}-{part.start}.jsonl'
    listed = cache.folder / name
    prompts = list_prompts(config, examples, part, listed, start_listing)
    wanted = dict.fromkeys([*watched, *prompts])
    missing = [prompt for prompt in wanted if not cache.has(prompt)]
    free = paths.get_free_bytes(cache.folder)
    found = Found(
      cache.folder, len(part), len(wanted), missing, cache.size, free
    )
    tell(found)
    if len(missing) * cache.size > free:
      raise DiskFullError(
        f'{cache.folder}: {len(missing) * cache.size / 1e9:.1f} GB are to be '
        f'written and {free / 1e9:.1f} GB are free: make room, or encode fewer '
        'with --examples'
      )
    report = start_encoding(len(missing) * cache.size)
    for prompt, states in encode(config, model, mesh, missing):
      cache.save(prompt, states)
      report(cache.size)
    cache.mark_filled(stream_id, part)
    listed.unlink()


def _drop_adapter(config: dict[str, Any]) -> dict[str, Any]:
  """What is trained has no part in what is encoded."""
  model = config['model']
  return {**config, 'model': {**model, 'lora': {**model['lora'], 'rank': 0}}}


def _cut(config: dict[str, Any], part: range | None) -> range:
  """The examples of a training, or a part of them."""
  batch = config['batch_size']
  total = batch * durations.to_steps(config['length'], batch_size=batch)
  part = range(total) if part is None else part
  if part.start >= total:
    raise UserError(
      f'--examples {part.start}:{part.stop}: the training has {total}, counted '
      'from 0'
    )
  return range(part.start, min(part.stop, total))


def list_prompts(
  config: dict[str, Any],
  examples: mixture.Mixture,
  part: range,
  listed: paths.Path,
  start: Start,
) -> list[str]:
  """Instructions of a training's examples, in order.

  Args:
    config: see `configs/base.py`.
    examples: its mixture.
    part: which of them.
    listed: file for what is known already, a list in JSON each line.
    start: is told how many there are.
  """
  settings = stream.make_settings(config)
  maker = stream.make_encoder(examples, settings)
  prompts: list[str] = []
  if listed.exists():
    # What follows the last line break was cut short by a kill.
    lines = listed.read_text(encoding='utf-8').split('\n')[:-1]
    prompts = [text for line in lines for text in json.loads(line)]
  prompts = prompts[: len(part)]
  report = start(len(part))
  report(len(prompts))
  with futures.ThreadPoolExecutor(settings.threads) as pool:
    for chunk in _cut_evenly(part[len(prompts) :], _LISTED):
      more = list(pool.map(maker.read_prompt, chunk))
      paths.append_line(listed, json.dumps(more))
      prompts += more
      report(len(more))
  return prompts


def _cut_evenly(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
  for first in range(0, len(items), most):
    yield items[first : first + most]


def encode(
  config: dict[str, Any], model, mesh, prompts: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
  """Every instruction with its memory; weights are read for the first one.

  Args:
    config: see `configs/base.py`.
    model: its network.
    mesh: devices that share the instructions of a batch.
    prompts: any number.
  """
  if not prompts:
    return
  section = config['model']
  family = families.get_family(section)
  abstract = weights.make_abstract_params(config, model, mesh)
  parts = family.load_parts(section, {_PART: abstract[_PART]}, config['seed'])
  tokenizer = families.load_tokenizer(config)
  rows = _ROWS * sharding.num_batch_shards(mesh)
  split = sharding.batch_sharding(mesh)
  run = jax.jit(make_text_encoder(model), out_shardings=split)

  def begin(chosen: Sequence[str]) -> jax.Array:
    full = [*chosen, *[chosen[-1]] * (rows - len(chosen))]
    tokens = [tokenizer.encode(text, section['max_text']) for text in full]
    return run(parts, sharding.put_batch({'x': np.stack(tokens)}, mesh)['x'])

  waiting: tuple[Sequence[str], Any] = ((), ())
  for chosen in _cut_evenly(prompts, rows):
    running = begin(chosen)  # while what came before is written
    yield from zip(waiting[0], np.asarray(waiting[1]))
    waiting = chosen, running
  yield from zip(waiting[0], np.asarray(waiting[1]))
