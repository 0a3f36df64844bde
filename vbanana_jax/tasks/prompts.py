"""Reads instructions: what a decoder must know to read the painted answer."""

import dataclasses
import itertools
import re

import numpy as np
from jaxtyping import Bool, Float

from vbanana_jax import errors
from vbanana_jax.codecs import palettes
from vbanana_jax.tasks import legend_text, prompt_parser

COLORMAPS = ('rainbow', 'grayscale', 'viridis', 'plasma', 'inferno')

# Within a sentence; a dot within a word or after 'St' does not end one.
_NAME = r'((?:[^.]|\.(?!\s)|(?<=\b(?-i:[A-Z][a-z]))\.(?=\s)){1,200}?)'
# How instances of a thing are asked for; the first form that fits wins.
_THINGS = tuple(
  re.compile(form.replace('{}', _NAME), re.IGNORECASE)
  for form in (
    r'\beach {} in (?:its own|an? (?:different|unique))\b',
    r'\beach {}(?: instance)? (?:gets|has) ',
    r'\beach {}(?: instance)? is (?:colou?red|represented|rendered|shown)\b',
    r'\bthe {} instances are\b',
    r'\ball (?:the )?{}, colou?r\b',
    r'\bmasks (?:for|of) (?:the )?{} (?:from|in)\b',
  )
)
# Maps that cannot be read: others', and ours turned round. A bare 'jet' may be
# a thing in the picture.
_FOREIGN = r'(turbo|jet|magma|cividis|spectral(?:_r)?|coolwarm|hsv)'
_UNREADABLE_MAPS = (
  rf'\b{_FOREIGN} (?:colou?rs?|colou?r ?map|(?:colou?r )?palette|map)\b',
  rf'\b(?:in|with|using|use)(?: the)? {_FOREIGN}\b',
  r'\b((?:inverted|inverse|reversed) (?:grayscale|viridis|plasma|inferno))\b',
  r'\b((?:grayscale|viridis|plasma|inferno)_r)\b',
)


@dataclasses.dataclass(frozen=True)
class PromptSpec:
  """What an instruction says about how its answer is painted.

  Attributes:
    task: as given.
    entries: (name, color) in order; semantic and referring only. Names are
      without a leading 'the'.
    background: color of all else; black where it is not stated.
    background_stated: whether the instruction names it.
    category: what instances are asked for; None where no known form says it.
    colormap: one of `COLORMAPS`; depth only.
  """

  task: str
  entries: tuple[tuple[str, palettes.Color], ...] = ()
  background: palettes.Color = (0, 0, 0)
  background_stated: bool = False
  category: str | None = None
  colormap: str | None = None

  def make_palette(
    self,
  ) -> tuple[Float[np.ndarray, 'q 3'], Bool[np.ndarray, 'q']]:
    """Colors in [0, 1], background first, and which rows exist: all."""
    colors = [self.background, *(color for _, color in self.entries)]
    return palettes.to_rgb(colors), np.ones(len(colors), bool)


def read_prompt(task: str, prompt: str) -> PromptSpec:
  """Reads what a decoder of `task` needs from any instruction.

  Args:
    task: 'semantic', 'referring', 'instance', 'depth' or 'normals'.
    prompt: JSON-like mappings and English sentences; colors by name, #rrggbb,
      (r, g, b), <r, g, b> or RGB(r, g, b).

  Raises:
    UserError: for a semantic or referring instruction without a legend,
      a name with two colors, colors nearer than 28 levels to each other, a
      level above 255, or a color map that cannot be read.

  Source: Vision Banana, figures 2, 3 and 4 and sections 2.4 and 2.5.
  """
  match task:
    case 'semantic' | 'referring':
      spec = _read_legend(task, prompt)
      if not spec.entries:
        raise errors.UserError(
          f'prompt: no legend found for {task}: give each name a color, as '
          'in {"cat": "red", "exit sign": #8000ff} or The cat is red.'
        )
      _check_names(spec)
      _check_apart(spec)
      return spec
    case 'instance':
      found = (form.search(prompt) for form in _THINGS)
      category = next(
        (f[1].translate(prompt_parser.QUOTES) for f in found if f), None
      )
      legend = _read_legend(task, prompt)
      return dataclasses.replace(legend, entries=(), category=category)
    case 'depth':
      return PromptSpec(task, colormap=_read_colormap(prompt.lower()))
    case 'normals':
      return PromptSpec(task)
  raise errors.UserError(
    f'task {task!r} has no prompts to read: choose semantic, referring, '
    'instance, depth or normals'
  )


def _read_legend(task: str, prompt: str) -> PromptSpec:
  legend = prompt_parser.read_legend(prompt)
  grounds = [
    color for name, color in legend if name == prompt_parser.BACKGROUND
  ]
  return PromptSpec(
    task,
    entries=tuple(row for row in legend if row[0] != prompt_parser.BACKGROUND),
    background=grounds[-1] if grounds else (0, 0, 0),
    background_stated=bool(grounds),
  )


def _check_names(spec: PromptSpec) -> None:
  names = [name for name, _ in spec.entries]
  twice = {name for name in names if names.count(name) > 1}
  if twice:
    raise errors.UserError(
      f'prompt: {min(twice)} has two colors: give each name one'
    )


def _check_apart(spec: PromptSpec) -> None:
  ground = 'background' if spec.background_stated else 'unstated background'
  named = ((ground, spec.background), *spec.entries)
  for (name, color), (other, near) in itertools.combinations(named, 2):
    gap = float(np.linalg.norm(np.subtract(color, near)))
    if gap < legend_text.READABLE_DISTANCE:
      raise errors.UserError(
        f'prompt: {name} {color} and {other} {near} cannot be told apart: '
        f'keep colors {legend_text.READABLE_DISTANCE:.0f} levels or more apart'
      )


def _read_colormap(prompt: str) -> str:
  text = re.sub(r'gr[ae]y[ -]?scale', 'grayscale', prompt)
  named = [name for name in COLORMAPS if re.search(rf'\b{name}\b', text)]
  foreign = next(
    filter(None, (re.search(m, text) for m in _UNREADABLE_MAPS)), None
  )
  if foreign:
    raise errors.UserError(
      f'prompt: depth in {foreign[1]} colors cannot be read: ask for one of '
      f'{", ".join(COLORMAPS)}'
    )
  return named[0] if named else COLORMAPS[0]
