"""A photograph with what is known of it, and a set of such, before records.

A layout on disk is read by a `DataSet`; `prepare` writes what it loads.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float32, Int

from vbanana_jax import labels

LABELS = (
  'depth_m', 'normals', 'semantic', 'instance', 'phrases', 'captions',
  'intrinsics', 'edit',
)  # fmt: skip


class EditedPicture(NamedTuple):
  """What an instruction makes of a photograph.

  Attributes:
    instruction: in words.
    encoded: the file of the picture afterwards, of the photograph's size.
  """

  instruction: str
  encoded: bytes


@dataclasses.dataclass(frozen=True, eq=False)
class LabeledPicture:
  """One photograph and its labels, all of its size [h w], upright.

  Attributes:
    id: unique in its set.
    file: where it came from, for people.
    encoded: the photograph's file as it came: JPEG, PNG, ...
    depth_m: z-depth in meters; inf is sky, NaN is not known.
    normals: unit; x right, y up, z to the viewer; zero is not known.
    semantic: ids of the set's classes; `labels.VOID` is not known.
    instance: 0 is no object, k the k-th; `labels.VOID` is not known.
    instance_class: class ids of objects 1, 2, ...; none where the set has no
      classes.
    phrases: what can be referred to; masks of several may overlap.
    captions: what the photograph shows.
    intrinsics: of the photograph's own pixels.
    edit: what an instruction makes of it.
  """

  id: str
  file: str
  encoded: bytes
  depth_m: Float32[np.ndarray, 'h w'] | None = None
  normals: Float32[np.ndarray, 'h w 3'] | None = None
  semantic: Int[np.ndarray, 'h w'] | None = None
  instance: Int[np.ndarray, 'h w'] | None = None
  instance_class: tuple[int, ...] = ()
  phrases: tuple[labels.Phrase, ...] = ()
  captions: tuple[str, ...] = ()
  intrinsics: labels.Intrinsics | None = None
  edit: EditedPicture | None = None

  @property
  def known(self) -> frozenset[str]:
    """Names of the labels that it has."""
    return frozenset(
      key
      for key in LABELS
      if (value := getattr(self, key)) is not None
      and not (isinstance(value, tuple) and not value)
    )


class DataSet(Protocol):
  """One folder or archive in one layout; subclasses inherit the defaults.

  Attributes:
    name: as in manifests and logs.
    license: its terms in short, or ''.
    source: where it can be got, or ''.
    classes: of its semantic and instance labels, if it has these.
    ids: of its pictures, in order.
    notes: what a person should know, as how many an exclusion list left out.
    skipped: files that are not among the pictures although they might be, and
      why.
    also_read: files besides the folder or archive that it is a function of.
    exclusions: of each exclusion list what it is and how many pictures it left
      out, as JSON.
  """

  name: str
  license: str = ''
  source: str = ''
  classes: labels.Classes | None = None
  ids: Sequence[str]
  notes: Sequence[str] = ()
  skipped: Sequence[tuple[str, str]] = ()
  also_read: Sequence[os.PathLike] = ()
  exclusions: Sequence[Mapping[str, Any]] = ()

  def load(self, index: int) -> LabeledPicture:
    """The picture `ids[index]`; threads may call this at once.

    Raises:
      UserError: names the file, the field and the remedy.
    """
    ...

  def close(self) -> None:
    """Lets go of files that are open; nothing can be loaded any more."""
    return None
