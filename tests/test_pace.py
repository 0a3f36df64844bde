"""How long a run will take: a fake clock, and a training that says it."""

import pytest

from vbanana_jax.runtime import pace


def look_at(total, step_s, *, platform='cpu', start=0, first_s=50.0):
  """Looks at all steps of a run, the first of which is slow."""
  forecast = pace.Pace(total, platform)
  seconds = 1e4 if start else 0.0  # a run that goes on has its earlier time
  for step in range(start + 1, total + 1):
    forecast.look(step, seconds)
    seconds += first_s if step == start + 1 else step_s


def test_a_long_run_is_told_once_after_its_first_steps(capsys):
  look_at(842, 1.5)
  (line,) = capsys.readouterr().err.splitlines()
  # Ten steps are given to the device then, and the first does not count.
  assert '832 steps of 1.5 s are to come: about 21 minutes on this CPU' in line
  assert "--config.length='400 steps'" in line and '--smoke' in line


def test_very_slow_steps_are_told_of_sooner(capsys):
  look_at(103, 90.0)
  (line,) = capsys.readouterr().err.splitlines()
  assert '100 steps of 90 s are to come: about 150 minutes' in line
  assert "--config.length='7 steps'" in line


def test_a_run_that_goes_on_is_told_of_what_is_left(capsys):
  look_at(842, 1.5, start=400)
  assert ' 432 steps of 1.5 s ' in capsys.readouterr().err
  look_at(842, 1.5, start=500)  # not long any more
  assert not capsys.readouterr().err


@pytest.mark.parametrize(
  'step_s, platform', [(0.5, 'cpu'), (9.0, 'gpu'), (9.0, 'tpu')]
)
def test_short_runs_and_accelerators_are_not_spoken_of(
  step_s, platform, capsys
):
  look_at(842, step_s, platform=platform)
  assert not capsys.readouterr().err


def test_a_training_says_it_above_its_bar(trainings, whole_run, tmp_path):
  del whole_run  # compiled already: the same program
  code, error = trainings.run(tmp_path / 'slow', fault='call_every_run_long')
  assert code == 0
  (line,) = [x for x in error.splitlines() if 'are to come' in x]
  assert '2 steps of ' in line and 'on this CPU' in line
