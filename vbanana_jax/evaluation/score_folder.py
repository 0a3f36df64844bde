"""A folder of painted pictures, scored under a protocol.

Files are read in threads while the devices decode and score what was read
before; see `protocol_evaluator`.
"""

import collections
import datetime
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import tqdm

from vbanana_jax import decode, sharding
from vbanana_jax.benchmark import painted_folder, protocols, questions, readers
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import protocol_evaluator, scores
from vbanana_jax.evaluation.protocol_constants import BestConstants
from vbanana_jax.runtime import prefetch
from vbanana_jax.tasks import TASKS, prompts
from vbanana_jax.training import provenance

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


class PaintedFile(NamedTuple):
  """One painted picture that was read.

  Attributes:
    spec: what its prompt says.
    size: its height and width.
    odd: what is odd about its colors; see `decode.find_odd_colors`.
    pixels_u8: [h w 3]; None once it is decoded.
  """

  spec: prompts.PromptSpec
  size: tuple[int, int]
  odd: dict[str, str]
  pixels_u8: np.ndarray | None


def grade(
  protocol: protocols.Protocol,
  data: pathlib.Path,
  predictions: pathlib.Path,
  *,
  passes: int | None = None,
  partial: bool = False,
  mesh: jax.sharding.Mesh | None = None,
) -> scores.Grade:
  """Scores `ID.png` of every example; `ID@1.png` ... are further passes.

  Args:
    protocol: how to ask, read and score.
    data: the benchmark's folder.
    predictions: the pictures; .jpg, .jpeg and .webp do as well.
    passes: pictures a question, put to the vote; the protocol's number if not
      given. The first pass alone is scored beside the vote.
    partial: score the examples that are there, and say so in the results.
    mesh: devices that share the work; all of them if not given.

  Raises:
    UserError: missing or damaged pictures, and where data or predictions are
      not the whole split, unless `partial`.
  """
  passes = passes or protocol.passes
  reader = questions.open_reader(protocol, data)
  found = painted_folder.find_painted(reader.items, predictions, passes)
  manifest = painted_folder.load_manifest(predictions)
  if manifest is not None:
    painted_folder.check_painted_for(protocol, manifest, predictions)
  items = [item for item in reader.items if item.id in found]
  lack = describe_lack(protocol, reader.items, items)
  if lack and not partial:
    raise UserError(
      f'{lack}; --partial scores what is there and marks the result as partial'
    )
  mesh = mesh or sharding.build_mesh()
  scored, facts = score_pictures(protocol, reader, items, found, mesh)
  if manifest is not None:
    names = [path.name for item in items for path in found[item.id]]
    painted, odd = painted_folder.describe_painted(manifest, predictions, names)
    facts['painted'] = painted
    facts['odd_pictures'] |= odd
  metrics, states = _summarize_passes(protocol, scored, passes)
  return scores.Grade(
    {
      **describe_protocol(protocol),
      **_describe_examples(protocol, reader.items, items, lack),
      'predictions': str(predictions),
      'painted': None,
      'passes': passes,
      **facts,
      **metrics,
      'classes': scores.score_classes(protocol, states),
      'date': datetime.datetime.now().isoformat(timespec='seconds'),
      **provenance.get_code(),
    },
    states,
  )


def _describe_examples(
  protocol: protocols.Protocol,
  listed: Sequence[readers.Item],
  items: Sequence[readers.Item],
  lack: str,
) -> dict[str, Any]:
  """Which examples are scored, of all that the folder lists."""
  return {
    'n': len(items),
    # Unknown where nobody has said how many examples there are.
    'complete': not lack if lack or protocol.count is not None else None,
    'lack': lack or None,
    'ids_sha256': protocols.hash_ids(items),
    'ids_published': protocol.has_known_ids(listed),
  }


def _summarize_passes(
  protocol: protocols.Protocol,
  scored: Sequence[protocol_evaluator.Score],
  passes: int,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Metrics of the vote beside the first pass's, and the vote's states."""
  metrics, states = scores.summarize(protocol, [each.states for each in scored])
  facts = {'metrics': metrics, 'single_pass': None, 'agreement': None}
  if passes > 1:
    facts['single_pass'] = metrics
    facts['metrics'], states = scores.summarize(
      protocol, [each.voted for each in scored]
    )
    facts['agreement'] = float(np.mean([each.agreement for each in scored]))
  return facts, states


def describe_protocol(protocol: protocols.Protocol) -> dict[str, Any]:
  """What scores say of their protocol, ready for JSON."""
  return {
    'protocol': protocol.name,
    'version': protocol.version,
    'task': protocol.task,
    'split': protocol.split,
    'standard_split': protocol.standard_split or protocol.split,
    'reader_verified': protocol.verified,
    'decoder': protocol.decoder,
    'headline': protocol.headline,
    'known_difference': protocol.known_difference,
  }


def score_pictures(
  protocol: protocols.Protocol,
  reader: readers.Reader,
  items: Sequence[readers.Item],
  found: dict[str, list[pathlib.Path]],
  mesh: jax.sharding.Mesh,
) -> tuple[list[protocol_evaluator.Score], dict[str, Any]]:
  """The score of every item, and facts about all of them.

  Args:
    protocol: how to ask, read and score.
    reader: of the truths.
    items: the examples.
    found: painted pictures of each, by its id.
    mesh: devices that share the work.

  Returns:
    scores; and `odd_pictures`, how many to look at, by `_ODD`, means of
    `shares_of_pixels` over pictures, and `constants`, see `BestConstants`.
  """
  scoring = TASKS[protocol.task].benchmark
  painted: list[list[PaintedFile]] = []  # without their pixels
  sizes: list[tuple[int, int]] = []  # of the truths
  constants = BestConstants(protocol, reader, items)

  def load_all():
    bar = tqdm.tqdm(items, desc=protocol.label, unit='example')
    for files, truth in load_answers(protocol, reader, bar, found):
      painted.append([file._replace(pixels_u8=None) for file in files])
      sizes.append(scoring.get_shape(truth))
      constants.add(truth)
      yield protocol_evaluator.PaintedExample(
        [file.pixels_u8 for file in files], [file.spec for file in files], truth
      )

  evaluator = protocol_evaluator.build_evaluator(protocol, mesh)
  scored = evaluator.run(load_all())
  odd: collections.Counter[str] = collections.Counter()
  shares: dict[str, list[float]] = {}
  for files, size, score in zip(painted, sizes, scored, strict=True):
    for file, facts in zip(files, score.facts, strict=True):
      kinds = find_odd_kinds(protocol, file, facts, size)
      for kind, text in _ODD.items():
        odd[text.format(protocol.task)] += kind in kinds
      odd['of too many instances'] += facts['overflow']
      for name in facts:
        if name.endswith('_share'):
          shares.setdefault(name, []).append(facts[name])
  means = {name: float(np.mean(x)) for name, x in shares.items()}
  facts = {'odd_pictures': dict(odd), 'shares_of_pixels': means}
  return scored, {**facts, 'constants': constants.summarize()}


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
      'but their ids are not those of the protocol (by SHA-256)'
    )
  if len(answered) < len(items):
    ids = {item.id for item in answered}
    missing = next(item.id for item in items if item.id not in ids)
    return (
      f'--predictions answers {len(answered)} of {len(items)} examples; '
      f'{missing} is the first of those missing'
    )
  return ''


def load_answers(
  protocol: protocols.Protocol,
  reader: readers.Reader,
  items: Iterable[readers.Item],
  found: dict[str, list[pathlib.Path]],
) -> Iterator[tuple[list[PaintedFile], dict[str, np.ndarray]]]:
  """Painted pictures and truth of every example, read ahead in threads.

  Two truths are held at most beside the one that is asked for.
  """

  def read(item):
    return [
      read_painted(protocol, item, repeat, path)
      for repeat, path in enumerate(found[item.id])
    ]

  pictures = prefetch.prefetch_map(
    read, items, **prefetch.choose_concurrency(1)
  )
  # Readers may share a file.
  for (_, reading), loading in prefetch.prefetch_map(
    lambda pair: reader.load_truth(pair[0]), pictures, ahead=1, threads=1
  ):
    yield reading.result(), loading.result()


def read_painted(
  protocol: protocols.Protocol,
  item: readers.Item,
  repeat: int,
  path: pathlib.Path,
) -> PaintedFile:
  """One painted picture, and what is odd before it is decoded."""
  spec = questions.ask(protocol, item, repeat).spec
  picture = photos.open_painted(path, spec.background)
  odd = decode.find_odd_colors(spec, picture)
  return PaintedFile(spec, picture.pixels_u8.shape[:2], odd, picture.pixels_u8)


def find_odd_kinds(
  protocol: protocols.Protocol,
  file: PaintedFile,
  facts: dict[str, Any],
  size: tuple[int, int],
) -> set[str]:
  """Kinds of `_ODD` that a picture is of, by what was decoded, and by sizes."""
  kinds = {
    *file.odd,
    *decode.find_odd_values(file.spec, facts, is_lossy='lossy' in file.odd),
    *decode.find_odd_shape(file.size, size),
  }
  # Where a phrase may mean nothing in the photograph, nothing is an answer.
  expects_labels = TASKS[protocol.task].reader.expects_labels
  return kinds if expects_labels else kinds - {'nothing_found'}
