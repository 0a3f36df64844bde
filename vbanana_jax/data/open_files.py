"""How many shards a process may hold open."""

import resource

from vbanana_jax.errors import UserError

# What the rest of a process opens: libraries, logs, checkpoints, sockets.
_OTHERS = 256
# Where the system names no limit it has one all the same.
_PLENTY = 32_768


def allow_open_files(count: int, name: str) -> None:
  """Lets this process hold `count` shards open, as shuffled reading does.

  The usual limit of 1,024 files is a soft one, and shards beyond it would look
  like damaged ones; so it is raised to the hard one, for all data together.

  Args:
    count: shards.
    name: of the data, for the error.

  Raises:
    UserError: the system allows fewer.
  """
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  needed = count + _OTHERS
  most = max(needed, _PLENTY) if hard == resource.RLIM_INFINITY else hard
  if soft != resource.RLIM_INFINITY and soft < most:
    try:
      resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (ValueError, OSError):  # it stays as it is
      most = soft
  if most < needed:
    raise UserError(
      f'{name!r} has {count} shards, which stay open, and this process may '
      f'open {most} files: have the limit raised (ulimit -Hn), or prepare the '
      'data again in larger shards'
    )
