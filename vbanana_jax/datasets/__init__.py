"""Layouts of labeled pictures on disk: the kinds of `vbanana prepare`."""

from vbanana_jax.datasets import kinds

# Name on the command line -> what it is; one file of this folder each.
KINDS: dict[str, kinds.Kind] = {}
