"""Folders of photographs as records, in one call."""

import dataclasses

from vbanana_jax.data import record_source
from vbanana_jax.data.prepare_pictures import Limits
from vbanana_jax.datasets import image_folder


def prepare_images(path, out, **options):
  """The manifest of prepared photographs; fields of `Limits` are options."""
  names = {field.name for field in dataclasses.fields(Limits)}
  limits = Limits(
    **{'most_bad': '100 percent'}
    | {key: options.pop(key) for key in names & options.keys()}
  )
  return image_folder.prepare_images(path, out, limits=limits, **options)


def captions_of(out):
  """The first caption of each row; None where it has none."""
  source = record_source.RecordSource(out, 8)
  rows = (source[i].get('captions') for i in range(len(source)))
  return [next(iter(captions), None) if captions else None for captions in rows]
