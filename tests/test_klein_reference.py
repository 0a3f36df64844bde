"""What is written here runs in diffusers and peft, and the reverse.

Not run where they are not installed; docs/open_weights.md tells how to.
"""

import json
import shutil
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import klein_files
import numpy as np
import pytest
from klein_files import error
from PIL import Image

from vbanana_jax import cli, families, keys, sharding
from vbanana_jax.diffusion import flow
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.klein import lora
from vbanana_jax.training import provenance
from vbanana_jax.training import weights as runs

with warnings.catch_warnings():
  warnings.simplefilter('ignore')
  why = 'compares with {0}, which is not installed: pip install {0}'
  diffusers = pytest.importorskip('diffusers', reason=why.format('diffusers'))
  training_utils = pytest.importorskip('diffusers.training_utils')
  peft = pytest.importorskip('peft', reason=why.format('peft'))
  torch = pytest.importorskip('torch', reason=why.format('torch'))
  pytest.importorskip('transformers', reason=why.format('transformers'))

pytestmark = [
  pytest.mark.filterwarnings('default'),
  pytest.mark.usefixtures('quick_compilation'),
]
TEXT, STEPS, GUIDANCE, SEED = 256, 4, 3.0, 5
PROMPT = 'a red box on a table'
SIZE = 64, 96
# Largest difference over the largest value, in float32 of both.
TOLERANCE = 2e-4
# As the published file has it, without tools and turns.
FORM = (
  '{%- for message in messages %}'
  "{{- '<|im_start|>' + message.role + '\n' + message.content"
  " + '<|im_end|>' + '\n' }}{%- endfor %}{%- if add_generation_prompt %}"
  "{{- '<|im_start|>assistant\n' }}{%- if enable_thinking is false %}"
  "{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}"
)
WORDS = {'tokenizer_class': 'Qwen2Tokenizer', 'pad_token': '<|endoftext|>',
         'eos_token': '<|im_end|>', 'chat_template': FORM}  # fmt: skip


@pytest.fixture(scope='module')
def train(trainings, tmp_path_factory):
  """Trains a few steps that change much; returns the workdir."""
  folder = tmp_path_factory.mktemp('reference')
  shutil.copytree(klein_files.SNAPSHOT, folder / 'snapshot')
  path = folder / 'snapshot' / 'tokenizer' / 'tokenizer_config.json'
  path.write_text(json.dumps(WORDS))
  snapshot = klein_files.make_import(folder / 'klein', folder / 'snapshot')
  base = (
    '--config=klein_full:smoke',
    f'--config.model.snapshot={snapshot}',
    f'--config.model.max_text={TEXT}',
    f'--config.data.text_length={TEXT}',
    '--config.sources.scenes.level=quick',
    '--config.optim.adam_learning_rate=0.01',
  )

  def run(name, *args):
    code, error = trainings.run(folder / name, *args, base=base, devices=1)
    assert code == 0, error
    return folder / name

  return run


@pytest.fixture(scope='module')
def run(train):
  """A workdir that trained the whole transformer."""
  return train('whole')


def export(workdir, layout, out):
  args = ['export', '--format', layout, '--workdir', str(workdir)]
  assert cli.main([*args, '--out', str(out)]) == 0
  return out


def open_pipeline(folder):
  """What diffusers makes of a snapshot."""
  pipeline = diffusers.Flux2KleinPipeline.from_pretrained(
    folder, dtype=torch.float32, local_files_only=True
  )
  pipeline.set_progress_bar_config(disable=True)
  return pipeline


class Ours(NamedTuple):
  """A network in float32, and all of its weights as files round them."""

  model: Any
  weights: dict[str, Any]
  tokenizer: Any


def open_ours(config, params):
  model = runs.build_network(config, precision=klein_files.EXACT)
  params = jax.device_get(params)  # and so on one device
  if 'lora' not in params:
    narrow = jax.tree.map(
      lambda x: x.astype(jnp.bfloat16).astype(jnp.float32),
      params['transformer'],
    )
    params = {**params, 'transformer': narrow}
  return Ours(model, params, families.load_tokenizer(config))


def open_run(workdir):
  found = runs.load_run(workdir)
  return open_ours(found.config, found.params)


def make_question():
  """A photograph `[1 h w 3]` in 8 bits, noise and a level of it."""
  rng = np.random.default_rng(SEED)
  photo_u8 = rng.integers(0, 256, (1, *SIZE, 3), np.uint8)
  rows, columns = (side // 16 for side in SIZE)
  key = keys.make_key(SEED, 'sample')
  example = keys.make_example_keys(key, jnp.zeros(1, jnp.int32))
  noise = flow.make_noise(example, (rows, columns, 16), jnp.ones(1))
  return photo_u8, noise, 0.7


def ask_ours(ours):
  """Text states, tokens of the photograph, a velocity, and pictures."""
  photo_u8, noise, sigma = make_question()
  paint = make_sample_fn(ours.model, seed=SEED, steps=STEPS, guidance=GUIDANCE)

  @jax.jit
  def answer(weights, batch):
    def apply(*inputs, method):
      return ours.model.apply({'params': weights}, *inputs, method=method)

    text = apply(batch['tokens'], method='encode_text')
    source = apply(batch['source'], method='to_latents')
    time = jnp.full(1, 1 - sigma)
    given = noise, time, text, source, batch['has_source']
    velocity = -apply(*given, method='denoise')
    return text, source, velocity, paint(weights, batch)

  batch = {
    'tokens': jnp.asarray([ours.tokenizer.encode(PROMPT, TEXT)]),
    'source': jnp.asarray(photo_u8, jnp.float32) / 255,
    'has_source': jnp.ones(1, bool),
    'index': jnp.zeros(1, jnp.int32),
  }
  edited = answer(ours.weights, batch)
  generated = answer(ours.weights, {**batch, 'has_source': jnp.zeros(1, bool)})
  names = 'text', 'source', 'velocity', 'edited', 'generated'
  return jax.device_get(dict(zip(names, (*edited, generated[-1]))))


@torch.no_grad()
def ask_theirs(pipeline):
  """The same of a pipeline of diffusers."""
  photo_u8, noise, sigma = make_question()
  noise = torch.tensor(np.moveaxis(np.asarray(noise), -1, 1))
  words = {
    'max_sequence_length': TEXT,
    'text_encoder_out_layers': klein_files.states(),
  }
  text, text_places = pipeline.encode_prompt(PROMPT, **words)
  photo = torch.tensor(photo_u8.transpose(0, 3, 1, 2) / 127.5 - 1).float()
  source, source_places = pipeline.prepare_image_latents(
    [photo], 1, None, 'cpu', torch.float32
  )
  latents, places = pipeline.prepare_latents(
    1, 4, *SIZE, torch.float32, 'cpu', None, noise
  )
  velocity = pipeline.transformer(
    hidden_states=torch.cat([latents, source], 1),
    timestep=torch.full((1,), sigma),
    encoder_hidden_states=text,
    txt_ids=text_places,
    img_ids=torch.cat([places, source_places], 1),
    return_dict=False,
  )[0][:, : latents.shape[1]]
  rows, columns = noise.shape[2:]
  source, velocity = (x.reshape(1, rows, columns, -1)
                      for x in (source, velocity))  # fmt: skip
  found = {'text': text, 'source': source, 'velocity': velocity}
  pictures = {'edited': [Image.fromarray(photo_u8[0])], 'generated': None}
  for name, image in pictures.items():
    found[name] = pipeline(
      prompt=PROMPT, image=image, height=SIZE[0], width=SIZE[1],
      latents=noise, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
      output_type='np', **words,
    ).images  # fmt: skip
  return {name: np.asarray(array) for name, array in found.items()}


def assert_equal(ours, theirs):
  errors = {name: float(error(ours[name], theirs[name])) for name in theirs}
  print({name: f'{value:.1e}' for name, value in errors.items()})
  assert max(errors.values()) < TOLERANCE, errors


def assert_changed(found, base):
  """That equality says something: the tuning changed the network."""
  assert error(found['velocity'], base['velocity']) > 100 * TOLERANCE


@pytest.fixture(scope='module')
def base(run):
  """What the snapshot itself answers."""
  config = provenance.load_run_json(run)['config']
  return ask_theirs(open_pipeline(config['model']['snapshot']))


def test_a_tuned_export_paints_the_same_in_diffusers(run, base, tmp_path):
  theirs = ask_theirs(open_pipeline(export(run, 'diffusers', tmp_path / 'out')))
  assert_equal(ask_ours(open_run(run)), theirs)
  assert_changed(theirs, base)


@pytest.mark.parametrize('targets', lora.TARGETS)
def test_an_adapter_of_ours_is_the_same_there(targets, train, base, tmp_path):
  lora_run = train(
    targets,
    '--config.model.lora.rank=3',
    f'--config.model.lora.targets={targets}',
  )
  ours = ask_ours(open_run(lora_run))
  config = provenance.load_run_json(lora_run)['config']
  pipeline = open_pipeline(config['model']['snapshot'])
  pipeline.load_lora_weights(export(lora_run, 'diffusers', tmp_path / 'one'))
  theirs = ask_theirs(pipeline)
  assert_equal(ours, theirs)
  assert_changed(theirs, base)
  pipeline.unload_lora_weights()
  assert_equal(base, ask_theirs(pipeline))

  pipeline.transformer = peft.PeftModel.from_pretrained(
    pipeline.transformer, export(lora_run, 'peft', tmp_path / 'two')
  )
  assert_equal(ours, ask_theirs(pipeline))


# What diffusers' trainer for klein takes, and all matrices of all blocks.
MODULES = {
  'attention': r'transformer_blocks\.\d+\.attn\.to_(q|k|v|out\.0)'
  r'|single_transformer_blocks\.\d+\.attn\.to_(qkv_mlp_proj|out)',
  'blocks': r'transformer_blocks\.\d+\.(attn\.(to_(q|k|v|out\.0|add_out)'
  r'|add_(q|k|v)_proj)|ff(_context)?\.linear_(in|out))'
  r'|single_transformer_blocks\.\d+\.attn\.to_(qkv_mlp_proj|out)',
}


def save_adapter(pipeline, layout, targets, folder):
  """Saves a random adapter as diffusers or peft does; the pipeline has it."""
  torch.manual_seed(SEED)
  config = peft.LoraConfig(
    r=4, lora_alpha=6, target_modules=MODULES[targets], init_lora_weights=False
  )
  transformer = pipeline.transformer
  if layout == 'peft':
    pipeline.transformer = peft.get_peft_model(transformer, config)
    pipeline.transformer.save_pretrained(folder)
    return
  transformer.add_adapter(config)
  told = training_utils._collate_lora_metadata({'transformer': transformer})
  pipeline.save_lora_weights(
    folder, peft.get_peft_model_state_dict(transformer), **told
  )


@pytest.mark.parametrize(
  'layout, targets', [('diffusers', 'attention'), ('peft', 'blocks')]
)
def test_an_adapter_of_theirs_is_the_same_here(
  layout, targets, run, base, tmp_path
):
  config = provenance.load_run_json(run)['config']
  pipeline = open_pipeline(config['model']['snapshot'])
  save_adapter(pipeline, layout, targets, tmp_path)
  theirs = ask_theirs(pipeline)
  section = {'path': str(tmp_path), 'rank': 4, 'alpha': 6.0, 'targets': targets}
  config['model']['lora'] = section
  mesh = sharding.build_mesh({'replica': -1, 'fsdp': 1, 'tensor': 1})
  model = runs.build_network(config, mesh)
  abstract = runs.make_abstract_params(config, model, mesh)
  family = families.get_family(config['model'])
  params = family.load_parts(config['model'], abstract, 0)
  assert_equal(ask_ours(open_ours(config, params)), theirs)
  assert_changed(theirs, base)
