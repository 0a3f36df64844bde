"""Durations in every unit, and mistakes that are named."""

import pytest

from vbanana_jax import durations
from vbanana_jax.errors import UserError


@pytest.mark.parametrize(
  'text,steps',
  [
    ('600 steps', 600),
    ('38_400 examples', 600),
    ('10 percent', 100),
    ('0.01 percent', 1),
  ],
)
def test_units(text, steps):
  found = durations.to_steps(text, batch_size=64, total_steps=1000)
  assert found == steps


@pytest.mark.parametrize(
  'text',
  [
    '600',
    'steps',
    '0 steps',
    '-3 steps',
    '6 hours',
    '',
    'x steps',
    'inf steps',
    'nan steps',
  ],
)
def test_mistakes_are_named(text):
  with pytest.raises(UserError, match='600 steps'):
    durations.to_steps(text, batch_size=64)


def test_a_percentage_needs_a_whole():
  with pytest.raises(UserError, match='percentage of'):
    durations.to_steps('5 percent', batch_size=64)
