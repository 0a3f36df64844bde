"""Errors that a user can mend: one clear line, an exit code, no traceback."""


class UserError(Exception):
  """A mistake in the user's input; the message names it and its remedy."""

  exit_code = 2


class NonFiniteLossError(UserError):
  """The loss became NaN or infinite; the update was not applied."""

  exit_code = 3


class DiskFullError(UserError):
  """A checkpoint could not be written for want of space."""

  exit_code = 4


class Interrupted(UserError):
  """Ctrl-C or SIGTERM during training; everything up to then is saved."""

  exit_code = 130
