"""`python -m vbanana_jax` is `vbanana`."""

import sys

from vbanana_jax.cli import main

sys.exit(main())
