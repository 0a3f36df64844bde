"""Several processes as one run: how they find each other, how they end."""

import argparse
import os
import sys
import time

from vbanana_jax.cli import flags
from vbanana_jax.errors import UserError

_WAIT = 300  # seconds for all processes to be there
_GRACE = 3.0  # seconds in which the others make the same mistake


def add_flags(verb: argparse.ArgumentParser) -> None:
  """Adds --distributed, and what stands in for it where nothing is found."""
  group = verb.add_argument_group(
    'several processes',
    'The same command on every host. They all need the same files: put '
    '--workdir and the data on storage that they share.',
  )
  group.add_argument(
    '--distributed',
    action='store_true',
    help='finds the others: on TPU VMs, GKE, Slurm, Open MPI and by '
    "JAX's own environment variables",
  )
  group.add_argument(
    '--coordinator',
    metavar='HOST:PORT',
    help='elsewhere: a free port of the host of process 0',
  )
  group.add_argument(
    '--processes', type=flags.at_least(1), metavar='N', help='how many'
  )
  group.add_argument(
    '--process-id', type=flags.at_least(0), metavar='I', help='0 to N - 1'
  )


def refuse(args: argparse.Namespace, what: str) -> None:
  """Raises UserError where `what`, which one process does, is asked of more."""
  if args.distributed or args.coordinator:
    raise UserError(f'{what} takes one process: leave out the flags of several')


def start(args: argparse.Namespace) -> None:
  """Connects with the other processes, if there are to be any.

  Before anything else of JAX. Afterwards an error of one process ends it at
  once, so that the others notice: Python would wait for them at its end, and
  they for it.

  Raises:
    UserError: flags are missing, or not all processes are there in time.
  """
  place = {
    'coordinator_address': args.coordinator,
    'num_processes': args.processes,
    'process_id': args.process_id,
  }
  given = [value is not None for value in place.values()]
  if not any(given) and not args.distributed:
    return
  if any(given) and (args.distributed or not all(given)):
    raise UserError(
      'several processes need either --distributed, or all of --coordinator, '
      '--processes and --process-id'
    )
  if args.processes is not None and args.process_id >= args.processes:
    raise UserError(
      f'--process-id is {args.process_id}: of {args.processes} processes the '
      f'last one is {args.processes - 1}'
    )

  import jax

  from vbanana_jax import processes

  where = f' at {args.coordinator}' if args.coordinator else ''
  processes.print_stamped(
    f'starting distributed: waits up to {_WAIT} s for all processes{where}'
  )
  if all(given):
    place['cluster_detection_method'] = 'deactivate'
  try:
    jax.distributed.initialize(**place, initialization_timeout=_WAIT)
  except ValueError as error:
    raise UserError(
      f'--distributed found nothing that tells of other processes ({error}): '
      'give --coordinator, --processes and --process-id'
    ) from error
  except RuntimeError as error:
    raise UserError(
      f'the processes of this run did not all come together: {error}'
    ) from error
  sys.excepthook = _end_with_traceback
  processes.say(
    f'{jax.process_count()} processes with {jax.device_count()} devices, '
    f'{jax.local_device_count()} of them here'
  )


def leave(exit_code: int) -> None:
  """Ends one of several connected processes now; else returns.

  What it ends with is its own. The others fail at their next exchange with
  it, or are ended by JAX 100 seconds later.
  """
  import jax

  if not jax.distributed.is_initialized() or jax.process_count() == 1:
    return
  sys.stdout.flush()
  sys.stderr.flush()
  if jax.process_index() == 0:
    # Without it, JAX ends the others before they can say what they found.
    time.sleep(_GRACE)
  os._exit(exit_code)


def _end_with_traceback(kind, error, trace) -> None:
  sys.__excepthook__(kind, error, trace)
  leave(1)
