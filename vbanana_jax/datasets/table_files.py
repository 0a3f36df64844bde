"""Files of tables: Parquet, and Arrow as `datasets` saves it."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from vbanana_jax.errors import UserError

_SUFFIXES = ('.parquet', '.arrow')


class TableFile(NamedTuple):
  """One file: its schema, rows of each group, and how a group is read."""

  path: pathlib.Path
  schema: Any
  counts: tuple[int, ...]
  read: Any
  close: Any


def open_table(path: pathlib.Path) -> TableFile:
  """A Parquet file, or a stream of Arrow.

  Raises:
    UserError: it is damaged, or pyarrow is absent.
  """
  with blamed(path):
    if path.suffix == '.parquet':
      from pyarrow import parquet

      file = parquet.ParquetFile(path)
      count = file.metadata.num_row_groups
      rows = (file.metadata.row_group(k).num_rows for k in range(count))
      return TableFile(
        path, file.schema_arrow, tuple(rows), file.read_row_group, file.close
      )
    import pyarrow

    source = pyarrow.memory_map(str(path))
    reader = pyarrow.ipc.open_stream(source)
    batches = list(reader)
    return TableFile(
      path,
      reader.schema,
      tuple(batch.num_rows for batch in batches),
      lambda group, columns: batches[group].select(columns),
      source.close,
    )


@contextlib.contextmanager
def blamed(path: pathlib.Path) -> Iterator[None]:
  """What goes wrong inside, as a UserError that names the file."""
  try:
    yield
  except ImportError as error:
    raise UserError(
      f"{path}: needs pyarrow: pip install 'vbanana-jax[parquet]'"
    ) from error
  except (UserError, MemoryError):
    raise
  except Exception as error:  # pyarrow raises nearly every kind
    reason = ' '.join(str(error).split())
    raise UserError(f'{path}: damaged table ({reason})') from error


def find_tables(path: pathlib.Path, split: str) -> list[pathlib.Path]:
  """A file, or those of a folder and a split in order of name.

  Raises:
    UserError: there is none, or several splits and none is given.
  """
  if path.is_file():
    return [path]
  found = [
    file
    for file in sorted(path.rglob('*'))
    if file.suffix in _SUFFIXES and file.is_file()
    and not file.name.startswith(('.', 'cache-'))
  ]  # fmt: skip
  if not found:
    what = 'no *.parquet or *.arrow in it' if path.is_dir() else 'no such file'
    raise UserError(f'{path}: {what}')
  splits = {_get_split(file, path) for file in found}
  if split:
    found = [file for file in found if _get_split(file, path) == split]
  if (split or len(splits) > 1) and (not split or not found):
    raise UserError(f'{path}: --split: choose of {", ".join(sorted(splits))}')
  return found


def _get_split(file: pathlib.Path, root: pathlib.Path) -> str:
  """`train` of train-00000-of-00002.parquet and of train/data-00000.arrow."""
  parts = file.relative_to(root).parts
  name = file.stem.partition('-')[0]
  return parts[-2] if len(parts) > 1 and name in ('data', '0000') else name
