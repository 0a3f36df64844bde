"""A folder of what people have and of what is wrong with it, for every verb."""

import json
import pathlib
import shutil
import struct
import zlib

import byte_files
import numpy as np
import painted
import untrained
from PIL import Image

from vbanana_jax import config as config_lib
from vbanana_jax.codecs import depth
from vbanana_jax.data import prepare
from vbanana_jax.evaluation import gallery_file

H, W = 24, 32
SNAPSHOT = pathlib.Path(__file__).parent / 'oracles' / 'klein' / 'snapshot'


def make_place(root: pathlib.Path) -> None:
  """Writes the folder in which the commands of `mistake_rows` are given."""
  rng = np.random.default_rng(0)
  for name in ('photo', 'mixed/good', 'pets/cats/a', 'pets/dogs/a'):
    save(root / f'{name}.png', rng.random((H, W, 3)))
  for name in ('a.jpg', 'a.png'):
    save(root / 'twins' / name, rng.random((H, W, 3)))
  meters = np.geomspace(0.5, 30, H * W).reshape(H, W)
  save(root / 'painted.png', depth.encode(meters))
  gray = np.linspace(0, 1, H * W).reshape(H, W, 1)
  save(root / 'grey.png', np.tile(gray, (1, 1, 3)))
  save(root / 'small.png', np.zeros((1, 1, 3)))
  (root / 'nothing').mkdir()
  cut = (root / 'photo.png').read_bytes()[:200]
  for name, content in (
    ('file', b''),
    ('empty.png', b''),
    ('empty.py', b''),
    ('text.png', b'no picture'),
    ('cut.png', cut),
    ('mixed/cut.png', cut),
    ('huge.png', _make_huge_png()),
    ('list.json', b'[]'),
    ('notes.txt', b'no zip'),
  ):
    (root / name).write_bytes(content)
  _write_labeled(root)
  own = byte_files.open_kind('folder', root / 'own')
  prepare.prepare_dataset(own, root / 'prepared')
  _write_answers(root)
  _write_results(root / 'scored')
  _write_results(root / 'stuck')
  (root / 'stuck' / 'report.html').mkdir()  # no file can take its place
  _write_results(root / 'listed')
  (root / 'listed' / 'results.json').write_text('[]')
  _write_results(root / 'blank')
  (root / 'blank' / 'results.json').write_text('')
  _write_snapshots(root)
  (root / 'run').mkdir()
  untrained.save_run(root / 'run', 'normals')


def _write_snapshots(root: pathlib.Path) -> None:
  """A tiny FLUX.2 klein, and the configs of a distilled one."""
  shutil.copytree(SNAPSHOT, root / 'klein')
  weights = shutil.ignore_patterns('*.safetensors')
  shutil.copytree(SNAPSHOT, root / 'distilled', ignore=weights)
  path = root / 'distilled' / 'model_index.json'
  values = json.loads(path.read_text())
  path.write_text(json.dumps({**values, 'is_distilled': True}))


def _write_labeled(root: pathlib.Path) -> None:
  """Folders of two photographs with depth, and what may be wrong with them."""
  for name, unit, times in (
    ('own', 'mm', 1),
    ('inches', 'inch', 1),
    ('half_size', 'mm', 2),
    ('two_names', 'mm', 1),
    ('vast', 'mm', 1),
  ):
    shape = (H // times, W // times)
    depth_mm = np.linspace(1000, 3000, shape[0] * shape[1]).reshape(shape)
    for stem in 'ab':
      save(root / name / 'images' / f'{stem}.png', np.full((H, W, 3), 0.5))
      (root / name / 'depth').mkdir(exist_ok=True)
      stored = Image.fromarray(depth_mm.astype(np.uint16))
      stored.save(root / name / 'depth' / f'{stem}.png')
    fields = json.dumps({'depth': {'unit': unit}})
    (root / name / 'dataset.json').write_text(fields)
  save(root / 'two_names' / 'images' / 'a.jpg', np.zeros((H, W, 3)))
  (root / 'vast' / 'images' / 'a.png').write_bytes(_make_huge_png())


def _write_answers(root: pathlib.Path) -> None:
  """A benchmark of two examples, and folders that answer it."""
  protocol = painted.write_benchmark('depth', root / 'bench')
  painted.paint(protocol, root / 'bench', root / 'right', scale=1)
  for name, other in (
    ('wide', np.zeros((H, 3 * W, 3))),
    ('grey', np.tile(np.linspace(0, 1, W)[:, None], (H, 1, 3))),
  ):
    for id_ in painted.NAMES:
      save(root / name / f'{id_}.png', other)
  first, second = (
    (root / 'right' / f'{id_}.png').read_bytes() for id_ in painted.NAMES
  )
  for name, files in (
    ('half', {'a_1.png': first}),
    ('spoiled', {'a_1.png': b'no picture', 'b_2.png': second}),
    ('large', {'a_1.png': _make_huge_png(), 'b_2.png': second}),
    ('double', {'a_1.png': first, 'a_1.jpg': first, 'b_2.png': second}),
  ):
    (root / name).mkdir()
    for file, content in files.items():
      (root / name / file).write_bytes(content)


def _write_results(workdir: pathlib.Path) -> None:
  """What `vbanana evaluate --workdir` leaves of a held-out set of nothing."""
  workdir.mkdir()
  results = {
    'eval_set': 'eval_v2', 'level': 'quick', 'rows': [], 'by_count': {},
    'phases': {},
    'seconds': 1.0, 'seconds_train_eval': 1.0, 'untrained': [], 'prompts': {},
    'elsewhere': [],
    'weights': 'of nobody', 'versions': {},
    'config': config_lib.load_config('quickstart:smoke').to_dict(),
  }  # fmt: skip
  (workdir / 'results.json').write_text(json.dumps(results))
  gallery_file.save_gallery(workdir / 'gallery.npz', {})


def _make_huge_png(edge: int = 60_000) -> bytes:
  """A PNG whose header says edge x edge pixels; it has none."""
  header = struct.pack('>IIBBBBB', edge, edge, 8, 2, 0, 0, 0)
  parts = []
  for kind, body in ((b'IHDR', header), (b'IDAT', b''), (b'IEND', b'')):
    crc = zlib.crc32(kind + body)
    parts.append(struct.pack('>I', len(body)) + kind + body)
    parts.append(struct.pack('>I', crc))
  return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


def save(path: pathlib.Path, rgb) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.rint(255 * np.asarray(rgb)).astype(np.uint8)).save(path)
