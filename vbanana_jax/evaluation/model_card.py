"""README.md of an export: a model card, from what the program knows alone."""

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from vbanana_jax import __version__
from vbanana_jax.data import pairings
from vbanana_jax.evaluation import results as tables
from vbanana_jax.tasks import TASKS

_LICENSE = 'apache-2.0'  # of the repository, and of weights of drawn scenes
_TAGS = ('jax', 'flax', 'vbanana_jax', 'vision', 'instruction-tuned')
_ENDS = {'min': ' ↓', 'max': ' ↑'}


class Scores(NamedTuple):
  """What `vbanana evaluate` found.

  Attributes:
    results: see `results.load_results`.
    rounded: whether of the exported weights themselves, and not of the float32
      ones before they were rounded.
  """

  results: dict[str, Any]
  rounded: bool


def make_card(
  name: str, about: dict[str, Any], scores: Sequence[Scores]
) -> str:
  """The card: YAML for the Hub, then text.

  Args:
    name: of the network.
    about: config.json of the export.
    scores: of its weights.
  """
  trainings = about['trainings']
  parts = [
    _make_header(name, trainings, scores),
    _describe_network(name, about),
    _describe_use(name, about['config']),
    _describe_data(trainings),
    *(_describe_training(each) for each in trainings),
    _describe_scores(scores),
    _describe_limits(about['config'], trainings),
    '## Files\n\n`model.safetensors` has the weights, `config.json` what they '
    'mean and the\nSHA-256 of the other files. `run.json` is the record of the '
    'training, with all\nsettings, and `metrics.jsonl` its losses step by '
    f'step. Written by vbanana_jax\n{__version__}.\n',
  ]
  return '\n'.join(parts)


def _make_header(name, trainings, scores) -> str:
  """Front matter; its values are JSON, which YAML includes."""
  lines = [
    f'license: {find_license(trainings)}',
    'library_name: vbanana_jax',
    f'tags: {json.dumps(_TAGS)}',
    'pipeline_tag: image-to-image',
  ]
  if scores:
    listed = [
      _to_entry(each.results, row)
      for each in scores
      for row in _list_rows(each.results)
      if row['value'] is not None
    ]
    index = [{'name': name, 'results': listed}]
    lines.append(f'model-index: {json.dumps(index)}')
  return '\n'.join(('---', *lines, '---', ''))


def _to_entry(results: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
  photo = tables.get_task(row['task']).inputs.photo
  kind = 'image-to-image' if photo else 'text-to-image'
  return {
    'task': {'type': kind, 'name': row['task']},
    'dataset': {
      'type': 'vbanana_jax/scenes',
      'name': f'{results["eval_set"]}, level {results["level"]}',
    },
    'metrics': [
      {
        'type': row['metric'],
        'name': f'{row["task"]} {row["metric"]}',
        'value': row['value'],
      }
    ],
  }


def find_license(trainings: Sequence[dict[str, Any]]) -> str:
  """The repository's license, or other where pictures of others were seen."""
  kinds = {kind for each in trainings for _, kind, _ in _list_sources(each)}
  return _LICENSE if kinds <= {pairings.SCENES} else 'other'


def _describe_network(name: str, about: dict[str, Any]) -> str:
  config = about['config']
  learned = sorted({x for names in config['learned'].values() for x in names})
  average = 'averaged ' if about['averaged'] else ''
  return f"""# {name}

A network of vbanana_jax: an image generator that answers questions about a
picture by painting the answer, which is then decoded. The idea is that of
[Image Generators are Generalist Vision Learners]\
(https://arxiv.org/abs/2604.20329).

- tasks: {', '.join(x for x in TASKS if x in learned)}
- {about['parameters']:,} parameters, size `{config['model']['size']}`, \
trained at {config['image_size']} pixels
- {average}weights after step {about['step']} of the last training, stored as \
bfloat16
"""


def _count_inputs(task: str) -> tuple[float, ...]:
  """The less a person has to give, the smaller; photos come before words."""
  inputs = TASKS[task].inputs
  words = inputs.prompt + inputs.least_classes
  return words, not inputs.photo, inputs.most_classes


def _describe_use(name: str, config: dict[str, Any]) -> str:
  learned = {x for names in config['learned'].values() for x in names}
  task = min((key for key in TASKS if key in learned), key=_count_inputs)
  inputs = TASKS[task].inputs
  python, flags = f"'{task}'", f'--task {task}'
  if inputs.photo:
    python, flags = f"{python}, 'photo.jpg'", f'photo.jpg {flags}'
  if inputs.prompt:
    python, flags = f"{python}, prompt='...'", f"{flags} --prompt '...'"
  if inputs.least_classes:
    python, flags = f"{python}, classes=['...']", f"{flags} --classes '...'"
  return f"""## How to use it

```python
import vbanana_jax as vb

model = vb.open('{name}')  # the path of this folder
model.ask({python}).figure().save('{task}.png')
```

```bash
vbanana predict {flags} --workdir {name}
```
"""


def _list_sources(training: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
  """Name, kind and what is said of each source that a training drew from."""
  config = training['config']
  described = training.get('data', {}).get('sources', {})
  names = {each.source: None for each in pairings.list_pairings(config)}
  for name in list(names):
    if textures := pairings.find_textures(config['sources'], name):
      names[textures] = None
  for name in names:
    settings, known = config['sources'][name], described.get(name, {})
    if settings['kind'] == pairings.SCENES:
      text = (
        f'scenes of the level {settings["level"]}, which the program draws '
        f'(seed {known.get("seed", config["seed"])}): no license'
      )
    else:
      text = known.get('name', name)
      text += f', {known["count"]:,} records' if 'count' in known else ''
      text += f', from {known["source"]}' if 'source' in known else ''
      text += f': license {known.get("license", "not stated")}'
    yield name, settings['kind'], text


def _describe_data(trainings: Sequence[dict[str, Any]]) -> str:
  lines = ['## Data', '']
  for each in trainings:
    learned: dict[str, list[str]] = {}
    for pairing in pairings.list_pairings(each['config']):
      words = f'{pairing.task} {pairing.weight:g}'
      learned.setdefault(pairing.source, []).append(words)
    for name, _, text in _list_sources(each):
      tasks = f' (tasks and weights: {", ".join(learned[name])})' * (
        name in learned
      )
      lines.append(f'- {each["name"]}: `{name}`, {text}{tasks}')
  return '\n'.join((*lines, ''))


def _describe_training(training: dict[str, Any]) -> str:
  """What one training was asked for, and what it took."""
  config, topology = training['config'], training.get('topology', {})
  lines = [
    f'## Training: {training["name"]}',
    '',
    f'- seed {config["seed"]}, {training["step"]:,} steps of '
    f'{config["batch_size"]} examples: {training["examples"]:,} examples',
  ]
  if 'seconds' in training:
    lines.append(
      f'- {training["seconds"]:,.0f} s of wall time and '
      f'{training["cpu_seconds"]:,.0f} CPU seconds, without '
      f'{training["compile_seconds"]:,.0f} s of compilation'
    )
  if topology:
    lines.append(
      f'- {topology["devices"]} x {topology["device"]}, '
      f'{topology["processes"]} process{"es" * (topology["processes"] > 1)}'
    )
  if training['resumed_at']:
    steps = ', '.join(map(str, training['resumed_at']))
    lines.append(f'- interrupted, and resumed at step {steps}')
  if 'git' in training:
    lines.append(f'- code: commit {training["git"]["commit"]}')
  if 'command' in training:
    lines += ['', '```bash', shlex.join(training['command']), '```']
  return '\n'.join((*lines, ''))


def _describe_scores(scores: Sequence[Scores]) -> str:
  lines = ['## Results', '']
  if not scores:
    lines += ['Not scored: there were no results of these weights.', '']
  for results, rounded in scores:
    weights = (
      'these weights'
      if rounded
      else 'the float32 weights, before they were rounded to bfloat16'
    )
    lines += [
      f'{results["eval_set"]}, level {results["level"]}; of {weights}. '
      f'{tables.describe_scores(results)} The constant is the best answer of '
      'one that never looks.',
      '',
      '| task | metric | score | 95 % interval | constant | n |',
      '| --- | --- | --- | --- | --- | --- |',
      *(_make_row(row) for row in _list_rows(results)),
      '',
    ]
  return '\n'.join(lines)


def _list_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
  """Scores of which one end is better; all others are in results.json."""
  return [row for row in results['rows'] if row['better'] is not None]


def _make_row(row: dict[str, Any]) -> str:
  low, high = map(tables.to_text, row['interval'])
  interval = '-' if low == '-' else f'{low} to {high}'
  cells = (
    row['task'],
    row['metric'] + _ENDS.get(row['better'], ''),
    tables.to_text(row['value']),
    interval,
    tables.to_text(row['constant']),
    str(row['n']),
  )
  return f'| {" | ".join(cells)} |'


def _describe_limits(config, trainings) -> str:
  kinds = {kind for each in trainings for _, kind, _ in _list_sources(each)}
  drawn = kinds <= {pairings.SCENES}
  lines = [
    '## Limits',
    '',
    f'- It was trained on squares of {config["image_size"]} pixels; it '
    'is worse where the short edge is another.',
    '- It knows the tasks above alone, in the words that it was trained with, '
    f'of {config["model"]["max_text"]} tokens at most.',
    '- It saw drawn scenes and no photograph: answers about photographs are '
    'outside of what it learned, and nothing above measures them.'
    if drawn
    else '- It saw the pictures named above: what differs from them is '
    'outside of what it learned.',
  ]
  return '\n'.join((*lines, ''))
