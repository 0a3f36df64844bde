"""Draws docs/figures/answers.png: what a trained run says of unseen scenes.

  python launch/draw_answers.py runs/quickstart

From left to right: the picture, the painted answer, and the decoded answer
drawn over the picture. Held-out scenes 8 to 13, of one object and more, are
asked about, one a task; no answer is chosen over another.
"""

import argparse
import pathlib

import numpy as np
from PIL import Image

import vbanana_jax as vb
from vbanana_jax.drawing import pictures
from vbanana_jax.evaluation import held_out

OUT = pathlib.Path(__file__).parents[1] / 'docs' / 'figures' / 'answers.png'
EDGE, GAP, WIDE = 160, 8, 24
LEVEL = 'quick'
# A held-out scene and what is asked about it.
QUESTIONS = (
  (11, 'depth', {}),
  (12, 'normals', {}),
  (13, 'semantic', {'classes': ['floor', 'wall', 'sphere', 'box']}),
  (10, 'instance', {}),
  (9, 'referring', {'prompt': 'the leftmost object'}),
  (8, 'edit', {'prompt': 'remove the leftmost object'}),
)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('run', help='workdir of a training')
  model = vb.open(parser.parse_args().run)
  scenes = held_out.load_eval_set(LEVEL).open_scenes()
  shown = [draw(model, scenes[row]['rgb'], *ask) for row, *ask in QUESTIONS]
  half = -(-len(shown) // 2)
  columns = [join(shown[:half], 0, GAP), join(shown[half:], 0, GAP)]
  Image.fromarray(join(columns, 1, WIDE)).save(OUT, optimize=True)
  print(OUT)


def draw(model: vb.Model, rgb: np.ndarray, task: str, words) -> np.ndarray:
  """Picture, painted and decoded answer side by side, u8 [h w 3]."""
  photo = Image.fromarray(pictures.to_u8(rgb)).resize(
    (EDGE, EDGE), Image.Resampling.BICUBIC
  )
  answer = model.ask(task, photo, **words)
  print(f'{task}: {answer.prompt}')
  painted = Image.fromarray(answer.painted).resize(
    (EDGE, EDGE), Image.Resampling.NEAREST
  )
  figure = answer.figure().resize((EDGE, EDGE))
  shown = [np.asarray(x) for x in (photo, painted, figure)]
  return join(shown, 1, GAP)


def join(parts: list[np.ndarray], axis: int, gap: int) -> np.ndarray:
  """Pictures in a line, with white between them."""
  shape = list(parts[0].shape)
  shape[axis] = gap
  white = np.full(shape, 255, np.uint8)
  return np.concatenate([x for p in parts for x in (p, white)][:-1], axis)


if __name__ == '__main__':
  main()
