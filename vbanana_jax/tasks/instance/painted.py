"""Reads instances that anything painted, in whatever colors."""

import dataclasses
import functools
import re
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax.codecs import flood, instances
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import prompt_parser
from vbanana_jax.tasks.painted import PaintedReader
from vbanana_jax.tasks.painted_legend import read_legend

DECODERS = {
  'paper': (flood.decode_flood, flood.FloodOptions),
  'regions': (instances.decode_regions, instances.RegionOptions),
}
_TAU = 14.0  # 8-bit levels from the background
# A picture is not taken for one of instances if more than these shares of what
# is painted, and of the whole, belong to no instance.
_MOST_DROPPED, _MOST_DROPPED_OF_ALL = 0.5, 0.02
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


class InstanceReader(PaintedReader):
  """Ids of regions of one color each, on one background."""

  takes_padding: ClassVar[bool] = False

  def read_prompt(self, prompt):
    """The thing that is asked for, and the background.

    Source: Vision Banana, figure 3.
    """
    found = (form.search(prompt) for form in _THINGS)
    category = next(
      (f[1].translate(prompt_parser.QUOTES) for f in found if f), None
    )
    legend = read_legend('instance', prompt)
    return dataclasses.replace(legend, entries=(), category=category)

  def complete(self, spec, prompt, phrase):
    del prompt
    return dataclasses.replace(spec, category=phrase)

  def read(self, spec, rgb, palette, settings):
    del spec
    return _read_instances(
      rgb, palette[0], settings.decoder, settings.decoder_options
    )

  def check(self, spec, settings):
    del spec
    if settings.decoder not in DECODERS:
      raise UserError(
        f'instance decoder {settings.decoder!r}: choose of '
        f'{", ".join(DECODERS)}'
      )

  def describe(self, spec, found, settings):
    count, dropped = int(found['count']), float(found['dropped_share'])
    return {
      'category': spec.category,
      'background': list(spec.background),
      'decoder': {'name': settings.decoder, **dict(settings.decoder_options)},
      'instances': count,
      'colors': np.rint(255 * found['color'][:count]).astype(int).tolist(),
      'area_px': found['area_px'][:count].tolist(),
      'dropped_share': dropped,
      'dropped_share_of_painted': float(
        found['dropped_share'] / max(found['painted_share'], 1e-9)
      ),
      'overflow': bool(found['overflow']),
      'converged': bool(found['converged']),
    }

  def find_fault(self, found):
    facts = found.facts
    if facts['overflow']:
      return f'more instances than {facts["instances"]}, the most that are held'
    if (
      facts['dropped_share_of_painted'] > _MOST_DROPPED
      and facts['dropped_share'] > _MOST_DROPPED_OF_ALL
    ):
      return (
        f'{facts["dropped_share"]:.0%} of it are regions too small or too thin '
        'to be instances'
      )
    return None


@functools.partial(jax.jit, static_argnums=(2, 3))
def _read_instances(rgb, ground, decoder, chosen):
  decode, options = DECODERS[decoder]
  found = decode(rgb, ground, options(**dict(chosen)))
  painted = 255 * jnp.linalg.norm(rgb - ground, axis=-1) >= _TAU
  found = found._asdict()
  ids = found.pop('ids')
  return {
    'value': ids,
    'painted_share': jnp.mean(painted),
    'dropped_share': jnp.mean(painted & (ids == 0)),
    **found,
  }
