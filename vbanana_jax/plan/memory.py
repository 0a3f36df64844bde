"""Where the bytes of a training step go."""

import dataclasses

from vbanana_jax.plan.programs import Program, Programs, count_bytes


@dataclasses.dataclass(frozen=True)
class Memory:
  """Bytes a chip of a training step.

  Attributes:
    parameters: weights.
    averaged: their running average.
    optimizer: moments.
    frozen: parts of the network that are not trained.
    batch: examples.
    padding: that the tiles of the layout add to all of these.
    activations: of the temporaries, what grows with the batch; None unless
      a second batch was compiled.
    temporaries: the rest: gradients, gathered weights, orthogonalization.
    code: the program.
    total: all of them.
    limit: what the chip has for a program.
  """

  parameters: float
  averaged: float
  optimizer: float
  frozen: float
  batch: float
  padding: float
  activations: float | None
  temporaries: float
  code: float
  total: float
  limit: float


def make_memory(
  programs: Programs, step: Program, slope: float | None
) -> Memory:
  """Where the bytes of a training step go.

  Args:
    programs: of the config.
    step: its training step, compiled.
    slope: bytes a chip that one more example costs; None if not known.
  """
  state = programs.state
  parameters, averaged, optimizer, frozen = (
    float(count_bytes(tree))
    for tree in (state.params, state.ema_params, state.opt_state, state.frozen)
  )
  batch = float(count_bytes(programs.make_batch(programs.config['batch_size'])))
  activations = None
  if slope is not None:
    grown = slope * programs.config['batch_size'] - batch
    activations = min(max(grown, 0.0), step.temporaries)
  return Memory(
    parameters=parameters,
    averaged=averaged,
    optimizer=optimizer,
    frozen=frozen,
    batch=batch,
    padding=(
      step.arguments - parameters - averaged - optimizer - frozen - batch
    ),
    activations=activations,
    temporaries=step.temporaries - (activations or 0.0) + step.results,
    code=step.code,
    total=step.needed,
    limit=programs.topology.chip.hbm_bytes,
  )
