"""Layouts of labeled pictures on disk: the kinds of `vbanana prepare`."""

from vbanana_jax.datasets import (
  ade20k,
  benchmarks,
  cityscapes,
  coco,
  folder,
  image_folder,
  kinds,
  label_folders,
  reasonseg,
  voc,
)

# Name on the command line -> what it is; one file of this folder each.
KINDS: dict[str, kinds.Kind] = {
  'folder': folder.KIND,
  'image_folder': image_folder.KIND,
  'label_folders': label_folders.KIND,
  'coco': coco.KIND,
  'ade20k': ade20k.KIND,
  'voc': voc.KIND,
  'cityscapes': cityscapes.KIND,
  'refcoco': benchmarks.REFCOCO,
  'reasonseg': reasonseg.KIND,
  'benchmark': benchmarks.KIND,
}
