"""The same held-out examples, as every run of a report answered them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import results as results_file
from vbanana_jax.evaluation import retention, run_curves
from vbanana_jax.evaluation.scored_runs import ScoredRun
from vbanana_jax.inference import outputs
from vbanana_jax.report import answers, gallery
from vbanana_jax.tasks import base
from vbanana_jax.tasks.painted import Settings

_SAME = ('target', 'source')  # of an example that several runs answered


def make_galleries(
  runs: Sequence[ScoredRun],
) -> dict[str, list[gallery.Example]]:
  """Examples by trial; those that not all runs were asked come once a run."""
  trials = dict.fromkeys(trial for run in runs for trial in run.gallery)
  return {
    trial: [
      _make_example(results_file.get_task(trial), found)
      for found in _match({r.name: r.gallery.get(trial, []) for r in runs})
    ]
    for trial in trials
  }


def make_kept_rows(
  runs: Sequence[ScoredRun],
) -> tuple[dict[str, list[gallery.Example]], dict[str, str]]:
  """What each base painted beside what became of it, and numbers, by title."""
  shown: dict[str, dict[str, gallery.Example]] = {}
  told: dict[str, list[str]] = {}
  for phase in results_file.PHASES:
    for run in runs:
      kept = phase in run.folders and retention.load_kept(run.folders[phase])
      if not kept:
        continue
      title = f'retention {run_curves.name_phase(phase, runs)}'
      name = run.name if len(runs) > 1 else ''
      after = f'step {int(kept.step)}'
      rows = shown.setdefault(title, {})
      for prompt, before, now in zip(kept.prompts, kept.before, kept.after):
        row = rows.setdefault(prompt, gallery.Example(str(prompt)))
        row.answers[name] = {'base': before, after: now}
      told.setdefault(title, []).append(_describe_kept(kept, name))
  return (
    {title: list(rows.values()) for title, rows in shown.items()},
    {
      title: 'Painted by the weights that training began from, and by the '
      f'averaged ones since, from the same noise. {" ".join(lines)}'
      for title, lines in told.items()
    },
  )


def _describe_kept(kept: retention.Kept, name: str) -> str:
  return (
    f'{name}: {"mean" if name else "Mean"} distance of a color, of 1: '
    f"{retention.find_distance(kept):.3g}. Loss on the base's pictures: "
    f'{float(kept.loss):.4g} of the base, {float(kept.loss_after):.4g} now.'
  ).removeprefix(': ')


def _match(
  found: Mapping[str, Sequence[dict[str, Any]]],
) -> list[dict[str, dict[str, Any]]]:
  """Examples of the runs by name, put together where they are the same."""
  alone = len(found) == 1
  groups: list[dict[str, dict[str, Any]]] = []
  for run, examples in found.items():
    for example in examples:
      name = '' if alone else run
      group = next(
        (
          group
          for group in groups
          if name not in group and _is_same(next(iter(group.values())), example)
        ),
        None,
      )
      if group is None:
        groups.append(group := {})
      group[name] = example
  return groups


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
  """Whether two were asked the same about the same picture.

  What a reader saw of a caption's facts is in its prompt, and differs.
  """
  if _cut(one['prompt']) != _cut(other['prompt']):
    return False
  return all(
    (one[key] is None) == (other[key] is None)
    and (one[key] is None or np.array_equal(one[key], other[key]))
    for key in _SAME
  )


def _cut(prompt: str) -> str:
  return prompt.partition(' (seen: ')[0].partition(' (not seen: ')[0]


def _make_example(
  task: base.Task, found: dict[str, dict[str, Any]]
) -> gallery.Example:
  first = next(iter(found.values()))
  asked = first
  if len({example['prompt'] for example in found.values()}) > 1:
    lines = [_cut(first['prompt'])]
    for run, example in found.items():
      facts = example['prompt'].removeprefix(lines[0]).strip()
      lines += [f'{run}: {facts}'] if facts else []
    asked = {**first, 'prompt': '\n'.join(lines)}
  if task.value is None:
    given = {run: answers.Answer(e['painted']) for run, e in found.items()}
    return answers.make_example(task, asked, given)
  spec = _read_prompt(task, first['prompt'])
  given = {
    run: answers.Answer(
      example['painted'],
      outputs.decode_value(task, example['painted'], example['aux']),
      None if spec is None else _measure(task, spec, example['painted']),
    )
    for run, example in found.items()
  }
  truth = outputs.decode_value(task, first['target'], first['aux'])
  names, colors = ([], []) if spec is None else spec.make_legend()
  key = [(name, tuple(color)) for name, color in zip(names, colors)]
  return answers.make_example(task, asked, given, truth, key)


def _read_prompt(task: base.Task, prompt: str):
  """What the reader of any generator's pictures knows of it; None if nothing.

  It alone has names for colors, and a confidence.
  """
  if task.reader is None:
    return None
  try:
    return task.reader.read_prompt(prompt)
  except UserError:
    return None


def _measure(task: base.Task, spec, painted: np.ndarray) -> np.ndarray | None:
  """How sure the reader is of each pixel; None where it always is."""
  painted = np.asarray(painted, np.float32)
  confidence = task.reader.decode(spec, painted, Settings()).confidence
  return None if np.min(confidence) == 1.0 else confidence
