"""A folder of painted pictures, scored under a protocol.

Each picture is decoded at the size it was painted; the numbers, never the
colors, are brought to the truth's size.
"""

import collections
import datetime
import pathlib
from typing import Any, NamedTuple

import numpy as np
import tqdm

from vbanana_jax import decode, keys
from vbanana_jax.benchmark import (
  painted_folder,
  protocols,
  questions,
  readers,
)
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError
from vbanana_jax.metrics import bootstrap
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import provenance

_RESAMPLES = 1000
# What is counted, by the kinds of `decode.find_oddities`.
_ODD = {
  'stretched': 'of another aspect',
  'transparent': 'with transparency, laid over the background of the prompt',
  'doubt': 'that are hardly painted answers of {}',
  'nothing_found': 'that show nothing but the background',
  'other_color': 'with a named color in place of one that was asked for',
  'no_surface': 'with colors that no direction has, counted as 90 degrees',
  'near_colors': 'asked for in colors so near that noise mixes them',
  'between_colors': 'with borders that mix two colors and are read as a third',
  'lossy': 'kept with loss, as JPEG, which changes colors where they meet',
}


Shares = dict[str, list[float]]  # of pixels, one a picture, by the fact's name


class Grade(NamedTuple):
  """What `grade` found.

  Attributes:
    results: ready for JSON: protocol, metrics with intervals, provenance.
    states: per-example states [n ...] of the answer that is reported.
  """

  results: dict[str, Any]
  states: dict[str, np.ndarray]


def grade(
  protocol: protocols.Protocol,
  data: pathlib.Path,
  predictions: pathlib.Path,
  *,
  passes: int | None = None,
  partial: bool = False,
) -> Grade:
  """Scores `ID.png` of every example; `ID@1.png` ... are further passes.

  Args:
    protocol: how to ask, read and score.
    data: the benchmark's folder.
    predictions: the pictures; .jpg, .jpeg and .webp do as well.
    passes: pictures a question, put to the vote; the protocol's number if not
      given. The first pass alone is scored beside the vote.
    partial: score the examples that are there, and say so in the results.

  Raises:
    UserError: missing or damaged pictures, and where data or predictions are
      not the whole split, unless `partial`.
  """
  passes = passes or protocol.passes
  reader = questions.open_reader(protocol, data)
  found = find_painted(reader.items, predictions, passes)
  manifest = painted_folder.load_manifest(predictions)
  if manifest is not None:
    check_painted_for(protocol, manifest, predictions)
  items = [item for item in reader.items if item.id in found]
  lack = describe_lack(protocol, reader.items, items)
  if lack and not partial:
    raise UserError(
      f'{lack}; --partial scores what is there and marks the result as partial'
    )
  single, voted, agreed = [], [], []
  odd: collections.Counter[str] = collections.Counter()
  shares: Shares = {'no_surface_share': [], 'between_colors_share': []}
  task = TASKS[protocol.task]
  make_states = task.benchmark.make_states

  def score(item):  # whose truth and pictures are gone before the next one's
    truth = reader.load_truth(item)
    shape = task.benchmark.get_shape(truth)
    values = [
      read_painted(protocol, item, repeat, path, shape, odd, shares)
      for repeat, path in enumerate(found[item.id])
    ]
    single.append(make_states(values[0], truth, protocol))
    if passes > 1:
      answer = task.value.vote(values)
      voted.append(make_states(answer, truth, protocol))
      agreed.append(task.value.measure_agreement(values, answer).mean())

  for item in tqdm.tqdm(items, desc=protocol.label, unit='example'):
    score(item)
  if manifest is not None:
    names = [path.name for item in items for path in found[item.id]]
    changed = manifest.find_changed(predictions, names)
    unlisted = [name for name in names if name not in manifest.pictures]
    odd['with other bytes than painted.json lists'] = len(changed)
    odd['that painted.json does not list'] = len(unlisted)
  metrics, states = _summarize(protocol, voted or single)
  return Grade(
    {
      'protocol': protocol.name,
      'version': protocol.version,
      'task': protocol.task,
      'split': protocol.split,
      'standard_split': protocol.standard_split or protocol.split,
      'n': len(items),
      # Unknown where nobody has said how many examples there are.
      'complete': not lack if lack or protocol.count is not None else None,
      'lack': lack or None,
      'ids_sha256': protocols.hash_ids(items),
      'ids_published': protocol.has_known_ids(reader.items),
      'reader_verified': protocol.verified,
      'predictions': str(predictions),
      'painted': None
      if manifest is None
      else {
        **manifest.about,
        'settings': manifest.settings,
        'other_pictures': [*changed, *unlisted],
      },
      'passes': passes,
      'decoder': protocol.decoder,
      'headline': protocol.headline,
      'metrics': metrics,
      'single_pass': _summarize(protocol, single)[0] if voted else None,
      'agreement': float(np.mean(agreed)) if agreed else None,
      'odd_pictures': dict(odd),
      'shares_of_pixels': {
        k: float(np.mean(x)) for k, x in shares.items() if x
      },
      'known_difference': protocol.known_difference,
      'date': datetime.date.today().isoformat(),
      'versions': provenance.get_versions(),
      'git': provenance.get_git_state(),
    },
    states,
  )


def find_painted(
  items: tuple[readers.Item, ...], folder: pathlib.Path, passes: int
) -> dict[str, list[pathlib.Path]]:
  """The pictures of every example that has all its passes, by id.

  Raises:
    UserError: no folder, no picture of any example, or two of one.
  """
  if not folder.is_dir():
    raise UserError(f'--predictions {folder}: no such folder')
  paths: dict[str, pathlib.Path] = {}
  for path in sorted(folder.iterdir()):
    if path.suffix.lower() in photos.SUFFIXES:
      if path.stem in paths:
        raise UserError(f'{path}: {paths[path.stem].name} answers the same')
      paths[path.stem] = path
  found = {}
  for item in items:
    names = [questions.name_painted(item, k) for k in range(passes)]
    if all(name in paths for name in names):
      found[item.id] = [paths[name] for name in names]
  if not found:
    wanted = questions.name_painted(items[0], passes - 1)
    there = 'no picture lies there'
    if paths:
      named = min(paths.values()).name
      there = f'its {len(paths)} pictures have other names, as {named}'
    raise UserError(
      f'{folder}: answers no example in all of {passes} passes: {there}: a '
      f'picture is called {wanted}.png and so on; vbanana prompts lists them'
    )
  return found


def check_painted_for(
  protocol: protocols.Protocol,
  manifest: painted_folder.Manifest,
  folder: pathlib.Path,
) -> None:
  """Refuses pictures that answer the questions of another protocol."""
  for key in ('protocol', 'split'):
    wanted = {'protocol': protocol.name, 'split': protocol.split}[key]
    painted = manifest.settings.get(key)
    if painted != wanted:
      raise UserError(
        f'{folder} was painted for the {key} {painted} and not for {wanted} '
        f'(see {painted_folder.NAME} in it): name that one, or other pictures'
      )


def describe_lack(
  protocol: protocols.Protocol,
  items: tuple[readers.Item, ...],
  answered: list[readers.Item],
) -> str:
  """What keeps this from being the whole benchmark; empty if nothing does."""
  if protocol.count is not None and len(items) != protocol.count:
    return (
      f'{protocol.label} has {protocol.count} examples and --data lists '
      f'{len(items)}: vbanana doctor says more'
    )
  if protocol.has_known_ids(items) is False:
    return (
      f'--data lists {len(items)} examples, as many as {protocol.label} has, '
      'but their ids are not the published ones (by SHA-256)'
    )
  if len(answered) < len(items):
    ids = {item.id for item in answered}
    missing = next(item.id for item in items if item.id not in ids)
    return (
      f'--predictions answers {len(answered)} of {len(items)} examples; '
      f'{missing} is the first of those missing'
    )
  return ''


def read_painted(
  protocol: protocols.Protocol,
  item: readers.Item,
  repeat: int,
  path: pathlib.Path,
  shape: tuple[int, int],
  odd: collections.Counter[str],
  shares: Shares,
) -> np.ndarray:
  """One painted picture as values at the truth's size.

  `odd` counts pictures whose scores should be looked at, by `_ODD` and by too
  many instances for the decoder. `shares` collects those facts that it names.
  """
  spec = questions.ask(protocol, item, repeat).spec
  picture = photos.open_painted(path, spec.background)
  decoded = questions.decode_answer(protocol, spec, picture.pixels_u8)
  oddities = decode.find_oddities(spec, picture, decoded, shape)
  expects_labels = TASKS[protocol.task].reader.expects_labels
  for kind, text in _ODD.items():
    # Where a phrase may mean nothing in the photograph, nothing is an answer.
    counts = kind != 'nothing_found' or expects_labels
    odd[text.format(protocol.task)] += counts and kind in oddities
  for name in shares.keys() & decoded.facts.keys():
    shares[name].append(decoded.facts[name])
  odd['of too many instances'] += decoded.facts.get('overflow', False)
  return questions.resize_value(protocol, decoded.value, shape)


def compare(
  grade: Grade, other: dict[str, Any], other_states: dict[str, np.ndarray]
) -> dict[str, tuple[float, tuple[float, float]]]:
  """Headline differences, `grade` minus the other, with 95 % intervals.

  Raises:
    UserError: unless both answer the same examples of one protocol.
  """
  keys_of_same = ('protocol', 'version', 'n', 'ids_sha256')
  refuse_other({key: grade.results[key] for key in keys_of_same}, other)
  scoring = TASKS[grade.results['task']].benchmark
  intervals = bootstrap.make_paired_intervals(
    other_states,
    grade.states,
    scoring.summarize,
    _make_rng(grade.results['protocol']),
    resamples=_RESAMPLES,
  )
  ours, theirs = grade.results['metrics'], other['metrics']
  return {
    name: (ours[name]['value'] - theirs[name]['value'], intervals[name])
    for name in grade.results['headline']
  }


def refuse_other(ours: dict[str, Any], other: dict[str, Any]) -> None:
  """Raises UserError for results that differ from ours in one of its keys."""
  for key, value in ours.items():
    if value != other.get(key):
      raise UserError(
        f'cannot compare: {key} is {value} here and {other.get(key)} there; '
        'scores under different protocols, or of other examples, do not say '
        'which is better'
      )


def _summarize(protocol, rows):
  """Metrics with intervals, and states [n ...], of per-example states."""
  scoring = TASKS[protocol.task].benchmark
  metrics, states = scoring.summarize_rows(rows)
  intervals = bootstrap.make_intervals(
    states, scoring.summarize, _make_rng(protocol.name), resamples=_RESAMPLES
  )
  return {
    name: {
      'value': logs.to_number(value),
      'interval': [logs.to_number(end) for end in intervals[name]],
    }
    for name, value in metrics.items()
  }, states


def _make_rng(name: str) -> np.random.Generator:
  return keys.make_rng(0, 'bootstrap', name)
