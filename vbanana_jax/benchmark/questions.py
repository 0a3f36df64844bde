"""What a protocol asks: the instruction of every example, for any generator.

Pass 0 asks in the protocol's own words and colors. Each further pass has a
seed of its own, and deals the colors of a legend anew, so that a generator
that mixes up colors and names does so in another way each time, and a vote can
tell.
"""

import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from vbanana_jax import keys
from vbanana_jax.benchmark.protocols import Protocol
from vbanana_jax.benchmark.readers import Item, Reader
from vbanana_jax.codecs import palettes
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import legend_colors, legend_parts, legend_text, prompts
from vbanana_jax.tokenizer import tokenizer

# What every prompt is like, without what one example puts into it.
ANY_ITEM = Item('any', '', '{phrase}')


class ProtocolPrompt(NamedTuple):
  """A prompt and what a decoder must know to read its answer."""

  prompt: str
  spec: prompts.PromptSpec


class PaintRequest(NamedTuple):
  """One picture to paint.

  Attributes:
    file: name of the painted picture; a suffix of .jpg or .webp does as well.
    item: the example.
    seed: of the generator's noise, another one in every pass.
    prompt: what to paint.
    spec: how it is read.
    repeat: the pass.
  """

  file: str
  item: Item
  seed: int
  prompt: str
  spec: prompts.PromptSpec
  repeat: int


def ask(
  protocol: Protocol,
  item: Item,
  repeat: int = 0,
  group: range | None = None,
) -> ProtocolPrompt:
  """The instruction of one example in pass `repeat`; the same at any time.

  With `group`, numbers of classes, it asks for these alone: in the colors that
  they have in the whole legend, or where colors have names in those that a
  legend of these alone has in training.

  Raises:
    UserError: an example whose phrase cannot be put into the prompt.
  """
  phrase = (item.phrase or '').strip()
  if '{phrase}' in protocol.prompt and not phrase:
    raise UserError(f'{protocol.title}: example {item.id} has no phrase')
  ground = tuple(protocol.background or (0, 0, 0))
  classes = protocol.classes or []
  colors = _deal([tuple(color) for _, color in classes], protocol, repeat)
  names = [name.replace('{phrase}', phrase) for name, _ in classes]
  if group is not None:
    names = [names[k] for k in group]
    colors = [colors[k] for k in group]
    if protocol.notation == 'name' and not repeat:
      colors = [c.rgb for c in legend_colors.find_fixed(names, ground)]
  write = functools.partial(legend_colors.write, notation=protocol.notation)
  legend = legend_text.Legend(
    tuple((name, write(color)) for name, color in zip(names, colors)),
    write(ground),
    stated=True,
  )
  # Not str.format: a phrase may hold braces.
  prompt = protocol.prompt
  for field, text in (
    ('{legend}', legend.write_mapping()),
    ('{color}', legend.entries[0][1].text if classes else ''),
    ('{background}', legend.background.text),
    ('{phrase}', phrase),
  ):
    prompt = prompt.replace(field, text)
  spec = prompts.PromptSpec(
    protocol.task,
    entries=tuple(zip(names, colors)),
    background=ground,
    background_stated=True,
  )
  reader = prompts.get_reader(protocol.task)
  return ProtocolPrompt(prompt, reader.complete(spec, prompt, phrase))


def ask_parts(
  protocol: Protocol,
  item: Item,
  repeat: int = 0,
  *,
  most_names: int | None,
  max_text: int,
  count_tokens: Callable[[str], int] | None = None,
) -> tuple[legend_parts.Part, ...]:
  """The same question for a network, in parts where it takes no longer ones.

  Args:
    protocol: of the benchmark.
    item: the example.
    repeat: the pass.
    most_names: of one question that the network was trained for; None for any
      number.
    max_text: tokens that it takes.
    count_tokens: of an instruction; of the package's own vocabulary if not
      given.

  Raises:
    UserError: the instruction is too long and has nothing to split.
  """
  count = count_tokens or tokenizer.Tokenizer.load().count
  names = range(len(protocol.classes or ()))

  def fits(group: range | None) -> bool:
    return count(ask(protocol, item, repeat, group).prompt) <= max_text

  groups: list[range] | list[None] | None = [None] if fits(None) else None
  if len(names) > 1:
    most = most_names or len(names)
    groups = legend_parts.split_names(len(names), most, fits)
  if groups is None:
    least = ask(protocol, item, repeat, names[:1] if len(names) > 1 else None)
    raise UserError(
      f'{protocol.title}: the instruction of example {item.id} has '
      f'{count(least.prompt)} tokens and this network takes {max_text}: train '
      f'one with a longer config.model.max_text'
    )
  parts = []
  for group in groups:
    prompt, spec = ask(protocol, item, repeat, group)
    palette, _ = spec.make_palette()
    rows = [0, *(k + 1 for k in (names if group is None else group))]
    parts.append(legend_parts.Part(prompt, palette, np.array(rows, np.int32)))
  return tuple(parts)


def make_requests(
  protocol: Protocol, items: Iterable[Item], passes: int
) -> Iterator[PaintRequest]:
  """Every picture that the protocol wants painted, in order."""
  for item in items:
    for repeat in range(passes):
      name = name_painted(item, repeat)
      yield PaintRequest(
        f'{name}.png',
        item,
        get_seed(protocol, repeat),
        *ask(protocol, item, repeat),
        repeat,
      )


def get_seed(protocol: Protocol, repeat: int) -> int:
  """The seed of a pass; after those of the protocol they count on."""
  beyond = max(repeat - len(protocol.seeds) + 1, 0)
  return protocol.seeds[repeat - beyond] + beyond


def name_painted(item: Item, repeat: int) -> str:
  """Name of a painted picture without its suffix: `ID`, then `ID@1` ..."""
  return f'{item.id}@{repeat}' if repeat else item.id


def open_reader(protocol: Protocol, root: pathlib.Path) -> Reader:
  """The protocol's benchmark in a folder; UserError where it is not one."""
  if not root.is_dir():
    raise UserError(f'{root}: no such folder')
  return protocol.open(root)


def _deal(
  colors: list[palettes.Color], protocol: Protocol, repeat: int
) -> list[palettes.Color]:
  """The protocol's colors, dealt anew in every pass but the first.

  A legend of several keeps its colors, which are far apart, and changes who
  gets which; a single color is drawn from the named ones that are far from
  the background.
  """
  if not repeat or not colors:
    return colors
  rng = keys.make_rng(get_seed(protocol, repeat), protocol.title)
  if len(colors) > 1:
    return [colors[i] for i in rng.permutation(len(colors))]
  ground = protocol.background or (0, 0, 0)
  far = [
    color
    for color in palettes.NAMED.values()
    if np.linalg.norm(np.subtract(color, ground)) >= 200 and color != colors[0]
  ]
  return [legend_text.choose(rng, far)]
