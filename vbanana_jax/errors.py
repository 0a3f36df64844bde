"""Errors that a user can mend: one clear line, an exit code, no traceback."""

import errno
import os

# Of a disk, or of the share of it that a user may take.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_disk_full(error: BaseException) -> bool:
  """Whether an error, or the text of a library's, says so."""
  number, text = getattr(error, 'errno', None), str(error)
  return number in DISK_FULL or any(os.strerror(k) in text for k in DISK_FULL)


class UserError(Exception):
  """A mistake in the user's input; the message names it and its remedy."""

  exit_code = 2


class NonFiniteLossError(UserError):
  """The loss became NaN or infinite; the update was not applied."""

  exit_code = 3


class SaveError(UserError):
  """A checkpoint could not be written; the ones before it stay good."""

  exit_code = 4


class DiskFullError(SaveError):
  """A checkpoint, or any other file, could not be written for want of space."""


class DamagedError(UserError):
  """A file of a checkpoint is missing, cut short, or has other bytes."""

  exit_code = 5


class Interrupted(UserError):
  """Ctrl-C during training; everything up to then is saved."""

  exit_code = 130


class Preempted(Interrupted):
  """SIGTERM during training; everything up to then is saved.

  75 is what sendmail's list of exit codes (sysexits.h) calls a temporary
  failure: try again. A process that SIGTERM killed before it could save shows
  143 in a shell, so that a script can tell the two apart.
  """

  exit_code = 75


class TextStatesEnd(Interrupted):
  """A cache of text states ended before the training; all is saved."""

  exit_code = UserError.exit_code  # somebody has to act

  def __str__(self) -> str:
    told = 'once vbanana cache has filled config.model.text_cache further'
    return f'{super().__str__()}, {told}'
