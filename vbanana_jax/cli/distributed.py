"""Several processes as one run: how they find each other, how they end."""

import argparse
import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from vbanana_jax.cli import flags
from vbanana_jax.errors import UserError

_WAIT = 300  # seconds for all processes to be there
_PAUSE = 1.0  # seconds between looks for the first one
_LEFT = 60  # seconds that JAX would wait longer: it ends in a stack of C++
_PROXIES = ('grpc_proxy', 'http_proxy', 'https_proxy', 'all_proxy')
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


def start(args: argparse.Namespace, *, saves: bool) -> None:
  """Connects with the other processes, if there are to be any.

  Before anything else of JAX. Afterwards an error of one process ends it at
  once, so that the others notice: Python would wait for them at its end, and
  they for it.

  Args:
    args: with the flags of `add_flags`.
    saves: the verb asks for SIGTERM and saves (`stopping.Preemption`); else
      the signal ends the process, as it does without JAX.

  Raises:
    UserError: flags are missing or wrong, or nobody answers.
  """
  place = _find_place(args)
  if place is None:
    return

  import jax

  from vbanana_jax.runtime import processes

  where = f' at {args.coordinator}' if args.coordinator else ''
  processes.print_stamped(
    f'starting distributed: waits up to {_WAIT} s for all processes{where}'
  )
  if args.coordinator:
    host, port = _split(args.coordinator)
    _look_for_first(host, port, is_here=args.process_id == 0)
  jax.config.update('jax_enable_preemption_service', saves)
  try:
    with _end_after(_WAIT, where), _without_proxies():
      jax.distributed.initialize(**place, initialization_timeout=_WAIT + _LEFT)
  except ValueError as error:
    raise UserError(
      f'--distributed found nothing that tells of other processes ({error}): '
      'give --coordinator, --processes and --process-id'
    ) from error
  except RuntimeError as error:
    raise UserError(
      f'the processes of this run did not all come together: {error}'
    ) from error
  sys.excepthook = _end_with_error
  processes.log(
    f'{jax.process_count()} processes with {jax.device_count()} devices, '
    f'{jax.local_device_count()} of them here'
  )


def _find_place(args: argparse.Namespace) -> dict[str, Any] | None:
  """Arguments of `jax.distributed.initialize`; None for a single process.

  Raises:
    UserError: flags are missing or wrong.
  """
  place = {
    'coordinator_address': args.coordinator,
    'num_processes': args.processes,
    'process_id': args.process_id,
  }
  given = [value is not None for value in place.values()]
  if not any(given):
    return place if args.distributed else None
  if args.distributed or not all(given):
    raise UserError(
      'several processes need either --distributed, or all of --coordinator, '
      '--processes and --process-id'
    )
  if args.process_id >= args.processes:
    raise UserError(
      f'--process-id is {args.process_id}: of {args.processes} processes the '
      f'last one is {args.processes - 1}'
    )
  _split(args.coordinator)
  return {**place, 'cluster_detection_method': 'deactivate'}


def _split(coordinator: str) -> tuple[str, int]:
  host, _, port = coordinator.rpartition(':')
  if not (host and port.isdecimal() and 0 < int(port) < 2**16):
    raise UserError(
      f'--coordinator is {coordinator!r}, not HOST:PORT, like 10.0.0.2:8476'
    )
  return host.strip('[]'), int(port)


def _look_for_first(host: str, port: int, *, is_here: bool) -> None:
  """Returns once process 0 answers; on itself, once its port can be used.

  JAX would wait as long, and then end in a stack of C++.
  """
  end = time.monotonic() + _WAIT
  while True:
    try:
      if is_here:
        socket.getaddrinfo(host, port)
        with socket.socket() as free:
          free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
          free.bind(('', port))
      else:
        socket.create_connection((host, port), timeout=10).close()
      return
    except OSError as error:
      if time.monotonic() < end and not is_here:
        time.sleep(_PAUSE)
        continue
      told = error.strerror or error
      if is_here:
        raise UserError(
          f'--coordinator {host}:{port} cannot be that of process 0 ({told}): '
          'name its host, and a port that is free there'
        ) from error
      raise UserError(
        f'nobody answers at --coordinator {host}:{port} ({told}): is process 0 '
        'running, and is its port open?'
      ) from error


@contextlib.contextmanager
def _end_after(seconds: float, where: str) -> Iterator[None]:
  """Ends this process in one line, unless what is within ends before."""

  def end():
    print(
      f'vbanana: not all processes of this run came together{where} within '
      f'{seconds} s: start the same command on every host, with its own '
      '--process-id where that is given',
      file=sys.stderr,
      flush=True,
    )
    os._exit(UserError.exit_code)

  timer = threading.Timer(seconds, end)
  timer.start()
  try:
    yield
  finally:
    timer.cancel()


@contextlib.contextmanager
def _without_proxies() -> Iterator[None]:
  """Processes of one run speak with each other directly.

  gRPC would ask the proxy of `http_proxy` even for this machine, and wait.
  """
  kept = {
    name: os.environ.pop(name)
    for name in list(os.environ)
    if name.lower() in _PROXIES
  }
  try:
    yield
  finally:
    os.environ.update(kept)


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


def _end_with_error(kind, error, trace) -> None:
  from vbanana_jax.runtime import processes

  if processes.is_peer_failure(error):
    told = str(error).partition('\n')[0]
    print(
      f'vbanana: another process of this run ended ({told}): see its output, '
      'and run the same command again; training goes on from the last '
      'checkpoint',
      file=sys.stderr,
    )
  else:
    sys.__excepthook__(kind, error, trace)
  leave(1)
