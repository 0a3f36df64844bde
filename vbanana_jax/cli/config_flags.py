"""`--config NAME[:ARG]` and the `--config.key=value` that change it."""

from typing import Any

from vbanana_jax import config as config_lib
from vbanana_jax.data import pairings

_MIXTURE = '--config.mixture.'


def load(name: str, overrides: list[str]) -> dict[str, Any]:
  """A config as plain nested dicts, with what the command line says.

  Sources and keys of the mixture may be new: `--config.sources.mine.kind=` adds
  a source, and `--config.mixture.depth@mine=2` draws from it.

  Raises:
    UserError: names the argument that is wrong.
  """
  config = config_lib.load_config(name)
  config_lib.add_sources(config, overrides)
  for override in overrides:
    key = override.partition('=')[0].removeprefix(_MIXTURE)
    if override.startswith(_MIXTURE) and '@' in key:
      pairings.check_key(key, config.sources)
  keys = pairings.list_keys(config.sources)
  unset = {f'mixture.{key}': 0.0 for key in keys}
  config_lib.apply_overrides(config, overrides, unset)
  return config.to_dict()
