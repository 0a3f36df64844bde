"""Makes a folder for `exported.load_exported` from a trained run."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import traverse_util
from jax import export

from vbanana_jax import families, models
from vbanana_jax.diffusion import flow
from vbanana_jax.errors import UserError
from vbanana_jax.inference import engine, exported
from vbanana_jax.inference.request import (
  PredictRequest,
  check_size,
  count_steps,
  word_question,
)
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.report import answers
from vbanana_jax.runtime import files
from vbanana_jax.tasks import base
from vbanana_jax.training import provenance, trained_folders
from vbanana_jax.training import weights as weights_lib

PLATFORMS = ('cpu', 'cuda', 'tpu')


def export_run(
  run: pathlib.Path,
  request: PredictRequest,
  out: pathlib.Path,
  *,
  size: tuple[int, int] | None = None,
  platforms: tuple[str, ...] = PLATFORMS,
  overwrite: bool = False,
) -> list[pathlib.Path]:
  """Exports how a run answers one question, for any number of pictures.

  The program is written with plain operations and the arithmetic of this
  machine's CPU, so that it is one program on all platforms.

  Args:
    run: a trained workdir.
    request: the question; its palette is part of the program, its words are the
      instruction that the program reads unless it is given another.
    out: folder of the files, made if it is not there.
    size: height and width of the pictures; the trained square if not given.
    platforms: of `PLATFORMS`.
    overwrite: whether an export of something else may be replaced.

  Returns:
    paths of the files; the manifest is written last.

  Raises:
    UserError: a mistake in the question or the size, no checkpoint, or an
      `out` that cannot be written or has an export of something else.
  """
  config = provenance.load_run_json(run)['config']
  arithmetic = models.build_precision('cpu')
  model = weights_lib.build_network(config, precision=arithmetic)
  tokenizer = families.load_tokenizer(config)
  task, question = _build_question(config, request, model.config.max_text)
  size = size or (config['image_size'],) * 2
  files.check_folder(out)
  _check_size(size, config, model.config.patch)
  tokens = _make_tokens(tokenizer, task, question.prompt, model.config.max_text)
  about = {
    **_describe_question(task, question, tokens, size, tokenizer.hash),
    'sampler': _describe_sampler(request),
    'platforms': list(platforms),
    'checkpoint': str(run),
    'step': trained_folders.newest_step(run),
    'training_seed': config['seed'],
  }

  def check() -> None:
    if not overwrite:
      others = (exported.PROGRAM, exported.WEIGHTS)
      files.check_free(out / exported.MANIFEST, about, others)

  check()
  params = weights_lib.load_run(run).params
  answer = make_answer(model, task, question, request, size)
  program = export_program(answer, params, len(tokens), size, platforms)
  content = _pack(program, params, about, model.precision)
  check()  # another program may have exported meanwhile
  return files.write_together({out / k: data for k, data in content.items()})


def _build_question(
  config: dict[str, Any], request: PredictRequest, max_text: int
) -> tuple[base.Task, base.Question]:
  """See `request.build_question`; UserError for more than one program can."""
  tokenizer = families.load_tokenizer(config)
  task, question, parts = word_question(config, request, max_text, tokenizer)
  if len(parts) > 1:
    raise UserError(
      f'--classes: this network takes {len(question.names)} names in '
      f'{len(parts)} questions, and an export is the program of one: '
      'give fewer, or export them in turn'
    )
  return task, question


def _check_size(
  size: tuple[int, int], config: dict[str, Any], patch: int
) -> None:
  check_size(max(size), config['image_size'])
  if any(edge < patch or edge % patch for edge in size):
    raise UserError(
      f'--size {size[0]}x{size[1]} does not divide into patches of {patch} '
      'pixels'
    )


def _flatten(params: Any) -> dict[str, Any]:
  return traverse_util.flatten_dict(params, sep='/')


def _pack(
  program: export.Exported,
  params: Any,
  about: dict[str, Any],
  precision: models.Precision,
) -> dict[str, bytes]:
  """Contents of the files by name, the manifest last."""
  weights = {name: np.asarray(x) for name, x in _flatten(params).items()}
  content = {
    exported.PROGRAM: bytes(program.serialize()),
    exported.WEIGHTS: safetensors.numpy.save(weights),
  }
  manifest = {
    **about,
    'arithmetic': {
      'matmul_dtype': precision.matmul_dtype,
      'activation_dtype': precision.activation_dtype,
    },
    'parameters': models.count_parameters(params),
    'versions': provenance.get_versions(),
    'jax_export': program.calling_convention_version,
    'sha256': {
      name: exported.hash_bytes(data) for name, data in content.items()
    },
  }
  text = json.dumps(manifest, indent=2) + '\n'
  return {**content, exported.MANIFEST: text.encode()}


def _describe_sampler(request: PredictRequest) -> dict[str, Any]:
  return {
    'steps': count_steps(request),
    'method': request.sampler,
    'guidance': request.guidance,
    'seed': request.seed,
  }


def _describe_question(
  task: base.Task,
  question: base.Question,
  tokens: np.ndarray,
  size: tuple[int, int],
  vocabulary: str,
) -> dict[str, Any]:
  """What is asked, what goes in and what comes out, as JSON."""
  palette = answers.get_palette(question.aux)
  return {
    'format': exported.FORMAT,
    'task': task.name,
    'prompt': question.prompt,
    'legend': dict(zip(question.names, palette.tolist())),
    'palette': palette.tolist(),
    'inputs': {
      'tokens': {
        'shape': 'int32 [b, l]',
        'l': len(tokens),
        'default': tokens.tolist(),
        'tokenizer': vocabulary,
      },
      'source': {
        'shape': 'float32 [b, h, w, 3], red, green and blue in [0, 1]',
        'grid': list(size),
      },
      'index': {'shape': 'int32 [b]; which noise sampling starts from'},
    },
    'outputs': {
      'painted': 'float32 [b, h, w, 3] in [0, 1]',
      **({'value': task.value.unit} if task.value else {}),
    },
  }


def make_answer(
  model,
  task: base.Task,
  question: base.Question,
  request: PredictRequest,
  size: tuple[int, int],
) -> Callable[..., dict[str, jax.Array]]:
  """The function `(weights by name, tokens, source, index) -> answer`.

  Args:
    model: from `weights.build_network`.
    task: what is asked.
    question: whose palette decodes the answer.
    request: seed, steps, sampler and guidance.
    size: of the pictures, which the noise depends on.
  """
  paint = make_sample_fn(
    model,
    seed=request.seed,
    steps=count_steps(request),
    method=request.sampler,
    guidance=request.guidance,
  )
  noise_scale = flow.noise_scale_for(max(size))

  def answer(weights, tokens, source, index):
    b = source.shape[0]
    painted = paint(
      traverse_util.unflatten_dict(weights, sep='/'),
      {
        'tokens': tokens,
        'source': source,
        'has_source': jnp.full(b, task.inputs.photo),
        'noise_scale': jnp.full(b, noise_scale, jnp.float32),
        'index': index,
      },
    )
    if task.value is None:
      return {'painted': painted}
    aux = {
      name: jnp.broadcast_to(leaf, (b, *np.shape(leaf)))
      for name, leaf in question.aux.items()
    }
    decoded = task.decode(painted, aux)
    return {'painted': painted, 'value': decoded[task.value.key]}

  return answer


def export_program(
  answer: Callable[..., dict[str, jax.Array]],
  params: Any,
  length: int,
  size: tuple[int, int],
  platforms: tuple[str, ...],
) -> export.Exported:
  """`answer` of `make_answer`, lowered for any number of pictures."""
  (b,) = export.symbolic_shape('b')
  shape = jax.ShapeDtypeStruct
  return export.export(jax.jit(answer), platforms=platforms)(
    {name: shape(x.shape, x.dtype) for name, x in _flatten(params).items()},
    shape((b, length), np.int32),
    shape((b, *size, 3), np.float32),
    shape((b,), np.int32),
  )


def _make_tokens(
  tokenizer: families.Tokenizer, task: base.Task, prompt: str, longest: int
) -> np.ndarray:
  tokens: Any = tokenizer.encode(prompt, longest)
  if task.inputs.prompt:  # the next instruction may be longer
    return tokens
  return tokens[: engine.fit_text((tokens > 0).sum(), longest)]
