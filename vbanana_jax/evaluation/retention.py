"""What tuning left of the generator that it began from.

The base paints fixed prompts before the first step, and the averaged weights
paint them again, from the same noise, whenever scores are taken. Both are also
asked for their loss on the base's own pictures, at the same noise and times.
"""

import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from vbanana_jax import families, keys, sharding
from vbanana_jax.diffusion import flow, schedules
from vbanana_jax.drawing import pictures
from vbanana_jax.evaluation import rows
from vbanana_jax.inference import engine
from vbanana_jax.runtime import files, paths, processes
from vbanana_jax.training.state import TrainState
from vbanana_jax.training.step import make_example_losses

FILE = 'retention.npz'
DISTANCE, LOSS = 'retention/distance', 'retention/loss'
_DRAWS = 4  # of noise and time, for each picture's loss


class Kept(NamedTuple):
  """What a workdir keeps.

  Attributes:
    settings: what was asked, and how, as text.
    prompts: as they were asked.
    before: uint8[n h w 3], painted by the base.
    loss: of the base, on these pictures.
    after: uint8[n h w 3], painted last by what is trained.
    step: of these weights; 0 for the base's own.
    loss_after: of these weights, on the pictures of the base.
  """

  settings: np.ndarray
  prompts: np.ndarray
  before: np.ndarray
  loss: np.ndarray
  after: np.ndarray
  step: np.ndarray
  loss_after: np.ndarray


def load_kept(workdir: paths.Path) -> Kept | None:
  """What a workdir keeps; None where it began from no other weights."""
  path = workdir / FILE
  if not path.exists():
    return None
  with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
    return Kept(**arrays)


def list_prompts(config: Mapping[str, Any]) -> list[str]:
  """Those of a config whose run begins from other weights; else none.

  None either where instructions come from a cache: what guidance steers away
  from is in no cache.
  """
  model = config['model']
  begins = config['init_from'] or model['snapshot']
  asked = config['eval']['retention']['prompts']
  if not begins or model['text_cache']:
    return []
  return [text.strip() for text in asked.split(';') if text.strip()]


def build_retention(
  config: Mapping[str, Any],
  model: Any,
  mesh: jax.sharding.Mesh,
  workdir: paths.Path,
) -> 'Retention | None':
  """None where there is no base to compare with, or nothing to ask it."""
  prompts = list_prompts(config)
  return Retention(config, prompts, model, mesh, workdir) if prompts else None


class Retention:
  """Pictures and losses of the base, and of what it becomes.

  Args:
    config: see `configs/base.py`.
    prompts: from `list_prompts`.
    model: the network.
    mesh: the devices.
    workdir: of the run, where `FILE` is kept.
  """

  def __init__(
    self,
    config: Mapping[str, Any],
    prompts: list[str],
    model: Any,
    mesh: jax.sharding.Mesh,
    workdir: paths.Path,
  ):
    settings = config['eval']
    self._config, self._prompts, self._workdir = config, prompts, workdir
    self._sampler = engine.SamplerConfig(
      config['seed'],
      settings['sampled_steps'],
      settings['retention']['guidance'],
      settings['sampler'],
    )
    self._tokenizer = families.load_tokenizer(config)
    self._engine = engine.InferenceEngine(model, None, mesh, self._tokenizer)
    self._mesh, self._kept = mesh, None
    levels = schedules.build_levels(config['loss'])

    def find_losses(weights, batch):
      key = keys.make_key(config['seed'], 'retention')
      return make_example_losses(model, weights, batch, key=key, levels=levels)

    self._find_losses = jax.jit(
      find_losses, out_shardings=sharding.replicated_sharding(mesh)
    )

  def begin(self, state: TrainState) -> None:
    """Paints the base before the first step; later reads what it painted.

    Raises:
      UserError: a prompt is too long for the network.
    """
    size = self._config['image_size']
    settings = f'{size} px, {self._sampler}, {self._prompts}'
    if int(state.step) == 0:
      weights = state.ema_weights
      before = self._paint(weights)
      loss = np.float64(self._measure(weights, before))
      asked = np.array(settings), np.array(self._prompts)
      self._keep(Kept(*asked, before, loss, before, np.int64(0), loss))
      return
    kept = load_kept(self._workdir)
    if kept is not None and str(kept.settings) == settings:
      self._kept = kept
      return
    processes.log(
      f'config.eval.retention: {self._workdir / FILE} '
      + ('is not there' if kept is None else 'was painted with other settings')
      + ', so what is trained is no longer compared with its base'
    )

  def run(self, state: TrainState) -> tuple[dict[str, float], np.ndarray]:
    """Scores, and pictures of the base beside those of the averaged weights.

    Returns:
      the mean distance of a color in [0, 1], and the loss on the base's
      pictures; and `[h, w, 3]` in [0, 1]. Both empty where there is no base.
    """
    if self._kept is None:
      return {}, np.zeros((0, 0, 3))
    weights, before = state.ema_weights, self._kept.before
    after = self._paint(weights)
    loss = self._measure(weights, before)
    self._keep(
      self._kept._replace(
        after=after, step=np.int64(state.step), loss_after=np.float64(loss)
      )
    )
    beside = np.concatenate(np.concatenate([before, after], axis=2)) / 255
    return {DISTANCE: find_distance(self._kept), LOSS: loss}, beside

  def _keep(self, kept: Kept) -> None:
    self._kept = kept
    if processes.is_first():
      data = files.to_npz(kept._asdict())
      files.write_atomic(self._workdir / FILE, data)

  def _paint(self, weights: Any) -> np.ndarray:
    """uint8[n h w 3], at most `config.eval.batch_size` at a time."""
    size = self._config['image_size']
    nothing = np.zeros((size, size, 3), np.float32)
    scale = flow.noise_scale_for(size)
    items = [
      engine.GenerationInput(nothing, False, prompt, scale)
      for prompt in self._prompts
    ]
    self._engine.set_params(weights)
    at_once = self._config['eval']['batch_size']
    parts = [
      self._engine.paint(self._sampler, items[i : i + at_once])
      for i in range(0, len(items), at_once)
    ]
    self._engine.set_params(None)  # the step donates them
    return pictures.to_u8(np.concatenate(parts))

  def _measure(self, weights: Any, pictures_u8: np.ndarray) -> float:
    """Mean loss of these pictures, of the flow alone."""
    losses = [
      np.asarray(self._find_losses(weights, batch))[:n]
      for batch, n in self._make_batches(pictures_u8)
    ]
    return float(np.mean(np.concatenate(losses), dtype=np.float64))

  def _make_batches(self, pictures_u8):
    """Batches on the devices, and how many of their rows count."""
    at_once = sharding.round_up_rows(
      self._config['eval']['batch_size'], self._mesh
    )
    tokens = np.stack(
      [
        self._tokenizer.encode(text, self._config['model']['max_text'])
        for text in self._prompts
      ]
    )
    target = pictures_u8.astype(np.float32) / 255
    scale = flow.noise_scale_for(self._config['image_size'])
    total = _DRAWS * len(target)
    for first in range(0, total, at_once):
      index = np.arange(first, first + at_once)
      chosen = np.minimum(index, total - 1) % len(target)
      batch = {
        'tokens': tokens[chosen],
        'source': np.zeros_like(target[chosen]),
        'has_source': np.zeros(at_once, bool),
        'target': target[chosen],
        'weight_px': np.ones(target[chosen].shape[:3], np.float32),
        'noise_scale': np.full(at_once, scale, np.float32),
        'one_pass_share': np.zeros(at_once, np.float32),
        'index': index,
      }
      yield rows.put_rows(batch, self._mesh), min(at_once, total - first)


def find_distance(kept: Kept) -> float:
  """Mean absolute difference of a color in [0, 1]."""
  difference = kept.after.astype(np.float64) - kept.before
  return float(np.abs(difference).mean() / 255)
