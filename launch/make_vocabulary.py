"""Makes vbanana_jax/tokenizer/vocabulary.json from prompts of our own tasks.

  python launch/make_vocabulary.py

Deterministic; takes some seconds. A new vocabulary has a new hash, and
checkpoints trained with another one no longer load: run it before training.
"""

import pathlib
import time
from collections.abc import Iterator

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from vbanana_jax import keys
from vbanana_jax.codecs import palettes
from vbanana_jax.scenes import edits, language, referring, world
from vbanana_jax.tasks import TASKS
from vbanana_jax.tasks.prompt_styles import PROMPT_STYLES
from vbanana_jax.tokenizer import tokenizer

VOCAB_SIZE = 1024
SCENES = 600  # a level
SEED = 0

# Words; single digits; runs of punctuation, with the spaces inside them.
# Spaces between pieces are dropped: no instruction depends on them.
PIECES = r'\p{L}+|\p{N}|[^\s\p{L}\p{N}](?:[^\p{L}\p{N}]*[^\s\p{L}\p{N}])?'

# What captions of ordinary photographs are made of, the names of CIFAR-10
# first.
PHOTO_WORDS = """
airplane automobile bird cat deer dog frog horse ship truck
a an the of in on at with and or to from by for near under over behind between
beside front next left right top bottom middle center side above below inside
is are was be this that these its it his her their one two three four five six
photo picture image photograph painting drawing close up view scene shot of
man woman person people boy girl child baby face hand eye head hair body
red green blue yellow orange purple pink brown black white grey gray dark
light bright pale deep colorful golden silver
small large big little tall short long wide round old new young high low
sitting standing walking running lying holding wearing riding playing looking
eating flying parked moving driving swimming jumping
car bus train bike boat plane road street bridge building house city town
room table chair bed sofa desk lamp window door wall floor kitchen bathroom
tree grass flower leaf plant forest field garden park mountain hill river lake
sea ocean beach water sky cloud sun snow rain night day morning evening
food plate bowl cup glass bottle bread cake fruit apple banana pizza
cow sheep bear elephant zebra giraffe fish animal wings tail
ball book bag box clock phone computer screen paper sign toy umbrella hat
shirt dress shoes wood wooden metal stone brick glass plastic background
make add remove change replace move turn paint put into all every each other
""".split()


def make_prompts() -> Iterator[str]:
  """Instructions of every task over scenes of both levels."""
  for level in world.LEVELS.values():
    for index in range(SCENES):
      rng = keys.make_rng(SEED, 'vocabulary', level.name, index)
      scene = world.sample_scene(level, SEED, index)
      visible = np.arange(world.MAX_OBJECTS) < scene.count
      for detail in range(3):
        yield language.caption(scene, rng, detail)
      yield edits.sample_edit(scene, level, rng).text
      phrases = referring.phrases(scene, visible, rng)
      phrases += referring.absent_phrases(scene, visible, level, rng)
      for k in rng.permutation(len(phrases))[:3]:
        yield (
          TASKS['referring']
          .ask(rng, phrases=[phrases[k].text], style=PROMPT_STYLES[level.name])
          .prompt
        )
      names = level.semantic_classes
      names = [names[k] for k in rng.permutation(len(names))[:6]]
      for name in ('depth', 'normals'):
        yield TASKS[name].ask(rng, style=PROMPT_STYLES[level.name]).prompt
      for _ in range(2):
        yield (
          TASKS['semantic']
          .ask(rng, classes=names, style=PROMPT_STYLES[level.name])
          .prompt
        )
      names = ('object', *level.classes)
      name = names[rng.integers(len(names))]
      yield (
        TASKS['instance']
        .ask(rng, category=name, style=PROMPT_STYLES[level.name])
        .prompt
      )


def make_corpus() -> Iterator[str]:
  """Prompts, then single words, so that each is worth a token or a few."""
  yield from make_prompts()
  names = [*palettes.NAMED, *world.CLASSES, *world.COLORS, *world.MATERIALS]
  yield from names * 50
  yield from (f'{name}s' for name in world.OBJECTS * 50)
  yield from PHOTO_WORDS * 8
  yield from ('0 1 2 3 4 5 6 7 8 9', 'ff', '", "', '": "', '{"', '"}') * 50


def train_tokenizer() -> tokenizers.Tokenizer:
  """Byte-level BPE with id 0 for padding."""
  bpe = tokenizers.Tokenizer(models.BPE())
  bpe.normalizer = normalizers.Sequence(
    [normalizers.NFC(), normalizers.Lowercase()]
  )
  bpe.pre_tokenizer = pre_tokenizers.Sequence(
    [
      pre_tokenizers.Split(
        tokenizers.Regex(PIECES), behavior='removed', invert=True
      ),
      # A space before every piece: a word is the same token everywhere.
      pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
    ]
  )
  bpe.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(
    vocab_size=VOCAB_SIZE,
    special_tokens=[tokenizer.PAD],
    initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    show_progress=False,
  )
  bpe.train_from_iterator(make_corpus(), trainer)
  return bpe


def main() -> None:
  start = time.monotonic()
  bpe = train_tokenizer()
  path = pathlib.Path(tokenizer.VOCABULARY)
  path.write_text(bpe.to_str(pretty=True) + '\n', encoding='utf-8')
  print(
    f'{path.name}: {bpe.get_vocab_size()} tokens in '
    f'{time.monotonic() - start:.1f} s; hash '
    f'{tokenizer.Tokenizer(path.read_bytes()).hash[:12]}'
  )


if __name__ == '__main__':
  main()
