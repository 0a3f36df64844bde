"""The frozen held-out set on scenes, and evaluation batches for any source."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vbanana_jax import families, keys, sharding
from vbanana_jax.data import encoder, sources, stream
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import TASKS, base
from vbanana_jax.tokenizer.tokenizer import Tokenizer

PROTOCOL_PATH = pathlib.Path(__file__).parents[1] / 'protocols' / 'eval_v2.json'


@dataclasses.dataclass(frozen=True)
class EvalSet:
  """What is frozen of a level's held-out set.

  Attributes:
    level: level of the scenes.
    n: number of scenes; object counts run 0, 1, ..., max, 0, ...
    size: height and width in pixels.
    scene_seed: seed of the scenes, out of reach of a training seed.
    encode_seed: seed of wordings, legends and colors.
    prefix_n: scenes that the quick check covers.
    tasks: names of those whose questions are frozen. Others are asked about
      the same scenes.
    sha256: digest of all prompts, legends and labels.
    prefix_sha256: digest of those of the first `prefix_n` scenes.
  """

  level: str
  n: int
  size: int
  scene_seed: int
  encode_seed: int
  prefix_n: int
  tasks: Sequence[str]
  sha256: str
  prefix_sha256: str

  def open_scenes(
    self, size: int | None = None, task: base.Task | None = None
  ) -> sources.SceneSource:
    """The scenes, with all that the frozen tasks need and `task` besides.

    One source for all frozen tasks, so that its scenes are rendered once.

    Args:
      size: of the pictures; the frozen one if not given.
      task: one that may not be among the frozen ones.
    """
    tasks = [TASKS[name] for name in self.tasks]
    tasks += [] if task is None else [task]
    extras = sources.find_extras(*(each.needs for each in tasks))
    return open_held_out_scenes(
      self.level, self.scene_seed, size or self.size, extras
    )


def load_eval_set(level: str) -> EvalSet:
  """The frozen held-out set of a level from `protocols/eval_v2.json`."""
  eval_sets = json.loads(PROTOCOL_PATH.read_text())['levels']
  if level not in eval_sets:
    raise UserError(
      f'eval_v2 has no level {level!r}; choose one of {sorted(eval_sets)}'
    )
  return EvalSet(level=level, **eval_sets[level])


def fit_batches(
  config: Mapping[str, Any], mesh: jax.sharding.Mesh, most: int | None = None
) -> dict[str, Any]:
  """A config whose evaluation batches the devices can share.

  No score depends on how the scenes are cut into batches.

  Args:
    config: see `configs/base.py`.
    mesh: the devices.
    most: number of scenes, where a batch need not have more rows.
  """
  settings = config['eval']
  rows = settings['batch_size']
  rows = sharding.round_up_rows(min(rows, most or rows), mesh)
  return {**config, 'eval': {**settings, 'batch_size': rows}}


def make_frozen_batches(
  task: base.Task,
  level: str,
  batch_size: int,
  limit: int | None = None,
  *,
  max_text: int,
  size: int | None = None,
  tokenizer: families.Tokenizer | None = None,
) -> Iterator[dict[str, Any]]:
  """Batches of the frozen held-out set, see `make_eval_batches`.

  Args:
    task: the task examined.
    level: level of the scenes.
    batch_size: rows a batch; the last one is padded.
    limit: use only this many scenes from the start.
    max_text: length of the token arrays; a longer instruction is refused.
    size: another picture size than the frozen one (other labels, so the
      frozen digest does not apply).
    tokenizer: of the network; the package's own if not given.
  """
  eval_set = load_eval_set(level)
  return make_eval_batches(
    task.as_examined(),
    eval_set.open_scenes(size, task),
    range(eval_set.n if limit is None else min(limit, eval_set.n)),
    batch_size=batch_size,
    seed=eval_set.encode_seed,
    max_text=max_text,
    tokenizer=tokenizer,
  )


@functools.lru_cache(maxsize=4)
def open_held_out_scenes(
  level: str,
  scene_seed: int,
  size: int,
  extras: frozenset[str] = frozenset(),
) -> sources.SceneSource:
  """Held-out scenes, kept rendered while all tasks are examined."""
  return sources.SceneSource(
    level, scene_seed, size, extras=extras, even_counts=True, keep=16
  )


def make_eval_batches(
  task: base.Task,
  source: sources.Source,
  rows: Sequence[int],
  *,
  batch_size: int,
  seed: int,
  max_text: int,
  tokenizer: families.Tokenizer | None = None,
) -> Iterator[dict[str, Any]]:
  """Padded batches of a task on the given rows of a source, in order.

  Each is a `Batch` with task 0 and index = row, and besides `valid` bool[b]
  (False on padding), `aux` (stacked), `count` int32[b] (objects in the
  scene, -1 where there is no scene) and `prompt` list[str] for the host.
  """
  tokenizer = tokenizer or Tokenizer.load()
  for first in range(0, len(rows), batch_size):
    chosen = list(rows[first : first + batch_size])
    encoded = [encode_row(task, source, row, seed) for row in chosen]
    padding = batch_size - len(chosen)
    lines = [
      {
        **encoder.make_row(
          task,
          answer,
          tokens=tokenizer.encode(answer.prompt, max_text),
          position=0,
          index=row,
          one_pass_share=0.0,
        ),
        'aux': answer.aux,
        'count': np.int32(_object_count(example)),
      }
      for row, (example, answer) in zip(chosen, encoded)
    ]
    batch = stream.stack_rows(lines + lines[-1:] * padding)
    batch['valid'] = np.arange(batch_size) < len(chosen)
    prompts = [answer.prompt for _, answer in encoded]
    yield {**batch, 'prompt': prompts + prompts[-1:] * padding}


def trim_prompts(batches: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
  """The batches, their tokens no longer than the longest instruction."""
  batches = list(batches)
  longest = max(map(stream.count_tokens, batches))
  return [{**b, 'tokens': b['tokens'][:, :longest]} for b in batches]


def encode_row(
  task: base.Task, source: sources.Source, row: int, seed: int
) -> tuple[sources.Example, base.EncodedExample]:
  """Example and posed task; words depend on (seed, task, row) alone."""
  example = encoder.read_example(source, row)
  rng = keys.make_rng(seed, 'exam', task.name, row)
  return example, encoder.encode_example(task, example, rng, source.name)


def _object_count(example: sources.Example) -> int:
  scene = example.get('scene')
  return -1 if scene is None else int(scene.count)


def hash_eval_set(eval_set: EvalSet, n: int | None = None) -> str:
  """SHA-256 over prompts, legends and labels of the first `n` scenes.

  Every whole-number array of a task's aux counts (ids, legends, masks);
  depth, normals and colors are left out, because their last bits differ
  between kinds of hardware.
  """
  source = eval_set.open_scenes()
  digest = hashlib.sha256()
  for row in range(eval_set.n if n is None else n):
    for name in sorted(eval_set.tasks):
      task = TASKS[name].as_examined()
      example, encoded = encode_row(task, source, row, eval_set.encode_seed)
      _update(digest, f'{row}/{name}/prompt', np.array(encoded.prompt.encode()))
      for key in sorted(encoded.aux):
        _update(digest, f'{row}/{name}/{key}', encoded.aux[key])
    for key in ('semantic', 'instance'):
      _update(digest, f'{row}/{key}', example[key])
  return digest.hexdigest()


def _update(digest, name: str, array: np.ndarray) -> None:
  array = np.asarray(array)
  if array.dtype.kind == 'f':
    return
  if array.dtype.kind in 'iu':
    array = array.astype('<i4')
  digest.update(f'{name}{array.dtype.kind}{array.shape}'.encode())
  digest.update(np.ascontiguousarray(array).tobytes())


def describe_eval_set(level: str, *, limit: int, size: int) -> str:
  """What scores are of: the frozen held-out set, or what differs from it.

  Takes some seconds for the whole held-out set. Another kind of hardware may
  decide a pixel on an edge otherwise, so a difference is told and not refused.
  """
  eval_set = load_eval_set(level)
  if size != eval_set.size or limit < eval_set.n:
    return f'eval_v2, its first {min(limit, eval_set.n)} scenes at {size} px'
  if hash_eval_set(eval_set) != eval_set.sha256:
    return 'eval_v2, redrawn with other digests than the frozen one'
  return 'eval_v2'


def freeze_eval_set(level: str, n: int, size: int, prefix_n: int) -> EvalSet:
  """A new held-out set with its digests, to be written once and never again."""
  eval_set = EvalSet(
    level, n, size, 2**40 + 1, 2**40 + 2, prefix_n, list(TASKS), '', ''
  )
  return dataclasses.replace(
    eval_set,
    sha256=hash_eval_set(eval_set),
    prefix_sha256=hash_eval_set(eval_set, prefix_n),
  )


def save_eval_sets(eval_sets: Sequence[EvalSet], path: pathlib.Path) -> None:
  """Writes frozen held-out sets as JSON."""
  levels = {}
  for eval_set in eval_sets:
    fields = dataclasses.asdict(eval_set)
    levels[fields.pop('level')] = fields
  path.write_text(json.dumps({'version': 2, 'levels': levels}, indent=2) + '\n')


def build_batches(
  config: Mapping, task: base.Task, level: str, limit: int
) -> list[dict[str, Any]]:
  """The first `limit` held-out scenes at the config's picture size.

  See `make_eval_batches` for what a batch holds.
  """
  return trim_prompts(
    make_frozen_batches(
      task,
      level,
      config['eval']['batch_size'],
      limit,
      max_text=config['model']['max_text'],
      size=config['image_size'],
      tokenizer=families.load_tokenizer(config),
    )
  )
