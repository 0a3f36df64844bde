"""Tiny benchmarks of every task, and the pictures that answer them exactly."""

import json

import numpy as np
from byte_files import make_jpeg, make_png, write
from PIL import Image

from vbanana_jax.benchmark import protocols, questions
from vbanana_jax.benchmark.readers import rle
from vbanana_jax.codecs import depth, normals, palettes

RNG = np.random.default_rng(5)
H, W = 24, 32
GRAY = make_png(np.full((H, W, 3), 128))
PROTOCOLS = {
  'depth': 'ibims1_depth',
  'normals': 'nyuv2_normals',
  'semantic': 'cityscapes_semantic',
  'referring': 'reasonseg_val_referring',
  'instance': 'saco_gold_attributes_instance',
}
NAMES = ('a_1', 'b_2')  # two examples each
CITY = {7: 'road', 11: 'building', 26: 'car'}
# Two boxes: what is there, as rows and columns.
BOXES = ((slice(2, 12), slice(3, 14)), (slice(8, 22), slice(18, 30)))
COLORS = ((220, 30, 20), (10, 200, 90))


def write_benchmark(task: str, root) -> protocols.Protocol:
  """Writes the folder that the task's protocol reads."""
  _WRITERS[task](root)
  return protocols.load_protocol(PROTOCOLS[task])


def paint(protocol, root, out, *, repeat=0, scale=2, spoil=None):
  """Paints the right answer to every example, `scale` times as large.

  Args:
    protocol: what to answer.
    root: its folder.
    out: where the pictures go.
    repeat: the pass.
    scale: of the pictures.
    spoil: changes each picture, uint8 [h w 3].
  """
  out.mkdir(exist_ok=True)
  reader = protocol.open(root)
  for item in reader.items:
    truth = reader.load_truth(item)
    reading = questions.ask(protocol, item, repeat).spec
    rgb = _PAINTERS[protocol.task](truth, reading)
    picture = np.rint(255 * np.asarray(rgb)).astype(np.uint8)
    picture = picture.repeat(scale, 0).repeat(scale, 1)
    picture = picture if spoil is None else spoil(picture)
    name = questions.name_painted(item, repeat)
    Image.fromarray(picture).save(out / f'{name}.png')


def _write_depth(root):
  # Towards the top it gets farther, as in an upright photograph.
  meters = np.linspace(8, 2, H)[:, None] + RNG.uniform(0, 0.2, (H, W))
  stored = make_png(np.rint(meters * 65535 / 50), 16)
  kept = make_png(np.full((H, W), 255))
  files = {'imagelist.txt': ''.join(f'{name}\n' for name in NAMES)}
  for name in NAMES:
    files[f'rgb/{name}.png'] = GRAY
    files[f'depth/{name}.png'] = stored
    files[f'mask_invalid/{name}.png'] = files[f'mask_transp/{name}.png'] = kept
  write(root, files)


def make_room(h=H, w=W):
  """Normals of a floor below two walls: the left one faces right."""
  vectors = np.zeros((h, w, 3))
  vectors[:, : w // 2] = (0.6, 0, 0.8)
  vectors[:, w // 2 :] = (-0.6, 0, 0.8)
  vectors[h // 2 :] = (0, 0.8, 0.6)
  return vectors


def _write_normals(root, mirror=(1, 1, 1), names=NAMES):
  colors = np.rint(np.asarray(normals.encode(make_room() * mirror)) * 255)
  for name in names:
    stem = f'nyuv2/test/{name}'
    write(root, {f'{stem}_img.png': GRAY})
    write(root, {f'{stem}_normal.png': make_png(colors)})


def write_mirrored_normals(root):
  """As the right ones, with x to the left."""
  _write_normals(root, (-1, 1, 1), [f's_{i}' for i in range(4)])


def _write_semantic(root):
  labels = np.full((H, W), 7)
  labels[BOXES[0]], labels[BOXES[1]] = 11, 26
  labels[0] = 0  # ignored
  for name in NAMES:
    stem = f'{name}_000000'
    write(
      root,
      {
        f'leftImg8bit/val/x/{stem}_leftImg8bit.png': GRAY,
        f'gtFine/val/x/{stem}_gtFine_labelIds.png': make_png(labels),
      },
    )


def _write_referring(root):
  for name, (rows, columns) in zip(NAMES, BOXES):
    x0, x1 = columns.start, columns.stop - 1
    y0, y1 = rows.start, rows.stop - 1
    points = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
    shapes = [{'label': 'target', 'points': points}]
    text = json.dumps({'shapes': shapes, 'text': [f'the {name} {{box}}']})
    photo = make_jpeg(np.full((H, W, 3), 128))
    write(root, {f'val/{name}.jpg': photo, f'val/{name}.json': text})


def _write_instances(root):
  pairs = [
    {
      'id': number,
      'file_name': f'{name}.jpeg',
      'text_input': 'box',
      'height': H,
      'width': W,
      'is_instance_exhaustive': 1,
    }
    for number, name in enumerate(NAMES)
  ]
  segments = []
  for number, box in enumerate(BOXES):
    mask = np.zeros((H, W), bool)
    mask[box] = True
    for pair in (0, 1)[: 2 - number]:  # both in the first, one in the second
      segments.append(
        {
          'id': len(segments),
          'image_id': pair,
          'segmentation': rle.encode_rle(mask),
          'bbox': [0, 0, 1, 1],
          'area': 0.1,
          'category_id': 1,
          'iscrowd': 0,
        }
      )
  table = {'images': pairs, 'annotations': segments, 'categories': []}
  photo = make_jpeg(np.full((H, W, 3), 128))
  write(root, {f'metaclip-images/{name}.jpeg': photo for name in NAMES})
  for who in 'abc':
    path = f'gt-annotations/gold_attributes_merged_{who}_release_test.json'
    write(root, {path: json.dumps(table)})


def _paint_semantic(truth, reading):
  rgb = reading.make_palette()[0]
  semantic = truth['semantic']
  return rgb[np.where(semantic == 255, 0, semantic + 1)]


def _paint_referring(truth, reading):
  return reading.make_palette()[0][truth['mask'].astype(int)]


def _paint_instances(truth, reading):
  rgb = np.tile(palettes.to_rgb([reading.background]), (H, W, 1))
  for mask, color in zip(truth['masks'][0], COLORS):
    rgb[mask] = palettes.to_rgb([color])
  return rgb


_WRITERS = {
  'depth': _write_depth,
  'normals': _write_normals,
  'semantic': _write_semantic,
  'referring': _write_referring,
  'instance': _write_instances,
}
_PAINTERS = {
  'depth': lambda truth, reading: depth.encode(truth['depth_m']),
  'normals': lambda truth, reading: normals.encode(truth['normals']),
  'semantic': _paint_semantic,
  'referring': _paint_referring,
  'instance': _paint_instances,
}
