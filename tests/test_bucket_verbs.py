"""Every path of every verb in a bucket: one of memory, with a bucket's habits.

What trains there is in test_bucket.py; what a bucket cannot be asked, too.
"""

import json
import os

import numpy as np
import painted
import pytest
import untrained
from PIL import Image

from vbanana_jax import cli
from vbanana_jax.runtime import paths

pytestmark = pytest.mark.usefixtures('quick_compilation')

ASKED = '--protocol nyuv2_normals --data gs://bucket/bench'
RUN = 'gs://bucket/run'


@pytest.fixture(scope='module')
def place(tmp_path_factory):
  """A bucket with a run, a benchmark, answers to it and a photograph."""
  from bucket import open_bucket

  root = tmp_path_factory.mktemp('disk')
  protocol = painted.write_benchmark('normals', root / 'bench')
  painted.paint(protocol, root / 'bench', root / 'right', scale=1)
  rng = np.random.default_rng(0)
  photo = rng.integers(0, 256, (24, 32, 3), np.uint8)
  (root / 'photos').mkdir()
  Image.fromarray(photo).save(root / 'photos' / 'a.png')
  with open_bucket() as objects:
    untrained.save_run(paths.to_path(RUN), 'normals')
    for path in root.rglob('*'):
      if path.is_file():
        objects[f'bucket/{path.relative_to(root)}'] = path.read_bytes()
    yield objects


@pytest.fixture
def run(place, tmp_path, monkeypatch, capsys):
  """Runs a command in an empty folder; what it wrote and what it said.

  Nothing is written on the disk: a `gs:` folder there was a bucket once.
  """
  monkeypatch.chdir(tmp_path)

  def run(words, code=0):
    before = dict(place)
    assert cli.main(words.split()) == code, capsys.readouterr().err
    assert not os.listdir(tmp_path)
    new = {
      name.removeprefix('bucket/')
      for name, data in place.items()
      if before.get(name) != data
    }
    assert place.keys() >= before.keys()
    return new, capsys.readouterr()

  return run


def test_questions_and_checks_of_a_benchmark(run, place):
  _, said = run('doctor nyuv2_normals gs://bucket/bench', 2)  # 2 of 654
  assert 'gs://bucket' not in said.err and '2 examples' in said.out
  new, said = run(f'prompts {ASKED} --out gs://bucket/questions')
  assert new == {'questions/prompts.jsonl'}
  line = json.loads(place['bucket/questions/prompts.jsonl'].splitlines()[0])
  assert line['image'].startswith('gs://bucket/bench/')
  new, _ = run(f'prompts {ASKED} --out gs://bucket/questions --passes 2')
  assert new == {'questions/prompts.jsonl'}


def test_painted_pictures_are_decoded_and_scored(run, place):
  name = 'test-a_1'
  new, _ = run(
    f'decode gs://bucket/right/{name}.png --task normals --photo '
    'gs://bucket/photos/a.png --out gs://bucket/decoded'
  )
  ends = ('.json', '.npy', '.png', '_confidence.npy')
  assert new == {f'decoded/{name}_normals{end}' for end in ends}
  scores = 'scores_nyuv2_normals_v1'
  argv = f'evaluate --predictions gs://bucket/right {ASKED} --partial'
  new, _ = run(argv)
  assert new == {f'right/{scores}.json', f'right/{scores}.npz'}
  new, said = run(
    f'{argv} --out gs://bucket/scores --against gs://bucket/right/{scores}.json'
  )
  assert new == {f'scores/{scores}.json', f'scores/{scores}.npz'}
  assert 'difference, this minus the other' in said.out
  new, said = run('report --protocols gs://bucket/scores')
  assert not new and 'ours, 1 pass (PARTIAL)' in said.out


def test_a_run_answers(run, place):
  ends = ('.json', '.npy', '.png', '_painted.png')
  argv = f'predict gs://bucket/photos --task normals --workdir {RUN}'
  for _ in range(2):  # twice the same is no reason to refuse
    new, said = run(f'{argv} --out gs://bucket/answers')
    assert f'run: {RUN}' in said.err
  assert {f'bucket/answers/a_normals{end}' for end in ends} <= place.keys()
  record = json.loads(place['bucket/answers/a_normals.json'])
  assert record['checkpoint'] == RUN
  _, said = run(
    f'predict gs://bucket/gone.png --task normals --workdir {RUN}', 2
  )
  assert 'gs://bucket/gone.png: no such file' in said.err
  new, _ = run(f'predict {ASKED} --workdir {RUN} --out gs://bucket/painted')
  assert 'painted/painted.json' in new and len(new) == 3
  new, _ = run(f'predict {ASKED} --workdir {RUN} --out gs://bucket/painted')
  assert new <= {'painted/painted.json'}
  new, _ = run(f'evaluate --predictions gs://bucket/painted {ASKED} --partial')
  assert len(new) == 2


def test_a_run_is_exported_and_asked(run, place):
  argv = '--task normals --platforms cpu --size 8x8 --out gs://bucket/served'
  new, _ = run(f'export --workdir {RUN} {argv}')
  files = ('manifest.json', 'painter.stablehlo', 'weights.safetensors')
  assert new == {f'served/{name}' for name in files}
  new, _ = run(
    'predict gs://bucket/photos/a.png --exported gs://bucket/served --out '
    'gs://bucket/served_answers'
  )
  assert len(new) == 4


def test_a_run_is_scored_and_reported(run, place):
  new, _ = run(f'evaluate --workdir {RUN}')
  names = ('results.json', 'gallery.npz', 'example_scores.npz')
  assert new == {f'run/{name}' for name in names}
  new, _ = run(f'report --workdir {RUN}')
  assert new == {'run/report.html'}
  assert b'normals' in place['bucket/run/report.html']


def test_a_training_is_scored_on_a_benchmark(run, place):
  new, said = run(
    'train --config quickstart:tune,smoke --workdir gs://bucket/trained '
    '--config.eval.protocols=nyuv2_normals=gs://bucket/bench'
  )
  assert {f'trained/{name}' for name in ('run.json', 'scores.jsonl')} <= new
  (line,) = place['bucket/trained/scores.jsonl'].splitlines()
  scores = json.loads(line)
  assert scores['step'] == 6
  assert scores['nyuv2_normals_v1/mean_deg'] > 0
  assert 'scored after the last step alone' in said.err


def test_a_config_is_a_file_on_a_disk(run):
  for argv in (
    'train --config gs://bucket/c.py --workdir gs://bucket/w',
    'plan --config gs://bucket/c.py --topology v5e-1',
  ):
    new, said = run(argv, 2)
    (line,) = said.err.splitlines()
    assert 'gs://bucket/c.py: a config is a Python file on a disk' in line
    assert not new
