"""Readers: the on-disk formats of published benchmarks, one file each."""

from vbanana_jax.benchmark.readers import base
from vbanana_jax.benchmark.readers.base import Item, Reader
from vbanana_jax.benchmark.readers.cityscapes import Cityscapes
from vbanana_jax.benchmark.readers.diode import DiodeDepth, DiodeNormals
from vbanana_jax.benchmark.readers.dsine import Dsine
from vbanana_jax.benchmark.readers.eth3d import Eth3d
from vbanana_jax.benchmark.readers.ibims1 import Ibims1
from vbanana_jax.benchmark.readers.kitti import KittiEigen, KittiOfficial
from vbanana_jax.benchmark.readers.labeled_records import (
  DepthRecords,
  InstanceRecords,
  NormalsRecords,
  ReferringRecords,
  SemanticRecords,
)
from vbanana_jax.benchmark.readers.nuscenes import NuScenes
from vbanana_jax.benchmark.readers.nyuv2 import NyuV2
from vbanana_jax.benchmark.readers.reasonseg import ReasonSeg
from vbanana_jax.benchmark.readers.refcoco import (
  RefCoco,
  RefCocoG,
  RefCocoPlus,
)
from vbanana_jax.benchmark.readers.saco import SacoGold
from vbanana_jax.benchmark.readers.vkitti2 import VirtualKitti2

# Name in a protocol file -> class.
READERS: dict[str, type[base.FolderReader]] = {
  'nyuv2': NyuV2,
  'kitti': KittiEigen,
  'kitti_official': KittiOfficial,
  'eth3d': Eth3d,
  'ibims1': Ibims1,
  'diode': DiodeDepth,
  'diode_normals': DiodeNormals,
  'nuscenes': NuScenes,
  'vkitti2': VirtualKitti2,
  'dsine': Dsine,
  'cityscapes': Cityscapes,
  'refcoco': RefCoco,
  'refcoco_plus': RefCocoPlus,
  'refcocog': RefCocoG,
  'reasonseg': ReasonSeg,
  'saco_gold': SacoGold,
  'records_depth': DepthRecords,
  'records_normals': NormalsRecords,
  'records_semantic': SemanticRecords,
  'records_referring': ReferringRecords,
  'records_instance': InstanceRecords,
}

__all__ = ['READERS', 'Item', 'Reader']
