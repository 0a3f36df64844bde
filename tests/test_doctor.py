"""The doctor finds what makes scores wrong, and nothing in a sound folder."""

import json
import weakref

import numpy as np
import painted
import pytest
from byte_files import make_png, write

from vbanana_jax import cli
from vbanana_jax.benchmark import doctor, protocols, readers
from vbanana_jax.tasks import TASKS


@pytest.mark.parametrize('task', painted.PROTOCOLS)
def test_a_sound_folder_only_lacks_examples(task, tmp_path):
  protocol = painted.write_benchmark(task, tmp_path)
  findings = doctor.examine(protocol, tmp_path, sample=32)
  faults = [finding.text for finding in findings if finding.is_fault]
  missing = protocol.count is not None
  assert len(faults) == missing
  assert not missing or f'2 examples, {protocol.count} in' in faults[0]


def examine(tmp_path, task='depth'):
  protocol = protocols.load_protocol(painted.PROTOCOLS[task])
  findings = doctor.examine(protocol, tmp_path, sample=8)
  return ' | '.join(f.text for f in findings if f.is_fault)


def test_a_resized_truth_a_wrong_unit_and_damage(tmp_path):
  painted.write_benchmark('depth', tmp_path)
  write(tmp_path, {'rgb/a_1.png': make_png(np.zeros((12, 16, 3)))})
  assert '16 x 12' in examine(tmp_path) and '32 x 24' in examine(tmp_path)
  stored = np.full((painted.H, painted.W), 40)
  write(tmp_path, {'depth/b_2.png': make_png(stored, 16)})
  assert 'depth/b_2.png' in examine(tmp_path)
  painted.write_benchmark('depth', tmp_path)
  write(tmp_path, {'depth/a_1.png': make_png(stored + 4000, 16)[:60]})
  assert 'depth/a_1.png: damaged' in examine(tmp_path)
  (tmp_path / 'depth/a_1.png').unlink()
  assert 'depth/a_1.png' in examine(tmp_path)


def test_mirrored_normals(tmp_path):
  painted.write_mirrored_normals(tmp_path)
  assert 'x (right)' in examine(tmp_path, 'normals')
  assert 'this axis is mirrored' in examine(tmp_path, 'normals')


def test_the_command_lists_faults_and_fails(tmp_path, capsys):
  painted.write_benchmark('depth', tmp_path)
  assert cli.main(['doctor', 'ibims1', str(tmp_path)]) == 2
  out = capsys.readouterr().out
  assert 'ibims1_depth_v1: 1 fault' in out and 'FAULT' in out and 'ok' in out
  assert cli.main(['doctor', 'ibims1', str(tmp_path / 'gone')]) == 2
  assert 'no such folder' in capsys.readouterr().out
  assert cli.main(['doctor', 'imagenet', str(tmp_path)]) == 2
  assert 'choose of' in capsys.readouterr().err


@pytest.mark.parametrize('task', painted.PROTOCOLS)
def test_one_truth_at_a_time_is_held(task, tmp_path, monkeypatch):
  protocol = painted.write_benchmark(task, tmp_path)
  reader = readers.READERS[protocol.reader]
  load, seen = reader.load_truth, []

  def watched(self, item):
    assert not any(kept() is not None for kept in seen)
    truth = load(self, item)
    seen.extend(weakref.ref(array) for array in truth.values())
    return truth

  monkeypatch.setattr(reader, 'load_truth', watched)
  doctor.examine(protocol, tmp_path, sample=32)
  assert len(seen) >= 2


def test_depth_is_described_in_any_amount(tmp_path):
  tally = TASKS['depth'].benchmark.make_tally()
  rng = np.random.default_rng(0)
  depths = [rng.lognormal(1.0, 1.0, (400, 500)).astype(np.float32)] * 5
  for depth_m in depths:
    tally.add({'depth_m': np.where(depth_m > 1, depth_m, 0)})
  all_m = np.concatenate([d[d > 1] for d in depths])
  low, median, high = np.percentile(all_m, (1, 50, 99))
  texts = [f.text for f in tally.judge(protocols.load_protocol('nyuv2_depth'))]
  assert f'median {median:.2f}' in texts[2]
  assert texts[2].endswith(f'within {low:.2f} to {high:.1f} m')
  assert texts[1].startswith(f'{(all_m > 10).mean():.1%} of them lie beyond')


def test_an_instance_that_is_listed_twice(tmp_path):
  painted.write_benchmark('instance', tmp_path)
  for path in (tmp_path / 'gt-annotations').iterdir():
    table = json.loads(path.read_text())
    table['annotations'] *= 2  # as tables do that were joined
    path.write_text(json.dumps(table))
  assert '9 masks are those of another instance' in examine(
    tmp_path, 'instance'
  )
