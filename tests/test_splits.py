"""Every split that a benchmark has, and what is said of scores on another."""

import dataclasses
import json
import shutil

import painted
import pytest

from vbanana_jax import cli
from vbanana_jax.benchmark import doctor, protocols, readers
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import score_folder, scores_text
from vbanana_jax.report import published

# First digits of the digests of published lists: of NYUv2 and KITTI by BTS, of
# ETH3D and DIODE by Marigold, of iBims-1 and normals by DSINE, of Cityscapes
# by CCNet. Each was made by running the reader over an empty tree of the listed
# names; Virtual KITTI 2 has no list, but known numbers of frames.
PUBLISHED = {
  'nyuv2_depth': '36252ced686579ae',
  'kitti_eigen_depth': 'b55ec5102ceeacd1',
  'eth3d_depth': '538b41879b8ef851',
  'diode_indoor_depth': '086dc87eac7396ca',
  'diode_indoor_normals': '086dc87eac7396ca',
  'ibims1_depth': 'f75b8ff95ef42184',
  'cityscapes_semantic': '73099b252b778d6f',
  'nyuv2_normals': '77cf51e9f3b1a14b',
  'scannet_normals': '8809699006c2858c',
  'vkitti2_normals': 'b05b94626fdbefe9',
  'vkitti2_depth': 'ef27208f8b7c711e',
}
OUTDOOR = 'f5bbdb7b4727351fd4e7656c7c04457c57f5f64215454f70731635216ebac7af'
SCENES = {'01': 447, '02': 233, '06': 270, '18': 339, '20': 837}


def test_protocols_hold_the_published_digests():
  found = {
    protocol.name: protocol.ids_sha256[:16]
    for protocol in map(protocols.load_protocol, protocols.list_protocols())
    if protocol.ids_sha256
  }
  assert found == PUBLISHED
  for name in ('diode_indoor_depth', 'diode_indoor_normals'):
    outdoor = protocols.load_protocol(name, 'val_outdoor')
    assert (outdoor.count, outdoor.ids_sha256) == (446, OUTDOOR)
    assert outdoor.standard_split == 'val_indoors'
    assert outdoor.label == f'{name}_v1_val_outdoor'


def test_the_digest_is_of_the_ids_as_the_reader_makes_them():
  items = [
    readers.Item(f'Scene{scene}-clone-{k:05d}', '')
    for scene, count in SCENES.items()
    for k in range(count)
  ]
  protocol = protocols.load_protocol('vkitti2_depth')
  assert len(items) == protocol.count
  assert protocol.has_known_ids(items)
  assert protocol.has_known_ids(items[::-1])  # sorted before they are compared
  assert not protocol.has_known_ids(items[1:])
  assert protocols.load_protocol('nuscenes_depth').has_known_ids(items) is None


@pytest.mark.parametrize('title', protocols.list_protocols())
def test_every_split_of_a_reader_can_be_chosen(title):
  own = protocols.load_protocol(title)
  splits = readers.READERS[own.reader].splits
  assert own.other_splits.keys() < set(splits)
  for split in splits:
    chosen = protocols.load_protocol(title, split)
    assert chosen.split == split
    assert (chosen.standard_split is None) == (split == own.split)
    assert (chosen == own) == (split == own.split)


@pytest.mark.parametrize(
  'verb',
  [
    'doctor nuscenes {}',
    'doctor nuscenes_depth {}',
    'prompts --protocol nuscenes_depth --data {}',
    'predict --protocol nuscenes_depth --data {}',
    'evaluate --predictions {} --protocol nuscenes_depth --data {}',
  ],
)
def test_an_unknown_split_is_refused_with_those_there_are(
  verb, tmp_path, capsys
):
  argv = verb.format(tmp_path, tmp_path).split()
  assert cli.main([*argv, '--split', 'test']) == 2
  error = capsys.readouterr().err.splitlines()
  assert len(error) == 1 and 'val, mini_val' in error[0]


def test_another_split_is_read_scored_and_marked(tmp_path, capsys):
  data, out = tmp_path / 'data', tmp_path / 'out'
  painted.write_benchmark('semantic', data)
  for kind in ('leftImg8bit', 'gtFine'):
    shutil.move(data / kind / 'val', data / kind / 'train')
  protocol = protocols.load_protocol('cityscapes_semantic', 'train')
  painted.paint(protocol, data, out, scale=1)
  asked = f'--protocol cityscapes_semantic --data {data} --split train'

  assert cli.main(f'doctor cityscapes {data} --split train'.split()) == 2
  printed = capsys.readouterr().out
  assert 'cityscapes_semantic_v1_train: 1 fault' in printed
  assert '2 examples, 2975 in the protocol' in printed

  assert cli.main(f'prompts {asked} --out {out}/q'.split()) == 0
  (line, _) = (out / 'q' / 'prompts.jsonl').read_text().splitlines()
  assert json.loads(line)['split'] == 'train'

  capsys.readouterr()
  command = f'evaluate --predictions {out} {asked} --partial'
  assert cli.main(command.split()) == 0
  printed = capsys.readouterr().out
  assert 'SPLIT train, and not val' in printed
  path = out / 'scores_cityscapes_semantic_v1_train.json'
  found = json.loads(path.read_text())
  assert (found['split'], found['standard_split']) == ('train', 'val')

  assert cli.main(['report', '--protocols', str(out)]) == 0
  blocks = capsys.readouterr().out.split('\n\n')
  (block,) = [b for b in blocks if b.startswith('cityscapes_semantic, split')]
  assert 'ours, 1 pass' in block and 'not comparable' in block
  assert 'Vision Banana' not in block  # nor any other published number
  assert not [b for b in blocks if b.startswith('cityscapes_semantic ')]
  assert cli.main(['report', '--all', '--protocols', str(out)]) == 0
  blocks = capsys.readouterr().out.split('\n\n')
  (block,) = [b for b in blocks if b.startswith('cityscapes_semantic ')]
  assert 'not measured here' in block


def test_long_names_of_splits_stay_within_the_table():
  metrics = {'pmf1': {'value': 0.5, 'interval': [0.4, 0.6]}}
  result = {
    'protocol': 'saco_gold_attributes_instance',
    'split': 'fg_sports_equipment',
    'standard_split': 'attributes',
    'version': 1,
    'n': 3,
    'passes': 1,
    'complete': None,
    'headline': ['pmf1'],
    'metrics': metrics,
    'predictions': 'x',
  }
  table = published.make_protocol_table((), [result])
  assert max(map(len, table.splitlines())) <= 100
  assert table.startswith(
    'saco_gold_attributes_instance, split fg_sports_equipment\n'
  )


def test_as_many_examples_of_other_ids_are_pointed_out(tmp_path):
  data, out = tmp_path / 'data', tmp_path / 'out'
  full = painted.write_benchmark('semantic', data)
  protocol = dataclasses.replace(full, count=2)
  painted.paint(protocol, data, out, scale=1)
  faults = [f.text for f in doctor.examine(protocol, data, sample=2) if f[0]]
  assert len(faults) == 1 and 'ids are not those of the protocol' in faults[0]
  with pytest.raises(UserError, match=r'2 examples, as many .* not those of'):
    score_folder.grade(protocol, data, out)
  results = score_folder.grade(protocol, data, out, partial=True).results
  assert results['ids_published'] is False and results['complete'] is False
  assert 'ids are not those of the protocol' in scores_text.make_table(results)

  known = protocols.hash_ids(protocol.open(data).items)
  whole = dataclasses.replace(protocol, ids_sha256=known)
  results = score_folder.grade(whole, data, out).results
  assert results['ids_published'] is results['complete'] is True
