"""All seven tasks from public data sets and scenes, for a pod.

Purpose: the mixture that we would begin with. Every source is a folder that
  `vbanana prepare` made; docs/labeled_data.md tells the kinds. Leave out what
  you do not have: --config.mixture.semantic@ade20k=0 for each of its tasks.

  source     kind       pictures       on disk   terms
  coco       coco       118 thousand   19 GB     photographs: Flickr's terms;
                                                 annotations: CC BY 4.0
  refcocog   refcoco    22 thousand    of COCO   as COCO
  ade20k     ade20k     20 thousand    1 GB      research and education only
  cityscapes cityscapes 3 thousand     12 GB     research only, registration
  hypersim   hypersim   75 thousand    1.9 TB    CC BY-SA 3.0
  vkitti2    vkitti2    43 thousand    15 GB     CC BY-NC-SA 3.0
  nyuv2      nyuv2      795            3 GB      not stated

  The sizes are those of the downloads, as their makers state them. How long
  preparation takes is not known. Leave the pictures of a benchmark out of what
  you train on (--exclude-benchmark). Networks trained on research sets may not
  be free to use for other ends: read the terms.
Command: vbanana train --config pod_public --workdir runs/public
    --config.init_from=runs/pod/pretrain
    --config.sources.coco.path=data/coco ... one for each
Hardware: as configs/pod.py; docs/pods.md. All hosts need the folders.
Expect: not run yet; no scores. The weights are guesses: half of the examples
  are scenes', which alone are exact in every pixel.
"""

from vbanana_jax.configs import base, pod

# Source -> what it is asked, at which weight.
PUBLIC = {
  'coco': {'generate': 3, 'semantic': 2, 'instance': 6},
  'refcocog': {'referring': 5},
  'ade20k': {'semantic': 3},
  'cityscapes': {'semantic': 1, 'instance': 1},
  'hypersim': {'depth': 2, 'normals': 2},
  'vkitti2': {'depth': 1},
  'nyuv2': {'depth': 1},
}


def get_config(arg: str = ''):
  words = base.parse_arg(arg, ('smoke',))
  config = pod.get_config('tune')
  for name, weights in PUBLIC.items():
    config.sources[name] = base.make_source(
      'records', style='numbers', most_classes=40
    )
    config.sources[name].augment.update({'crop_scale': (0.5, 1.0), 'flip': 0.5})
    for task, weight in weights.items():
      config.mixture[f'{task}@{name}'] = float(weight)
  # Forty names and colors in numbers. All batches have this length, so that
  # each process makes its own rows alone.
  config.model.max_text = 720
  config.data.text_length = config.model.max_text
  return base.make_smoke(config) if 'smoke' in words else config
