"""Sources of examples: random access by row, the same row in any order."""

import collections
import sys
import threading
from collections.abc import Callable, Collection
from concurrent import futures
from typing import Any, Protocol

from vbanana_jax import keys
from vbanana_jax.data import scene_photos
from vbanana_jax.errors import UserError
from vbanana_jax.scenes import edits as scene_edits
from vbanana_jax.scenes import labels as scene_labels
from vbanana_jax.scenes import referring, render, world
from vbanana_jax.tasks.prompt_styles import PROMPT_STYLES

Example = dict[str, Any]
# What every scene is labeled with.
_SCENE_LABELS = frozenset(
  {
    'rgb', 'depth_m', 'normals', 'semantic', 'classes', 'instance',
    'instance_class', 'phrases', 'captions',
  }
)  # fmt: skip
# Keys of an example that take a rendering of their own, made when asked for:
# the edited scene and base colors, in renderings of a whole scene.
EXTRAS = {'edit': 1.0, 'albedo': 0.2}


def find_extras(*needs: Collection[str]) -> frozenset[str]:
  """Those of `EXTRAS` that any of several tasks needs."""
  return frozenset(EXTRAS) & frozenset().union(*needs)


class Source(Protocol):
  """Rows of examples on the host.

  A source may also have `draw(index, rng)`, a varied reading of a row for
  training; `[index]` is the plain one.

  Attributes:
    name: of the source, which its order depends on.
    endless: whether rows are read in order, and never shuffled.
    labels: keys of `labels` that its examples have.
  """

  name: str
  endless: bool
  labels: frozenset[str]

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> Example: ...


class SceneSource:
  """Procedural scenes of a level; row i is a function of (level, seed, i).

  Beside the keys of `labels` an example has its `scene`, a `world.Scene`.
  Scenes are rendered in micro-batches whose borders are fixed by the row
  number, so a row's pixels do not depend on the order of access. The last
  `keep` micro-batches stay in memory; threads may share the source.

  Args:
    level: name of a level in `scenes.world.LEVELS`.
    seed: seed of the scenes.
    size: height and width in pixels.
    extras: of `EXTRAS`, what is rendered beside each scene.
    photos: whose detail is on surfaces; None for plain ones.
    even_counts: whether object counts run 0, 1, ..., max, 0, ... by row.
    keep: rendered micro-batches kept.
  """

  endless = True

  def __init__(
    self,
    level: str,
    seed: int,
    size: int | tuple[int, int],
    *,
    extras: Collection[str] = (),
    photos: scene_photos.ScenePhotos | None = None,
    even_counts: bool = False,
    keep: int = 8,
  ):
    if level not in world.LEVELS:
      raise UserError(
        f'unknown scene level {level!r}; choose one of {sorted(world.LEVELS)}'
      )
    self.name = f'scenes-{level}'
    self.level = world.LEVELS[level]
    self.seed = seed
    self.height, self.width = (size, size) if isinstance(size, int) else size
    self.extras = frozenset(extras)
    self.labels = _SCENE_LABELS | self.extras
    self.photos = photos
    self.even_counts = even_counts
    self._cache = _OnceCache(self._render_micro_batch, keep)

  def __len__(self) -> int:
    return sys.maxsize

  def __getitem__(self, index: int) -> Example:
    batch, row = divmod(index, render.MICRO_BATCH)
    return dict(self._cache.get(batch)[row])

  def scene(self, index: int) -> world.Scene:
    """The scene of row `index`, without rendering it."""
    count = None
    if self.even_counts:
      count = index % (self.level.max_objects + 1)
    return world.sample_scene(self.level, self.seed, index, count=count)

  def _render_micro_batch(self, batch: int) -> list[Example]:
    first = batch * render.MICRO_BATCH
    rows = range(first, first + render.MICRO_BATCH)
    scenes = [self.scene(index) for index in rows]
    details = self.photos and self.photos.draw(batch, len(rows))
    view = render.render_scenes(scenes, self.height, self.width, details)
    edits = [None] * len(rows)
    if 'edit' in self.extras:
      edits = self._edit(rows, scenes, view, details)
    albedos = [None] * len(rows)
    if 'albedo' in self.extras:
      albedos = render.render_albedos(scenes, self.height, self.width, details)
    return [
      {
        'index': index,
        'rgb': view.rgb[row],
        'depth_m': view.depth_m[row],
        'normals': view.normals[row],
        'semantic': view.semantic[row],
        'instance': view.instance[row],
        'albedo': albedos[row],
        'classes': scene_labels.make_classes(self.level),
        'instance_class': scene_labels.list_instance_classes(scenes[row]),
        'phrases': scene_labels.ScenePhrases(
          scenes[row], self.level, view.instance[row]
        ),
        'captions': scene_labels.SceneCaptions(scenes[row], view.instance[row]),
        'edit': edits[row],
        'style': PROMPT_STYLES[self.level.name],
        'scene': scenes[row],
      }
      for row, index in enumerate(rows)
    ]

  def _edit(self, rows, scenes, view, details) -> list[dict[str, Any]]:
    edits = [
      scene_edits.sample_edit(
        scene,
        self.level,
        keys.make_rng(self.seed, 'edit', index),
        referring.visible_slots(view.instance[row]),
      )
      for row, (index, scene) in enumerate(zip(rows, scenes))
    ]
    after = render.render_scenes(
      [edit.scene for edit in edits], self.height, self.width, details
    )
    return [
      {'instruction': edit.text, 'kind': edit.kind, 'rgb': after.rgb[row]}
      for row, edit in enumerate(edits)
    ]


class _OnceCache:
  """Last `keep` results of `compute`; threads asking at once compute once."""

  def __init__(self, compute: Callable[[int], list[Example]], keep: int):
    self._compute = compute
    self._keep = keep
    self._lock = threading.Lock()
    self._results: collections.OrderedDict[int, futures.Future] = (
      collections.OrderedDict()
    )

  def get(self, key: int) -> list[Example]:
    with self._lock:
      future = self._results.get(key)
      is_mine = future is None
      if future is None:
        future = self._results[key] = futures.Future()
      self._results.move_to_end(key)
      while len(self._results) > self._keep:
        self._results.popitem(last=False)
    if is_mine:
      try:
        future.set_result(self._compute(key))
      except BaseException as error:
        future.set_exception(error)  # waiting threads must not hang
        with self._lock:
          self._results.pop(key, None)
    return future.result()
