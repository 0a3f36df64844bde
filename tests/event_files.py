"""Reads what TensorBoard would."""

import pathlib
import struct
from collections.abc import Iterator


def read_events(folder: pathlib.Path) -> Iterator:
  """Events of all files of a folder, in the order of their names."""
  from tensorboardX.proto import event_pb2

  for path in sorted(folder.glob('events.out.tfevents.*')):
    data, at = path.read_bytes(), 0
    while at < len(data):  # length, its checksum, the event, its checksum
      (size,) = struct.unpack_from('<Q', data, at)
      yield event_pb2.Event.FromString(data[at + 12 : at + 12 + size])
      at += 16 + size


def read_tags(folder: pathlib.Path) -> list[tuple[int, str]]:
  """Step and tag of every number and picture."""
  return [
    (event.step, value.tag)
    for event in read_events(folder)
    for value in event.summary.value
  ]
