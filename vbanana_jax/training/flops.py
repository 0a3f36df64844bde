"""FLOPs of a training step by hand, and what a device can do at most.

Matrix products alone are counted, from a config.
"""

from collections.abc import Mapping
from typing import Any

import jax

from vbanana_jax import families

# Dense bfloat16 FLOPs a second of one device, by JAX's name of its kind.
# TPUs: cloud.google.com/tpu/docs/v4, /v5e, /v5p and /v6e, key chip
# specifications; GPUs: data sheets of NVIDIA's A100, H100 SXM and H200 SXM,
# without sparsity. Names that JAX gives to other shapes of these are left out.
PEAKS = {
  'TPU v4': 275e12,
  'TPU v5 lite': 197e12,
  'TPU v5': 459e12,
  'TPU v6 lite': 918e12,
  'NVIDIA A100-SXM4-40GB': 312e12,
  'NVIDIA A100-SXM4-80GB': 312e12,
  'NVIDIA H100 80GB HBM3': 989.4e12,
  'NVIDIA H200': 989.4e12,
}


def find_peak(mesh: jax.sharding.Mesh) -> float | None:
  """FLOPs a second of all devices of a mesh; None where not known."""
  peak = PEAKS.get(mesh.devices.flat[0].device_kind)
  return peak and peak * mesh.size


def count_step_flops(
  config: Mapping[str, Any], text_length: int | None = None
) -> families.StepFlops:
  """FLOPs of a step of `config['batch_size']` examples.

  Args:
    config: see `configs/base.py`.
    text_length: tokens that the batch is padded to; `data.text_length` if not
      given.
  """
  family = families.get_family(config['model'])
  return family.count_step_flops(
    config, text_length or config['data']['text_length']
  )
