"""What a generator is worth: means over seeds, and differences of one seed."""

import pytest

from perf import evidence


def test_an_interval_is_student_s():
  assert evidence.find_quantile(4) == pytest.approx(2.776, abs=1e-3)
  found = evidence.find_interval([1.0, 2.0, 3.0])
  assert found['median'] == 2.0
  assert found['max'] - 2.0 == pytest.approx(4.303 / 3**0.5, abs=1e-3)


def test_differences_are_of_the_same_seed():
  names = (evidence.GENERATOR, evidence.TUNED, *evidence.RIVALS)
  scores = {
    name: {str(seed): {'depth delta1': 0.5 + seed} for seed in range(11)}
    for name in names
  }
  for row in scores[evidence.TUNED].values():
    row['depth delta1'] += 0.25
  tables = evidence.make_tables(scores)
  for name in evidence.RIVALS:
    gain = tables['gain'][name]['depth delta1']
    assert set(gain.values()) == {0.25}
  assert tables['generator'][evidence.TUNED] == {}


def test_a_training_alone_has_the_examples_of_both():
  both = evidence.RIVALS['random, as many examples']
  assert evidence._count_examples(both) == 3_456 + 26_880
