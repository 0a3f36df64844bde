"""Questions of a protocol: stable, readable, and different in every pass."""

import inspect
import json
import re

import painted
import pytest
from PIL import Image, ImageColor

from vbanana_jax import cli
from vbanana_jax.benchmark import protocols, questions, readers
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import prompts
from vbanana_jax.tasks.instance.painted import DECODERS

ITEM = readers.Item('x', 'x.png', 'old clock')


@pytest.mark.parametrize('title', protocols.list_protocols())
def test_prompts_say_what_the_decoder_is_told(title):
  protocol = protocols.load_protocol(title)
  asked = [questions.ask(protocol, ITEM, repeat) for repeat in (0, 1, 2)]
  assert asked == [questions.ask(protocol, ITEM, k) for k in (0, 1, 2)]
  for prompt, reading in asked:
    assert '{' not in prompt.replace('{"', '')
    read = prompts.read_prompt(protocol.task, prompt)
    assert read.entries == reading.entries or protocol.task == 'referring'
    assert [c for _, c in read.entries] == [c for _, c in reading.entries]
    assert read.background == reading.background
    assert read.colormap == reading.colormap
  if protocol.classes:
    assert len({prompt for prompt, _ in asked}) == 3
    names = [[name for name, _ in r.entries] for _, r in asked]
    assert names[0] == names[1] == names[2]


@pytest.mark.parametrize('title', protocols.list_protocols())
def test_protocols_state_colors_in_numbers(title):
  protocol = protocols.load_protocol(title)
  if protocol.task in ('depth', 'normals'):
    return
  prompt, reading = questions.ask(protocol, ITEM)
  numbers = re.findall(r'<(\d+), (\d+), (\d+)>', prompt)
  stated = [tuple(int(level) for level in color) for color in numbers]
  wanted = [color for _, color in reading.entries]
  assert stated in (wanted, [*wanted, reading.background])
  # Nothing is left to what a generator takes a word of color for.
  words = set(re.findall('[a-z]+', prompt.lower()))
  assert not words & set(ImageColor.colormap)


def test_a_phrase_may_hold_anything_but_nothing(tmp_path):
  protocol = protocols.load_protocol('refcocog_umd_val_referring')
  odd = readers.Item('x', 'x.png', 'the {color} man in red, "left"')
  asked = questions.ask(protocol, odd)
  assert 'the {color} man in red, "left"' in asked.prompt
  assert asked.spec.entries[0][1] == (255, 255, 255)
  with pytest.raises(UserError, match='has no phrase'):
    questions.ask(protocol, readers.Item('x', 'x.png', ' '))


def test_the_command_lists_every_picture(tmp_path, capsys):
  protocol = painted.write_benchmark('semantic', tmp_path / 'data')
  out = tmp_path / 'out'
  argv = ['prompts', '--protocol', protocol.name, '--data']
  argv += [str(tmp_path / 'data'), '--out', str(out), '--passes', '2']
  assert cli.main(argv) == 0
  lines = (out / 'prompts.jsonl').read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  ids = [f'{name}_000000' for name in painted.NAMES]
  assert [row['file'] for row in rows] == [
    f'{ids[0]}.png', f'{ids[0]}@1.png', f'{ids[1]}.png', f'{ids[1]}@1.png'
  ]  # fmt: skip
  for row in rows:
    assert row['protocol'] == 'cityscapes_semantic_v1'
    Image.open(row['image']).verify()
  assert rows[0]['prompt'] == rows[2]['prompt'] != rows[1]['prompt']
  assert '4 pictures to paint' in capsys.readouterr().out


def test_names_and_versions():
  newest = protocols.load_protocol('nyuv2_depth')
  assert newest == protocols.load_protocol('nyuv2_depth_v1')
  assert newest.title == 'nyuv2_depth_v1'
  with pytest.raises(UserError, match=r'no protocol .*kitti_eigen_depth'):
    protocols.load_protocol('nyu')


def test_hash_of_ids_sees_order_and_names():
  a, b = (readers.Item(name, '') for name in 'ab')
  hashes = {protocols.hash_ids(x) for x in ([a, b], [b, a], [a], [])}
  assert len(hashes) == 4


@pytest.mark.parametrize('title', protocols.list_protocols())
def test_decoders_take_the_constants_of_their_protocol(title):
  constants = dict(protocols.load_protocol(title).decoder or {'name': 'paper'})
  _, options = DECODERS[constants.pop('name')]
  assert constants.keys() <= inspect.signature(options).parameters.keys()


@pytest.mark.parametrize('title', protocols.list_protocols())
def test_headlines_are_what_the_protocol_says(title):
  protocol = protocols.load_protocol(title)
  assert protocol.alignment == 'none'
  assert not any(name.startswith('aligned_') for name in protocol.headline)
  if protocol.task in ('depth', 'normals'):
    # Depth is pooled under names of its own, normals averaged under others.
    other = 'pooled_' if protocol.task == 'depth' else 'image_'
    usual = 'image' if protocol.task == 'depth' else 'pixel'
    expected = protocol.pooling != usual
    assert {n.startswith(other) for n in protocol.headline} == {expected}
