"""Files of answers, to be downloaded together."""

import pathlib
import secrets
import tempfile
import threading
import zipfile

from vbanana_jax.demo.asking import Answered
from vbanana_jax.runtime import files


class Bundles:
  """A zip for each answer; the newest are kept, and all go in the end.

  A zip has what `vbanana predict` writes, and the picture that was asked about.
  Its name cannot be guessed, so that nobody reads the answers of others.

  Args:
    folder: where they lie.
    keep: how many.
  """

  def __init__(self, folder: pathlib.Path, keep: int = 64):
    self._folder, self._keep = folder, keep
    self._names: list[str] = []
    self._lock = threading.Lock()

  def add(self, answered: Answered) -> str:
    """Writes the zip of an answer; its name, for `find`."""
    name = secrets.token_urlsafe(16)
    path = self._folder / name
    with tempfile.TemporaryDirectory(dir=self._folder) as parts:
      folder = pathlib.Path(parts)
      answered.answer.save(folder)
      if answered.photo_u8 is not None:
        photo = files.to_png(answered.photo_u8)
        files.write_atomic(folder / 'picture.png', photo)
      with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as bundle:
        for part in sorted(folder.iterdir()):
          bundle.write(part, part.name)
    with self._lock:
      self._names.append(name)
      gone = self._names[: -self._keep]
      del self._names[: -self._keep]
    for old in gone:
      (self._folder / old).unlink(missing_ok=True)
    return name

  def find(self, name: str) -> pathlib.Path | None:
    """The zip of a name; None where there is none, or not any more."""
    with self._lock:
      return self._folder / name if name in self._names else None
