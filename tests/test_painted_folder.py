"""Pictures of two painters are never mixed, and scores name the painter."""

import json

import numpy as np
import painted
import pytest

from vbanana_jax import cli
from vbanana_jax.benchmark import painted_folder
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import score_folder
from vbanana_jax.training.weights import hash_weights

SETTINGS = {'protocol': 'x', 'split': 'val', 'weights': 'aa', 'size': 64}
NAMES = ['1.png', '2.png', '3.png']


def open_folder(folder, overwrite=False, **settings):
  manifest = painted_folder.Manifest({**SETTINGS, **settings}, {'run': 'r'})
  return painted_folder.Painting(folder, manifest, NAMES, overwrite=overwrite)


def paint(folder, names=NAMES, **settings):
  opened = open_folder(folder, **settings)
  for name in names:
    opened.note(name, opened.write(name, name.encode()))
  opened.save()


def test_a_stopped_painting_goes_on(tmp_path):
  paint(tmp_path, NAMES[:2])
  assert open_folder(tmp_path).missing == ['3.png']
  (tmp_path / '3.png').write_bytes(b'written, and killed before it was listed')
  (tmp_path / '1.png').write_bytes(b'cut')
  again = open_folder(tmp_path)
  assert again.missing == again.spoiled == ['1.png', '3.png']
  paint(tmp_path)
  assert open_folder(tmp_path).missing == []
  listed = json.loads((tmp_path / 'painted.json').read_text())
  assert sorted(listed['pictures']) == NAMES
  assert listed['settings'] == SETTINGS and listed['about'] == {'run': 'r'}


@pytest.mark.parametrize('key', [*SETTINGS, 'sampler'])
def test_another_way_of_painting_is_refused_by_name(key, tmp_path):
  paint(tmp_path)
  before = {path: path.read_bytes() for path in tmp_path.iterdir()}
  with pytest.raises(UserError, match=f'{key} .* there and other here'):
    open_folder(tmp_path, **{key: 'other'})
  assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
  anew = open_folder(tmp_path, overwrite=True, **{key: 'other'})
  assert anew.missing == NAMES and anew.spoiled == []


def test_pictures_of_nobody_knows_whom_are_not_painted_over(tmp_path):
  (tmp_path / '2.png').write_bytes(b'?')
  with pytest.raises(UserError, match=r'2.png already and no painted.json'):
    open_folder(tmp_path)
  odd = '{"settings": {}, "about": {}, "pictures": [1]}'
  for text in ('{"settings"', '[]', '{}', '{"x": 1}', odd):
    (tmp_path / 'painted.json').write_text(text)
    with pytest.raises(UserError, match='not a manifest'):
      open_folder(tmp_path)
  assert open_folder(tmp_path, overwrite=True).missing == NAMES


def test_two_at_once_end_whole_or_are_told(tmp_path):
  first, second = open_folder(tmp_path), open_folder(tmp_path)
  for name in NAMES:
    for opened in (first, second):
      opened.note(name, opened.write(name, name.encode()))
  first.save()
  second.save()
  assert open_folder(tmp_path).missing == []
  other = open_folder(tmp_path, overwrite=True, size=32)
  with pytest.raises(UserError, match='size 32 there and 64 here'):
    first.save()
  other.save()
  assert painted_folder.load_manifest(tmp_path).settings['size'] == 32


def test_pictures_of_more_passes_stay_listed(tmp_path):
  paint(tmp_path, [*NAMES, '1@1.png'])
  paint(tmp_path, [])
  assert '1@1.png' in painted_folder.load_manifest(tmp_path).pictures


def test_weights_are_told_apart_by_their_values():
  params = {'a': {'b': np.ones(3, np.float32)}, 'c': np.zeros(2, np.float32)}
  same = {'c': params['c'].copy(), 'a': {'b': params['a']['b'].copy()}}
  other = {**params, 'c': np.array([0, 1e-7], np.float32)}
  assert hash_weights(params) == hash_weights(same) != hash_weights(other)


def test_scores_name_the_painter_and_what_was_changed_since(tmp_path, capsys):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark('depth', data)
  painted.paint(protocol, data, out, scale=1)
  argv = ['evaluate', '--predictions', str(out), '--data', str(data)]
  argv += ['--protocol', protocol.name, '--partial']
  plain = score_folder.grade(protocol, data, out, partial=True).results
  assert plain['painted'] is None  # another generator's folder

  names = sorted(path.name for path in out.iterdir())
  settings = {**SETTINGS, 'protocol': protocol.name, 'split': 'test'}
  manifest = painted_folder.Manifest(settings, {'run': 'runs/a'})
  folder = painted_folder.Painting(out, manifest, names, overwrite=True)
  first = (out / names[0]).read_bytes()
  folder.note(names[0], folder.write(names[0], first))
  folder.save()
  assert cli.main(argv) == 0
  printed = capsys.readouterr().out
  assert 'painted by runs/a (weights aa, size 64' in printed
  assert '1 pictures that painted.json does not list' in printed
  painted.paint(protocol, data, out, scale=2)
  assert cli.main(argv) == 0
  assert '1 pictures with other bytes than' in capsys.readouterr().out
  found = json.loads((out / f'scores_{protocol.title}.json').read_text())
  assert found['painted']['other_pictures'] == names

  text = (out / 'painted.json').read_text()
  for key, value in (('protocol', protocol.name), ('split', 'test')):
    (out / 'painted.json').write_text(
      text.replace(f'"{key}": "{value}"', f'"{key}": "y"')
    )
    assert cli.main(argv) == 2
    assert f'painted for the {key} y and not' in capsys.readouterr().err
