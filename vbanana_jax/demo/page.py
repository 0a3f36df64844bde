"""The page itself, in Gradio: what is where, and which event asks what."""

import os
import random
import sys
import traceback
from collections.abc import Iterable
from typing import Any

from vbanana_jax.demo import shown
from vbanana_jax.demo.asking import (
  MOST_SEED,
  MOST_STEPS,
  Asked,
  Asker,
)
from vbanana_jax.demo.bundles import Bundles
from vbanana_jax.errors import UserError
from vbanana_jax.inference.request import PredictRequest, count_steps
from vbanana_jax.tasks import TASKS

DOWNLOADS = 'answers'  # where the server gives bundles out
# Below the controls of a telephone nobody would see that there is an answer.
_SHOW_ANSWER = """() => {
  const answer = document.querySelector('#answer');
  const {top} = answer.getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) answer.scrollIntoView();
}"""
_EMPTY = '<p class="vb-empty">The answer will be here.</p>'


def import_gradio() -> Any:
  """Gradio, told not to call home; UserError where it is not installed."""
  os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
  os.environ['HF_HUB_DISABLE_TELEMETRY'] = '1'
  try:
    import gradio
  except ImportError as error:
    raise UserError(
      "the demo page needs Gradio: pip install 'vbanana-jax[demo]'"
    ) from error
  return gradio


def build_page(asker: Asker, bundles: Bundles, name: str) -> Any:
  """The page as `gradio.Blocks`.

  Args:
    asker: answers.
    bundles: where files of answers are kept.
    name: of the network, for a person.
  """
  gr = import_gradio()
  tasks = sort_tasks(asker.model.tasks)
  first = tasks[0]
  events = _Events(gr, asker, bundles)
  with gr.Blocks(
    title='vbanana demo',
    analytics_enabled=False,
    fill_width=True,
    delete_cache=(600, 3600),
  ) as page:
    gr.HTML(
      f'<header class="vb-head"><h1>vbanana</h1><p>Ask <b>{name}</b> about a '
      'picture. It paints its answer, and the painting is read.</p></header>'
    )
    with gr.Row(elem_classes='vb-columns'):
      with gr.Column(scale=2, min_width=300):
        photo = build_photo_input(gr)
        scene = gr.Button('Draw a random scene', elem_id='scene', size='sm')
        task = gr.Radio(tasks, value=first, label='Task', elem_id='task')
        words = gr.Textbox(elem_id='words', **describe_words(first))
        ask = gr.Button('Ask', variant='primary', elem_id='ask')
        with gr.Group():
          seed = gr.Number(
            0, label='Seed', precision=0, minimum=0, maximum=MOST_SEED,
            elem_id='seed',
          )  # fmt: skip
          steps = gr.Slider(
            0, MOST_STEPS, value=count_steps(PredictRequest(first)), step=1,
            label='Steps; 0 is one pass', elem_id='steps', buttons=[],
          )  # fmt: skip
      with gr.Column(scale=5, min_width=320):
        answer = gr.HTML(_EMPTY, elem_id='answer', min_height=200)
    scene.click(
      events.draw_scene, None, photo, concurrency_limit=1, api_name='scene'
    )
    task.change(
      events.change_task, task, [words, steps], queue=False, api_name=False
    )
    asks = [ask.click, words.submit]
    gr.on(
      asks,
      events.ask,
      [photo, task, words, seed, steps],
      answer,
      concurrency_limit=1,
      concurrency_id='asker',
      api_name='ask',
    )
    gr.on(asks, None, None, None, js=_SHOW_ANSWER, api_name=False)
  return page.queue(max_size=asker.limits.waiting)


class _Events:
  """What the events of the page do; nothing here belongs to one user."""

  def __init__(self, gr, asker: Asker, bundles: Bundles):
    self._gr, self._asker, self._bundles = gr, asker, bundles

  def ask(self, photo, task, words, seed, steps) -> str:
    try:
      asked = Asked(task, photo, words or '', int(seed or 0), int(steps or 0))
      answered = self._asker.ask(asked)
      link = f'{DOWNLOADS}/{self._bundles.add(answered)}'
      return shown.write_answer(answered, link)
    except UserError as error:
      return shown.write_error(str(error))
    except Exception as error:  # the page must stay, and the terminal tells
      traceback.print_exc(file=sys.stderr)
      return shown.write_error(
        f'the program failed ({type(error).__name__}); its terminal says more'
      )

  def draw_scene(self):
    return self._asker.draw_scene(random.randrange(MOST_SEED))

  def change_task(self, task: str):
    return (
      self._gr.update(**describe_words(task)),
      count_steps(PredictRequest(task)),
    )


def sort_tasks(names: Iterable[str]) -> list[str]:
  """Those that need a picture alone come first, those without one last."""

  def count_needs(name: str) -> tuple[bool, bool, bool]:
    task = TASKS[name]
    needs_words = task.inputs.prompt or task.inputs.most_classes > 0
    return not task.inputs.photo, not task.vision, needs_words

  return sorted((name for name in TASKS if name in names), key=count_needs)


def describe_words(task: str) -> dict[str, Any]:
  """How the field for words looks for a task."""
  inputs = TASKS[task].inputs
  if inputs.prompt:
    label = 'Instruction' if inputs.photo else 'Caption'
  else:
    label = 'Class' if inputs.most_classes == 1 else 'Classes, between commas'
  return {
    'label': label + ' (any if empty)' * (inputs.most_classes == 1),
    'value': inputs.example,
    'visible': bool(inputs.prompt or inputs.most_classes),
  }


def build_photo_input(gr) -> Any:
  """An image input that gives the path of the file and opens nothing.

  Gradio's own reads the file before anybody has looked at its header.
  """
  photo = gr.Image(
    label='Picture',
    type='filepath',
    format='png',
    sources=['upload', 'webcam', 'clipboard'],
    height=230,
    elem_id='photo',
  )
  photo.preprocess = lambda payload: payload and payload.path
  return photo
