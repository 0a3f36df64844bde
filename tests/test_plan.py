"""What a slice of TPUs would take: counts by hand, parsing, and a real one."""

import dataclasses
import math
import os
import select
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from vbanana_jax import cli, models
from vbanana_jax.config import load_config
from vbanana_jax.data import build, stream
from vbanana_jax.diffusion.schedules import TrainingLevels
from vbanana_jax.errors import UserError
from vbanana_jax.models.layers import hidden_width
from vbanana_jax.plan import (
  collectives,
  compiler,
  costs,
  planner,
  programs,
  roofline,
  text,
  topologies,
)
from vbanana_jax.plan import memory as memories
from vbanana_jax.training import flops, optim, weights
from vbanana_jax.training.state import make_params, make_state
from vbanana_jax.training.step import make_gradient_fn, make_train_step

needs_libtpu = pytest.mark.skipif(
  not topologies.has_libtpu(),
  reason="libtpu is not installed: pip install -c constraints.txt -e '.[plan]'",
)


@pytest.fixture(autouse=True)
def own_settings():
  names = (
    'jax_platforms', 'jax_enable_compilation_cache',
    'jax_compilation_cache_dir', 'jax_persistent_cache_min_compile_time_secs',
  )  # fmt: skip
  before = {name: getattr(jax.config, name) for name in names}
  yield
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()  # so that the settings are read again


def make_config(size='nano', **changes):
  config = load_config('quickstart').to_dict()
  config['model']['size'] = size
  return {**config, **changes}


def lower_step(config, iterations=None):
  """The training step of a config for one CPU, traced and not compiled."""
  if iterations is not None:
    config['optim']['muon_iterations'] = iterations
  model = weights.build_network(config)
  optimizer = optim.build_optimizer(config['optim'], 10, model.precision)
  size = config['image_size']
  state = jax.eval_shape(
    lambda: make_state(model, optimizer, size=size, seed=0)
  )
  step = make_train_step(
    make_gradient_fn(model, seed=0, levels=TrainingLevels()),
    optimizer,
    num_tasks=7,
    ema_decay=0.9,
  )
  row = programs.make_row(size, config['data']['text_length'])
  batch = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      (config['batch_size'], *x.shape[1:]), x.dtype
    ),
    row,
  )
  return jax.jit(step).trace(state, batch)


def count_products(jaxpr):
  """FLOPs of all matrix products in a jaxpr; an independent count."""
  total = 0.0
  for equation in jaxpr.eqns:
    if equation.primitive.name == 'dot_general':
      (left, _), _ = equation.params['dimension_numbers']
      shape = equation.invars[0].aval.shape
      summed = math.prod(shape[k] for k in left)
      total += 2.0 * math.prod(equation.outvars[0].aval.shape) * summed
    turns = equation.params.get('length', 1)
    inner = [
      leaf
      for leaf in jax.tree.leaves(
        equation.params, is_leaf=lambda x: hasattr(x, 'eqns')
      )
      if hasattr(leaf, 'eqns')
    ]
    total += turns * sum(count_products(leaf) for leaf in inner)
  return total


def test_flops_by_hand_are_those_of_the_traced_step():
  config = make_config(batch_size=2)
  traced = lower_step(config)
  by_hand = flops.count_step_flops(config)
  assert by_hand.muon > 0 and by_hand.again == 0
  assert count_products(traced.jaxpr.jaxpr) == pytest.approx(
    by_hand.total, rel=1e-3
  )
  # The compiler counts sums, exponentials and the like too.
  compiler = traced.lower().cost_analysis()['flops']
  assert by_hand.total < compiler < 1.1 * by_hand.total


def test_parameters_by_hand():
  config = make_config()
  model = weights.build_network(config)
  params = jax.eval_shape(lambda: make_params(model, size=64, seed=0))
  s = models.SIZES['nano']
  d, t, r, p = s['width'], s['text_width'], s['bottleneck'], 3 * 8**2
  e, u = d // s['heads'], t // s['text_heads']
  # Four projections, three of the MLP, two gains of a head, modulation.
  block = 4 * d * d + 3 * d * hidden_width(d) + 2 * e + 6 * d
  # The same without modulation, three gains, and nine neighbors.
  text_block = 4 * t * t + 3 * t * hidden_width(t) + 2 * u + 3 * t + 9 * t
  expected = s['depth'] * block + s['text_depth'] * text_block
  expected += model.config.vocab_size * t + t + t  # embedding, start, gain
  expected += s['depth'] * (2 * t * d + e)  # keys and values for the blocks
  expected += 2 * (p * r + r * d) + d  # both pictures, and none
  expected += 24 * d + (128 * d + d) + (d * d + d)  # place and time
  expected += d * 6 * d + d * 2 * d + d * 4 * p  # modulations, head
  expected += d * 8**2 + 8**2  # what is copied
  assert models.count_parameters(params) == expected == 7_460_928


def test_rematerialization_computes_blocks_again():
  kinds = {}
  for remat in ('none', 'dots', 'full'):
    config = make_config(batch_size=4)
    config['model']['remat'] = remat
    kinds[remat] = flops.count_step_flops(config)
    traced = lower_step(config).jaxpr.jaxpr
    assert count_products(traced) == pytest.approx(kinds[remat].total, rel=2e-3)
  assert kinds['none'].again == 0 < kinds['dots'].again < kinds['full'].again
  assert kinds['full'].again < kinds['full'].forward


def test_a_planned_row_is_a_row_of_the_stream():
  config = load_config('quickstart:tune,smoke').to_dict()
  batches = stream.build_stream(
    build.build_mixture(config),
    stream.make_settings(config, batch_size=1, short_text_length=None),
    end_step=1,
  )
  real = next(batches)
  batches.close()
  planned = programs.make_row(config['image_size'], real['tokens'].shape[1])
  assert planned.keys() == real.keys()
  for key, leaf in real.items():
    leaf = np.asarray(leaf)
    found = (planned[key].shape, planned[key].dtype)
    on_device = jax.dtypes.canonicalize_dtype(leaf.dtype)
    assert found == (leaf.shape, on_device), key


# As the compiler writes it: a loop of six turns in which an exchange runs
# beside other work, weights of which a slice is read, and batched products.
PROGRAM = """\
HloModule jit_step, is_scheduled=true, num_partitions=8

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %add = f32[]{:T(128)} add(%a, %b)
}

%starts (p0: bf16[4,32]) -> (bf16[4,32], bf16[32,32], u32[]) {
  %p0 = bf16[4,32]{1,0:T(8,128)(2,1)} parameter(0)
  %gather.1 = bf16[32,32]{1,0:T(8,128)(2,1)} all-gather(%p0), channel_id=7, \
replica_groups=mesh['axis_0'=8] {'axis_0'}, dimensions={0}
  ROOT %call.1 = (bf16[4,32]{1,0}, bf16[32,32]{1,0}, u32[]{:S(2)}) \
custom-call(%p0, %gather.1), custom_call_target="AsyncCollectiveStart"
}

%ends (p0: bf16[4,32], p1: bf16[32,32]) -> bf16[32,32] {
  %p0 = bf16[4,32]{1,0:T(8,128)(2,1)} parameter(0)
  %p1 = bf16[32,32]{1,0:T(8,128)(2,1)} parameter(1)
  %gather.2 = bf16[32,32]{1,0:T(8,128)(2,1)} all-gather(%p0), channel_id=7, \
replica_groups=mesh['axis_0'=8] {'axis_0'}, dimensions={0}
  ROOT %call.2 = bf16[32,32]{1,0:T(8,128)(2,1)} custom-call(%gather.2, %p1), \
custom_call_target="AsyncCollectiveDone"
}

%picks (p0: f32[6,16,16], p1: s32[]) -> f32[16,16] {
  %p0 = f32[6,16,16]{2,1,0:T(8,128)} parameter(0)
  %p1 = s32[]{:T(128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  %pick = f32[1,16,16]{2,1,0:T(8,128)} dynamic-slice(%p0, %p1, %zero, %zero)
  ROOT %flat = f32[16,16]{1,0:T(8,128)} bitcast(%pick)
}

%all-reduce-scatter.1 (p0: f32[64,2]) -> f32[16,2] {
  %p0 = f32[64,2]{1,0:T(8,128)S(1)} parameter(0)
  %whole = f32[64,2]{1,0:T(8,128)} all-reduce(%p0), channel_id=9, \
replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%sum
  %at = s32[]{:T(128)} constant(0)
  ROOT %part = f32[16,2]{1,0:T(8,128)} dynamic-slice(%whole, %at, %at)
}

%turn (state: (s32[], bf16[4,32], f32[6,16,16])) -> (s32[], bf16[4,32], \
f32[6,16,16]) {
  %state = (s32[]{:T(128)}, bf16[4,32]{1,0}, /*index=2*/f32[6,16,16]{2,1,0}) \
parameter(0)
  %i = s32[]{:T(128)S(1)} get-tuple-element(%state), index=0
  %x = bf16[4,32]{1,0:T(8,128)(2,1)} get-tuple-element(%state), index=1
  %stack = f32[6,16,16]{2,1,0:T(8,128)} get-tuple-element(%state), index=2
  %async-collective-start.1 = (bf16[4,32]{1,0}, bf16[32,32]{1,0}, \
u32[]{:S(2)}) fusion(%x), kind=kCustom, \
output_to_operand_aliasing={{0}: (0, {})}, calls=%starts
  %y = bf16[32,32]{1,0} get-tuple-element(%async-collective-start.1), index=1
  %async-collective-done.1 = bf16[32,32]{1,0:T(8,128)(2,1)} fusion(%x, %y), \
kind=kCustom, output_to_operand_aliasing={{}: (1, {})}, calls=%ends
  %w = f32[16,16]{1,0:T(8,128)S(1)} fusion(%stack, %i), kind=kLoop, calls=%picks
  %product = f32[3,16,16]{2,1,0:T(8,128)S(1)} convolution(%left, %right), \
window={size=3 stride=2 lhs_dilate=3}, dim_labels=0bf_0io->0bf
  %left = f32[3,16,16]{2,1,0:T(8,128)S(1)} custom-call(), \
custom_call_target="AllocateBuffer"
  %right = f32[3,16,16]{2,1,0:T(8,128)S(1)} custom-call(), \
custom_call_target="AllocateBuffer"
  %one = s32[]{:T(128)S(1)} constant(1)
  %next = s32[]{:T(128)S(1)} add(%i, %one)
  ROOT %out = (s32[]{:T(128)}, bf16[4,32]{1,0}, f32[6,16,16]{2,1,0}) \
tuple(%next, %x, %stack)
}

%more (state.1: (s32[], bf16[4,32], f32[6,16,16])) -> pred[] {
  %state.1 = (s32[]{:T(128)}, bf16[4,32]{1,0}, f32[6,16,16]{2,1,0}) parameter(0)
  %i.1 = s32[]{:T(128)S(1)} get-tuple-element(%state.1), index=0
  %bound = s32[]{:T(128)S(1)} constant(6)
  ROOT %less = pred[]{:T(512)S(1)} compare(%i.1, %bound), direction=LT
}

ENTRY %main (p: (s32[], bf16[4,32], f32[6,16,16]), g: f32[64,2]) -> f32[16,2] {
  %p = (s32[]{:T(128)}, bf16[4,32]{1,0}, f32[6,16,16]{2,1,0}) parameter(0)
  %g = f32[64,2]{1,0:T(8,128)S(1)} parameter(1)
  %loop = (s32[]{:T(128)}, bf16[4,32]{1,0}, f32[6,16,16]{2,1,0}) while(%p), \
condition=%more, body=%turn
  %mean = f32[64,2]{1,0:T(8,128)S(1)} all-reduce(%g), channel_id=1, \
replica_groups=[2,4]<=[8], to_apply=%sum
  %passed = f32[64,2]{1,0:T(8,128)S(1)} collective-permute(%mean), \
channel_id=2, source_target_pairs={{0,1},{1,0}}
  %dealt = f32[64,2]{1,0:T(8,128)S(1)} all-to-all(%passed), channel_id=3, \
replica_groups=mesh['a'=2,'b'=4] {'a'}, dimensions={0}
  ROOT %share = f32[16,2]{1,0:T(8,128)} fusion(%dealt), kind=kCustom, \
calls=%all-reduce-scatter.1
}
"""


def test_costs_of_a_stored_program():
  found = costs.count_costs(PROGRAM)
  assert found.exchanges == {
    # Six turns, each once: 7 shards of 4 x 32 bfloat16 are sent.
    'all-gather': collectives.CollectiveCost(6, 6 * 7 * 256.0),
    # 512 bytes; groups of 4, 8 (a permutation has none), 2 and 4.
    'all-reduce': collectives.CollectiveCost(1, 2 * 512 * 3 / 4),
    'collective-permute': collectives.CollectiveCost(1, 512.0),
    'all-to-all': collectives.CollectiveCost(1, 512 / 2),
    'reduce-scatter': collectives.CollectiveCost(1, 512 * 3 / 4),
  }
  # Three products of 16 x 16 x 16 a turn, written as one convolution.
  assert found.flops == 6 * 3 * 2 * 16**3
  # A turn writes the gathered weights and reads a sixth of the stack; behind
  # the loop a quarter of the sum is written.
  assert found.hbm_bytes == 6 * (32 * 32 * 2 + 16 * 16 * 4) + 16 * 2 * 4
  assert found.unknown_trip_counts == 0


@pytest.mark.parametrize('masked', ['', '_segmented'])
def test_attention_in_blocks_counts_its_products(masked):
  # As the compiler of TPUs writes splash's two kernels, for 2 heads of 8.
  pair = 'bf16[2,64,8]{2,1,0} parameter'
  program = f"""
ENTRY %main (q: bf16[2,64,8], k: bf16[2,96,8]) -> bf16[2,64,8] {{
  %q = {pair}(0)
  %k = {pair.replace('64', '96')}(1)
  %g = s8[1,1,1]{{2,1,0}} custom-call(), custom_call_target="AllocateBuffer"
  %splash_mha_fwd{masked}_residuals.1 = bf16[2,64,8]{{2,1,0}} custom-call(%g, \
%g, %q, %k, %k), custom_call_target="tpu_custom_call"
  %splash_mha_dkv{masked}_no_residuals.7 = bf16[2,64,8]{{2,1,0}} \
custom-call(%g, %g, %q, %k, %k, %g), custom_call_target="tpu_custom_call"
  ROOT %out = bf16[2,64,8]{{2,1,0}} copy(%splash_mha_dkv{masked}_no_residuals.7)
}}
"""
  found = costs.count_costs(program)
  assert found.kernels == {'splash_mha_fwd': 1, 'splash_mha_dkv': 1}
  assert found.flops == (2 + 5) * 2 * (2 * 64 * 8) * 96
  assert found.add(found, 3).kernels['splash_mha_fwd'] == 4
  plain = costs.count_costs(program.replace('tpu_custom_call', 'other'))
  assert (plain.kernels, plain.flops) == ({}, 0.0)


@pytest.mark.parametrize('step, turns', [(1, 6), (2, 3), (4, 2)])
def test_a_loop_turns_by_its_steps(step, turns):
  one = '%one = s32[]{:T(128)S(1)} constant'
  found = costs.count_costs(PROGRAM.replace(f'{one}(1)', f'{one}({step})'))
  assert found.exchanges['all-gather'].count == turns
  assert found.flops == turns * 3 * 2 * 16**3


def test_a_loop_without_a_bound_counts_once_and_is_told():
  found = costs.count_costs(PROGRAM.replace('direction=LT', 'direction=NE'))
  assert found.unknown_trip_counts == 1
  assert found.exchanges['all-gather'].count == 1


@pytest.mark.parametrize(
  'attributes, size',
  [
    ('replica_groups={{0,4},{1,5}}, x={}', 2),
    ('replica_groups=[4,2]<=[2,4]T(1,0)', 2),
    ("replica_groups=mesh['a'=2,'b'=4] {'a','b'}", 8),
    ('replica_groups={}, to_apply=%sum', 16),
  ],
)
def test_sizes_of_groups(attributes, size):
  assert collectives.read_group_size(attributes, chips=16) == size


def test_roofline_by_hand():
  chip = topologies.Chip(
    flops=100.0, hbm_bytes_a_second=10.0, ici_bytes_a_second=2.0, hbm_bytes=1.0
  )
  line = roofline.make_roofline(
    costs.Costs(
      flops=300.0,
      hbm_bytes=20.0,
      exchanges={'all-gather': collectives.CollectiveCost(2, 10.0)},
    ),
    chip,
  )
  assert (line.compute, line.memory, line.exchange) == (3.0, 2.0, 5.0)
  assert line.largest == 'exchange'
  assert (line.seconds, line.seconds_in_turn) == (5.0, 10.0)


@pytest.mark.parametrize('guess', [1.0, 500.0, 5e5])
@pytest.mark.parametrize('code', [0.0, 60.0])
def test_the_largest_batch_is_within_the_tolerance(guess, code):
  limit, weighed = 1000.0, []

  def weigh(size):
    weighed.append(size)
    return 100.0 + 0.7 * size + 1e-5 * size**2

  def compile_step(size):
    needed = weigh(size) + code  # which weighing does not see
    return programs.Program(needed, fits=needed <= limit)

  weighed_best = planner.find_largest_batch(weigh, limit, unit=8, guess=guess)
  best = planner.confirm_batch(compile_step, weighed_best, unit=8)
  assert best % 8 == 0 and compile_step(best).fits
  assert not compile_step(int(1.1 * best)).fits
  assert len(weighed) < 40


def test_no_batch_fits():
  assert not planner.find_largest_batch(
    lambda size: 2000.0, 1000.0, unit=8, guess=-40.0
  )
  assert not planner.confirm_batch(
    lambda size: programs.Program(2000.0, fits=False), 64, unit=8
  )


@pytest.mark.parametrize(
  'message, expected',
  [
    (
      'the total memory required for HLO temporaries (53.25G) exceeds '
      'available HBM (15.75G).',
      53.25 * 2**30,
    ),
    ('Ran out of memory. Used 16.5G of 15.75G hbm.', 16.5 * 2**30),
    ('(387.5M) exceeds available HBM (1.00M)', 387.5 * 2**20),
    ('INTERNAL: something else', None),
  ],
)
def test_what_the_compiler_says_of_a_program_that_is_too_large(
  message, expected
):
  assert topologies.read_needed_bytes(message) == expected


def test_topologies_have_as_many_chips_as_they_say():
  for name, topology in topologies.TOPOLOGIES.items():
    sides = map(int, topology.layout.split('x'))
    assert math.prod(sides) == topology.count == int(name.split('-')[1])
  smaller = topologies.smaller_topologies(topologies.find_topology('v5p-16'))
  assert [t.name for t in smaller] == ['v5p-4', 'v5p-8', 'v5p-16']
  assert topologies.find_topology('v5p-16').accelerator == 'v5p-32'
  assert topologies.find_topology('v5e-16').accelerator == 'v5litepod-16'


def test_an_unknown_topology_names_all():
  with pytest.raises(UserError, match=r'v5e-1, v5e-4.*did you mean v5e-256'):
    topologies.find_topology('v5e-265')
  with pytest.raises(UserError, match=r'did you mean v5e-16\?'):
    topologies.find_topology('v5litepod-16')


def test_without_libtpu_one_line_says_so(monkeypatch, capsys):
  monkeypatch.setattr(topologies, 'has_libtpu', lambda: False)
  words = ['plan', '--config', 'quickstart', '--topology', 'v5e-4']
  assert cli.main(words) == UserError.exit_code == 2
  error = capsys.readouterr().err
  assert error.count('\n') == 1 and "'.[plan]'" in error


@needs_libtpu
@pytest.mark.parametrize('name', topologies.TOPOLOGIES)
def test_libtpu_describes_every_slice_of_the_cloud(name):
  topology = topologies.find_topology(name)
  assert len(topologies.load_devices(topology)) == topology.count


@needs_libtpu
@pytest.mark.parametrize('name', ['v5e-1', 'v5e-8', 'v6e-1', 'v6e-8', 'v5p-4'])
def test_slices_of_one_host_compile(name):
  device = topologies.load_devices(topologies.find_topology(name))[0]
  x = jax.ShapeDtypeStruct(
    (8, 128), 'float32', sharding=jax.sharding.SingleDeviceSharding(device)
  )
  assert programs.compile_program(jax.jit(lambda x: x @ x.T).lower(x)).fits


@needs_libtpu
def test_a_slice_that_libtpu_does_not_know_is_refused_in_one_line():
  strange = topologies.Topology('v5e-3', 'v5e', '3x1', 3)
  with pytest.raises(UserError, match=r'has no slice v5e-3: .*2x2x1') as error:
    topologies.load_devices(strange)
  assert '\n' not in str(error.value)


class StoredCompiler:
  """Weighs by a line; compiles nothing."""

  def __init__(self, config, topology, bounds):
    self.topology = topology

  def __enter__(self):
    return self

  def __exit__(self, *_):
    pass

  def estimate_train_step_memory(self, batch_size):
    if self.topology.name == 'v5e-4':
      raise compiler.NotKnown('of v5e-4')
    return 2.0**30 + batch_size * 2.0**20

  def compile_train_step(self, batch_size):
    raise compiler.NotKnown('too large for this machine')

  compile_painter = compile_eval_step = lambda self: self.compile_train_step(0)


@needs_libtpu
def test_what_is_not_known_costs_its_own_line(monkeypatch):
  monkeypatch.setattr(planner, 'Compiler', StoredCompiler)
  shown = []
  config = load_config('quickstart:tune,smoke').to_dict()
  planner.show_plan(
    config,
    topologies.find_topology('v5e-8'),
    bounds=compiler.Bounds(bytes=2.0**30, seconds=60.0),
    show=shown.append,
  )
  page = '\n'.join(shown)
  for words in (
    'before compiling: weights',
    'training step, weighed: 1.01 GiB',
    'v5e-1: 1.01 GiB a chip, weighed; may fit',
    'v5e-4: passed over, of v5e-4',
    'the training step: not known, too large for this machine',
    'the painter, one pass: not known',
    'the training step on v5e-1: not known',
    'the largest batch, compiled: not known',
  ):
    assert words in page, words
  (largest,) = [
    line for line in shown if line.startswith('the largest batch th')
  ]
  assert 14.25 < int(largest.split()[-1]) / 1024 <= 14.75


def make_worker(monkeypatch, tmp_path, body):
  """A compiler whose process runs a few lines of Python."""
  script = tmp_path / 'worker.py'
  script.write_text(f'import json, sys, time\n{body}\n')
  start = subprocess.Popen
  monkeypatch.setattr(
    compiler.subprocess,
    'Popen',
    lambda command, **rest: start([sys.executable, str(script)], **rest),
  )


@pytest.mark.parametrize(
  'body, bounds, words',
  [
    ('sys.stdin.read()', (2.0**10, 60.0), 'of memory on this machine'),
    ('sys.stdin.read()', (2.0**40, 0.2), r'0\.00333333 minutes'),
    ("sys.exit('Check failed: x')", (2.0**40, 60.0), '1: Check failed: x'),
    (
      'for line in sys.stdin: print(\'{"failed": "INTERNAL: y"}\', flush=True)',
      (2.0**40, 60.0),
      'INTERNAL: y',
    ),
  ],
)
def test_a_program_that_is_given_up_says_why(
  body, bounds, words, monkeypatch, tmp_path
):
  make_worker(monkeypatch, tmp_path, body)
  slice_of_4 = topologies.find_topology('v5e-4')
  with compiler.Compiler({}, slice_of_4, compiler.Bounds(*bounds)) as made:
    for _ in range(2):  # a process for each, if it has to be
      with pytest.raises(compiler.NotKnown, match=words):
        made.estimate_train_step_memory(8)


_COMPILES = """
import time
from vbanana_jax.plan import worker
worker.end_with_parent()
print('compiles', flush=True)
time.sleep(100)
"""
_ASKS = f"""
import os, subprocess, sys
words = [sys.executable, '-c', {_COMPILES!r}, str(os.getpid())]
subprocess.Popen(words, stdout=subprocess.PIPE).stdout.readline()
os.kill(os.getpid(), 9)
"""


def test_the_process_that_compiles_ends_with_the_one_that_asks():
  with subprocess.Popen(
    [sys.executable, '-c', _ASKS], stderr=subprocess.PIPE, text=True
  ) as asker:
    assert asker.wait() == -9
    # Open as long as one of the two lives.
    assert select.select([asker.stderr], [], [], 60)[0]
    assert not asker.stderr.read()


def test_the_bound_of_memory_leaves_some():
  assert 0 < compiler.read_resident_bytes(os.getpid())
  assert 0 < compiler.find_memory_bound() < 2.0**50


@pytest.mark.parametrize('flag', ['--memory=0', '--minutes=-1'])
def test_bounds_are_more_than_nothing(flag, capsys):
  words = ['plan', '--config', 'quickstart', '--topology', 'v5e-4', flag]
  assert cli.main(words) == UserError.exit_code
  assert 'more than 0' in capsys.readouterr().err


@needs_libtpu
def test_a_cache_in_use_keeps_nothing_for_chips_that_are_not_there(tmp_path):
  jax.config.update('jax_compilation_cache_dir', str(tmp_path))
  jax.config.update('jax_enable_compilation_cache', True)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  compilation_cache.reset_cache()
  jax.jit(lambda x: x + 3).lower(1.0).compile()
  kept = set(tmp_path.iterdir())
  assert kept
  device = topologies.load_devices(topologies.find_topology('v5e-4'))[0]
  x = jax.ShapeDtypeStruct(
    (8, 128), 'float32', sharding=jax.sharding.SingleDeviceSharding(device)
  )
  for _ in range(2):  # the second would read, and warn
    programs.compile_program(jax.jit(lambda x: x + 3).lower(x))
  assert set(tmp_path.iterdir()) == kept


def refuse_plan(config, topology):
  bounds = compiler.Bounds(bytes=1.0, seconds=1.0)
  planner.show_plan(config, topology, bounds=bounds, show=pytest.fail)


@needs_libtpu
def test_a_batch_that_the_chips_cannot_share_is_refused():
  slice_of_16 = topologies.find_topology('v5e-16')
  config = make_config('smoke', batch_size=50, sharding='dp')
  with pytest.raises(UserError, match=r'batch_size is 50.*48 and 64'):
    refuse_plan(config, slice_of_16)
  config = make_config('smoke', batch_size=48, accumulate=0, sharding='dp')
  with pytest.raises(UserError, match='accumulate is 0'):
    refuse_plan(config, slice_of_16)


@needs_libtpu
def test_a_held_out_batch_is_rounded_up_to_what_the_chips_share():
  config = make_config('smoke', batch_size=48, sharding='dp')
  config['eval']['batch_size'] = 9
  made = programs.Programs(config, topologies.find_topology('v5e-16'))
  batch = made._make_eval_batch(made.exam_task)
  assert batch['valid'].shape == (16,)


@needs_libtpu
def test_weighing_a_step_is_close_to_compiling_it():
  config = load_config('quickstart:tune,smoke').to_dict()
  config['sharding'] = 'dp'
  made = programs.Programs(config, topologies.find_topology('v5e-4'))
  step = made.compile_train_step(8)
  assert step.fits
  # Of a program as small as this; a tenth at the sizes that one would plan.
  assert made.estimate_train_step_memory(8) == pytest.approx(
    step.needed - step.code, rel=0.4
  )
  memory = memories.make_memory(made, step, slope=2**14)
  parts = dataclasses.asdict(memory)
  assert parts.pop('frozen') == 0
  total, limit = parts.pop('total'), parts.pop('limit')
  assert sum(parts.values()) == pytest.approx(total) and total < limit
  assert all(part > 0 for part in parts.values())
  # Moments of every weight, and second moments of those that Adam owns.
  assert memory.parameters <= memory.optimizer <= 2 * memory.parameters + 64
  # The gradient of every weight is summed over four chips.
  found = step.costs.exchanges['all-reduce'].bytes
  assert found == pytest.approx(2 * 3 / 4 * memory.parameters, rel=0.01)
  by_hand = flops.count_step_flops(config)
  alone = (by_hand.total - by_hand.muon) / 4 + by_hand.muon
  assert step.costs.flops == pytest.approx(alone, rel=0.05)


@needs_libtpu
def test_the_command_prints_a_plan():
  done = subprocess.run(
    [
      sys.executable, '-m', 'vbanana_jax', 'plan', '--no-search',
      '--config', 'quickstart:tune,smoke', '--topology', 'v5e-4',
      '--config.sharding=dp',
    ],
    capture_output=True,
    text=True,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  for words in (
    'v5e-4: 4 chips, 2x2',
    'training step, weighed:',
    'parameters',
    'all-reduce',
    'training step, predicted:',
    'painter, one pass, predicted:',
    'eval step, instance, predicted:',
  ):
    assert words in done.stdout


def test_numbers_for_a_person():
  assert text.to_size(1536) == '1.5 KiB'
  assert text.to_size(15.75 * 2**30) == '15.8 GiB'
  assert text.to_flops(2.5e12) == '2.5 TFLOP'
  assert text.to_time(2.5e-5) == '25 us'
  assert text.to_time(0.25) == '250 ms'
