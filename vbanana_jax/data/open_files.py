"""How many shards a process may hold open."""

import resource

from vbanana_jax.errors import UserError

# What the rest of a process opens: libraries, logs, checkpoints, sockets.
_OTHERS = 256


def allow_open_files(count: int, name: str) -> None:
  """Lets this process hold `count` shards open, as shuffled reading does.

  The usual limit of 1,024 files is a soft one; without this, shards beyond it
  would look like damaged ones.

  Args:
    count: shards.
    name: of the data, for the error.

  Raises:
    UserError: the system allows fewer.
  """
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  needed = count + _OTHERS
  if soft == resource.RLIM_INFINITY or soft >= needed:
    return
  if hard != resource.RLIM_INFINITY and hard < needed:
    raise UserError(
      f'{name!r} has {count} shards, which stay open, and this process may '
      f'open {hard} files: have the limit raised (ulimit -Hn), or prepare the '
      'data again in larger shards'
    )
  resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
