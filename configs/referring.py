"""What a phrase means in photographs, from sentences of annotators.

Purpose: referring expressions of RefCOCO's kind, with objects of the same
  photographs beside them, and scenes so that nothing is forgotten.
Command: vbanana prepare refcoco refer/data --annotations refcocog
    --out data/refcocog
  vbanana prepare coco coco --split train2017 --out data/coco
    --exclude-benchmark refcocog_umd_val_referring=refer/data
    --exclude-benchmark refcocog_umd_val_referring:test=refer/data
  vbanana train --config referring --workdir runs/referring
    --config.init_from=runs/hour/tune
    --config.sources.refcocog.path=data/refcocog
    --config.sources.coco.path=data/coco
  Without COCO: --config.mixture.instance@coco=0
Hardware: 2 CPU cores and 4 GB for a try; docs/pods.md for a result.
Expect: not run yet. Pictures that RefCOCOg asks about in val and test are in
  COCO's train2017: leave them out, as above, before you report a score.
"""

from vbanana_jax.configs import base

SCENES = {'depth': 1, 'normals': 1, 'semantic': 1, 'instance': 1}


def get_config(arg: str = ''):
  words = base.parse_arg(arg, ('smoke',))
  config = base.get_base()
  for name in ('refcocog', 'coco'):
    config.sources[name] = base.make_source('records', style='numbers')
    # Left and right are swapped in the sentences, too. Colors stay.
    config.sources[name].augment.update({'crop_scale': (0.6, 1.0), 'flip': 0.5})
  config.mixture.update(SCENES)
  config.mixture.referring = 2.0
  config.mixture['referring@refcocog'] = 8.0
  config.mixture['instance@coco'] = 4.0
  config.data.short_text_length = 30
  config.data.text_length = 80
  config.length = '200_000 examples'
  return base.make_smoke(config) if 'smoke' in words else config
