"""How much of its caption a painted picture shows, as another network sees it.

A reader, which answers vision tasks and never saw a painted picture, is asked
about every fact of a caption. What holds is put between two marks. The floor is
what holds in the pictures that were painted for other captions. The ceiling is
what the reader finds in true renderings of the same captions.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from vbanana_jax import keys
from vbanana_jax.drawing import pictures
from vbanana_jax.inference import engine, outputs
from vbanana_jax.inference.predictor import PhotoQuestion, Predictor
from vbanana_jax.inference.request import PredictRequest
from vbanana_jax.metrics import bootstrap
from vbanana_jax.scenes.claims import Claim
from vbanana_jax.tasks import TASKS
from vbanana_jax.tasks.claims import Check, ClaimChecks

ALL = 'all'  # kinds together
_SIDES = ('held', 'floor', 'ceiling')
_ROWS = 48  # questions at a time

Picture = Float[np.ndarray, 'h w 3']


@dataclasses.dataclass(frozen=True)
class Obedience:
  """What was found of the facts of one kind.

  Attributes:
    kind: of fact, or `ALL`.
    asked: number of facts.
    n: number of pictures.
    held: share of the facts that hold in their pictures.
    floor: share that holds in pictures of other captions.
    ceiling: share that holds in true renderings.
    reached: how far from floor to ceiling `held` is; nan where these are one.
    interval: of `reached`, 95 %, over pictures.
  """

  kind: str
  asked: int
  n: int
  held: float
  floor: float
  ceiling: float
  reached: float
  interval: tuple[float, float]


def measure_obedience(
  kinds: Sequence[str],
  claims: Sequence[Sequence[Claim]],
  held: Mapping[str, Sequence[Sequence[bool]]],
) -> list[Obedience]:
  """What holds of the claims of each picture: of all, then of each kind.

  Args:
    kinds: of claims.
    claims: of each picture's caption.
    held: whether each claim holds, by what was looked at: `held` in what was
      painted for the captions, `floor` in what was painted for others,
      `ceiling` in true renderings. See `find_held`.
  """
  states = {side: _count_kinds(kinds, claims, held[side]) for side in _SIDES}
  everything = [[True] * len(each) for each in claims]
  states['asked'] = _count_kinds(kinds, claims, everything)

  def summarize(states: Mapping[str, np.ndarray]) -> dict[str, float]:
    table = {ALL: _find_shares({k: x.sum() for k, x in states.items()})}
    for column, kind in enumerate(kinds):
      table[kind] = _find_shares({k: x[column] for k, x in states.items()})
    return {
      f'{kind}/{part}': share
      for kind, shares in table.items()
      for part, share in shares.items()
    }

  total = {name: state.sum(0) for name, state in states.items()}
  shares = summarize(total)
  intervals = bootstrap.make_intervals(
    states, summarize, keys.make_rng(0, 'bootstrap', 'obedience')
  )
  asked = [total['asked'].sum(), *total['asked']]
  return [
    Obedience(
      kind=kind,
      asked=int(number),
      n=len(claims),
      interval=intervals[f'{kind}/reached'],
      **{part: shares[f'{kind}/{part}'] for part in (*_SIDES, 'reached')},
    )
    for kind, number in zip((ALL, *kinds), asked)
  ]


def name_claims(checks: ClaimChecks, claims: Sequence[Claim]) -> list[str]:
  """What a person reads of each claim."""
  rng = keys.make_rng(0, 'claim')
  found = []
  for claim in claims:
    check = checks.make_check(claim, rng)
    found.append(check.words or f'{claim.count} of {check.classes[0]}')
  return found


def _find_shares(counts: Mapping[str, np.ndarray]) -> dict[str, float]:
  """Shares of what was asked, and what they reach; nan of nothing."""
  asked = float(counts['asked'])
  shares = {
    side: float(counts[side]) / asked if asked else math.nan for side in _SIDES
  }
  room = shares['ceiling'] - shares['floor']
  gained = shares['held'] - shares['floor']
  return {**shares, 'reached': gained / room if room > 0 else math.nan}


def _count_kinds(
  kinds: Sequence[str],
  claims: Sequence[Sequence[Claim]],
  held: Sequence[Sequence[bool]],
) -> np.ndarray:
  """int64 [n, len(kinds)]: claims of each kind that hold."""
  counts = np.zeros((len(claims), len(kinds)), np.int64)
  for row, answers in enumerate(held):
    for claim, holds in zip(claims[row], answers):
      counts[row, kinds.index(claim.kind)] += holds
  return counts


def find_held(
  reader: Predictor,
  checks: ClaimChecks,
  claims: Sequence[Sequence[Claim]],
  shown: Sequence[Picture],
) -> list[list[bool]]:
  """Whether each claim holds in its picture, as the reader sees it."""
  held = [[False] * len(each) for each in claims]
  size, patch = reader.config['image_size'], reader.model.config.patch
  asked: dict[str, list[PhotoQuestion]] = {name: [] for name in checks.tasks}
  for row, picture in enumerate(shown):
    grid = outputs.make_grid(*picture.shape[:2], size=size, patch=patch)
    source = outputs.shrink_photo(pictures.to_u8(picture), grid)
    for k, claim in enumerate(claims[row]):
      rng = keys.make_rng(0, 'claim', row, k)
      check = checks.make_check(claim, rng)
      seed = int(rng.integers(2**31))
      question = _make_question(reader, check, seed, source, (row, k))
      asked[check.task].append(question)
  for name, questions in asked.items():
    sampler = engine.SamplerConfig(seed=0, steps=0)
    rows = reader.count_rows(_ROWS)
    for ((row, k), aux), painted in reader.paint_questions(
      TASKS[name], sampler, questions, size, rows=rows
    ):
      labels = outputs.decode_value(TASKS[name], painted, aux)
      held[row][k] = checks.holds(claims[row][k], labels)
  return held


def _make_question(
  reader: Predictor,
  check: Check,
  seed: int,
  source: Picture,
  place: tuple[int, int],
) -> PhotoQuestion:
  """A check as the reader was trained to be asked; `seed` chooses colors."""
  request = PredictRequest(check.task, check.words, check.classes, seed=seed)
  _, question, parts = reader.word_question(request)
  palette = question.aux['palette']
  return PhotoQuestion(source, parts, palette, (place, question.aux))
