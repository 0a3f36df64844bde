"""The table of parameters adds up, whole and on a device."""

import jax
import jax.numpy as jnp

from vbanana_jax import config as config_lib
from vbanana_jax import models, sharding
from vbanana_jax.training import optim, overview, setup, weights


def make_params(preset):
  config = config_lib.load_config('quickstart:pretrain,smoke').to_dict()
  config['sharding'] = preset
  mesh = sharding.build_mesh(config['mesh'])
  model = weights.build_network(config, mesh)
  optimizer = optim.build_optimizer(config['optim'], 6, model.precision, mesh)
  return setup.make_abstract_state(config, model, optimizer, mesh).params


def read_rows(table):
  return {line.split()[0]: line.split() for line in table.splitlines()[1:]}


def test_modules_add_up_to_the_network_and_a_device_has_its_share():
  params = make_params('fsdp')
  rows = read_rows(overview.make_module_table(params))
  count = f'{models.count_parameters(params):,}'
  assert rows['total'][:4] == ['total', '44', count, 'float32']
  own = int(rows['text'][2].replace(',', ''))
  assert own == models.count_parameters(params['text'])
  whole, device = map(float, rows['blocks'][4:])
  assert device < whole / 4  # of eight devices; small arrays are not split
  rows = read_rows(overview.make_module_table(make_params('dp')))
  assert rows['total'][4] == rows['total'][5]


def test_every_array_has_its_shape_and_its_axes(tmp_path, capsys):
  params = make_params('fsdp')
  overview.save_overview(tmp_path / 'parameters.txt', params)
  table = (tmp_path / 'parameters.txt').read_text()
  lines = table.splitlines()
  assert len(lines) == len(jax.tree.leaves(params)) + 2
  (line,) = (line for line in lines if line.startswith('blocks/q/kernel'))
  assert line.split() == [
    'blocks/q/kernel', '2x32x32', '2,048', 'float32', '-,', 'fsdp,', '-'
  ]  # fmt: skip
  said = capsys.readouterr().out
  assert said.startswith('module') and 'parameters.txt' in said


def test_axes_that_are_split_twice_or_not_at_all():
  mesh = sharding.build_mesh({'replica': 2, 'fsdp': 2, 'tensor': 2})
  spec = jax.sharding.PartitionSpec(('replica', 'fsdp'))
  leaf = jax.ShapeDtypeStruct(
    (8, 3), jnp.float32, sharding=jax.sharding.NamedSharding(mesh, spec)
  )
  assert overview.describe_sharding(leaf) == 'replica+fsdp, -'
  assert overview.describe_sharding(jnp.zeros((2, 2))) == '-, -'
