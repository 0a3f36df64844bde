"""Depth in the color maps of everyday plots: grey, viridis, plasma, inferno.

Linear in depth from `near_m` (the dark end) to `far_m` (the bright end): the
paper paints depth in these maps too, but does not say how it is normalized.
A painting tells depth only to who knows both ends. With near_m > far_m, near
is bright.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

Meters = Real[ArrayLike, '']

# 256 colors a map, six hexadecimal digits each. Public domain (CC0): N. Smith
# and S. van der Walt, https://bids.github.io/colormap.
_VIRIDIS = """
  44015444025645045745055946075a46085c460a5d460b5e470d60470e61471063471164471365
  48146748166848176948186a481a6c481b6d481c6e481d6f481f70482071482173482374482475
  482576482677482878482979472a7a472c7a472d7b472e7c472f7d46307e46327e46337f463480
  453581453781453882443983443a83443b84433d84433e85423f85424086424186414287414487
  4045884046883f47883f48893e49893e4a893e4c8a3d4d8a3d4e8a3c4f8a3c508b3b518b3b528b
  3a538b3a548c39558c39568c38588c38598c375a8c375b8d365c8d365d8d355e8d355f8d34608d
  34618d33628d33638d32648e32658e31668e31678e31688e30698e306a8e2f6b8e2f6c8e2e6d8e
  2e6e8e2e6f8e2d708e2d718e2c718e2c728e2c738e2b748e2b758e2a768e2a778e2a788e29798e
  297a8e297b8e287c8e287d8e277e8e277f8e27808e26818e26828e26828e25838e25848e25858e
  24868e24878e23888e23898e238a8d228b8d228c8d228d8d218e8d218f8d21908d21918c20928c
  20928c20938c1f948c1f958b1f968b1f978b1f988b1f998a1f9a8a1e9b8a1e9c891e9d891f9e89
  1f9f881fa0881fa1881fa1871fa28720a38620a48621a58521a68522a78522a88423a98324aa83
  25ab8225ac8226ad8127ad8128ae8029af7f2ab07f2cb17e2db27d2eb37c2fb47c31b57b32b67a
  34b67935b77937b87838b9773aba763bbb753dbc743fbc7340bd7242be7144bf7046c06f48c16e
  4ac16d4cc26c4ec36b50c46a52c56954c56856c66758c7655ac8645cc8635ec96260ca6063cb5f
  65cb5e67cc5c69cd5b6ccd5a6ece5870cf5773d05675d05477d1537ad1517cd2507fd34e81d34d
  84d44b86d54989d5488bd6468ed64590d74393d74195d84098d83e9bd93c9dd93ba0da39a2da37
  a5db36a8db34aadc32addc30b0dd2fb2dd2db5de2bb8de29bade28bddf26c0df25c2df23c5e021
  c8e020cae11fcde11dd0e11cd2e21bd5e21ad8e219dae319dde318dfe318e2e418e5e419e7e419
  eae51aece51befe51cf1e51df4e61ef6e620f8e621fbe723fde725
"""
_PLASMA = """
  0d088710078813078916078a19068c1b068d1d068e20068f2206902406912605912805922a0593
  2c05942e05952f059631059733059735049837049938049a3a049a3c049b3e049c3f049c41049d
  43039e44039e46039f48039f4903a04b03a14c02a14e02a25002a25102a35302a35502a45601a4
  5801a45901a55b01a55c01a65e01a66001a66100a76300a76400a76600a76700a86900a86a00a8
  6c00a86e00a86f00a87100a87201a87401a87501a87701a87801a87a02a87b02a87d03a87e03a8
  8004a88104a78305a78405a78606a68707a68808a68a09a58b0aa58d0ba58e0ca48f0da4910ea3
  920fa39410a29511a19613a19814a099159f9a169f9c179e9d189d9e199da01a9ca11b9ba21d9a
  a31e9aa51f99a62098a72197a82296aa2395ab2494ac2694ad2793ae2892b02991b12a90b22b8f
  b32c8eb42e8db52f8cb6308bb7318ab83289ba3388bb3488bc3587bd3786be3885bf3984c03a83
  c13b82c23c81c33d80c43e7fc5407ec6417dc7427cc8437bc9447aca457acb4679cc4778cc4977
  cd4a76ce4b75cf4c74d04d73d14e72d24f71d35171d45270d5536fd5546ed6556dd7566cd8576b
  d9586ada5a6ada5b69db5c68dc5d67dd5e66de5f65de6164df6263e06363e16462e26561e26660
  e3685fe4695ee56a5de56b5de66c5ce76e5be76f5ae87059e97158e97257ea7457eb7556eb7655
  ec7754ed7953ed7a52ee7b51ef7c51ef7e50f07f4ff0804ef1814df1834cf2844bf3854bf3874a
  f48849f48948f58b47f58c46f68d45f68f44f79044f79143f79342f89441f89540f9973ff9983e
  f99a3efa9b3dfa9c3cfa9e3bfb9f3afba139fba238fca338fca537fca636fca835fca934fdab33
  fdac33fdae32fdaf31fdb130fdb22ffdb42ffdb52efeb72dfeb82cfeba2cfebb2bfebd2afebe2a
  fec029fdc229fdc328fdc527fdc627fdc827fdca26fdcb26fccd25fcce25fcd025fcd225fbd324
  fbd524fbd724fad824fada24f9dc24f9dd25f8df25f8e125f7e225f7e425f6e626f6e826f5e926
  f5eb27f4ed27f3ee27f3f027f2f227f1f426f1f525f0f724f0f921
"""
_INFERNO = """
  00000401000501010601010802010a02020c02020e03021004031204031405041706041907051b
  08051d09061f0a07220b07240c08260d08290e092b10092d110a30120a32140b34150b37160b39
  180c3c190c3e1b0c411c0c431e0c451f0c48210c4a230c4c240c4f260c51280b53290b552b0b57
  2d0b592f0a5b310a5c320a5e340a5f3609613809623909633b09643d09653e0966400a67420a68
  440a68450a69470b6a490b6a4a0c6b4c0c6b4d0d6c4f0d6c510e6c520e6d540f6d550f6d57106e
  59106e5a116e5c126e5d126e5f136e61136e62146e64156e65156e67166e69166e6a176e6c186e
  6d186e6f196e71196e721a6e741a6e751b6e771c6d781c6d7a1d6d7c1d6d7d1e6d7f1e6c801f6c
  82206c84206b85216b87216b88226a8a226a8c23698d23698f2469902568922568932667952667
  9727669827669a28659b29649d29649f2a63a02a63a22b62a32c61a52c60a62d60a82e5fa92e5e
  ab2f5ead305dae305cb0315bb1325ab3325ab43359b63458b73557b93556ba3655bc3754bd3853
  bf3952c03a51c13a50c33b4fc43c4ec63d4dc73e4cc83f4bca404acb4149cc4248ce4347cf4446
  d04545d24644d34743d44842d54a41d74b3fd84c3ed94d3dda4e3cdb503bdd513ade5238df5337
  e05536e15635e25734e35933e45a31e55c30e65d2fe75e2ee8602de9612bea632aeb6429eb6628
  ec6726ed6925ee6a24ef6c23ef6e21f06f20f1711ff1731df2741cf3761bf37819f47918f57b17
  f57d15f67e14f68013f78212f78410f8850ff8870ef8890cf98b0bf98c0af98e09fa9008fa9207
  fa9407fb9606fb9706fb9906fb9b06fb9d07fc9f07fca108fca309fca50afca60cfca80dfcaa0f
  fcac11fcae12fcb014fcb216fcb418fbb61afbb81dfbba1ffbbc21fbbe23fac026fac228fac42a
  fac62df9c72ff9c932f9cb35f8cd37f8cf3af7d13df7d340f6d543f6d746f5d949f5db4cf4dd4f
  f4df53f4e156f3e35af3e55df2e661f2e865f2ea69f1ec6df1ed71f1ef75f1f179f2f27df2f482
  f3f586f3f68af4f88ef5f992f6fa96f8fb9af9fc9dfafda1fcffa4
"""


def _read_table(digits: str) -> np.ndarray:
  levels = np.frombuffer(bytes.fromhex(digits), np.uint8)
  return levels.reshape(-1, 3).astype(np.float32) / 255.0


# Corners of the curves in RGB [0, 1], float32[corners 3].
TABLES: dict[str, np.ndarray] = {
  'grayscale': np.asarray([[0, 0, 0], [1, 1, 1]], np.float32),
  'viridis': _read_table(_VIRIDIS),
  'plasma': _read_table(_PLASMA),
  'inferno': _read_table(_INFERNO),
}
_UNROLL = 5  # segments searched in one fused pass
_DOUBTFUL = 8.0  # levels from the map that halve the confidence
_LARGEST = 1e15  # a channel beyond it is no color; its square is finite


def encode(
  depth_m: Float[ArrayLike, '...'], name: str, near_m: Meters, far_m: Meters
) -> Float[Array, '... 3']:
  """Paints depth in meters as RGB in [0, 1] in the map `name`.

  Depth outside of the range gets the color of the nearer end (+inf that of
  the larger); NaN is painted as `near_m` (mask it). Raises KeyError for a
  name not in `TABLES`.

  Source: Vision Banana, depth augmentation (names only); the range is ours.
  """
  table = jnp.asarray(TABLES[name])
  depth_m = jnp.asarray(depth_m, jnp.float32)
  near_m, far_m = (jnp.asarray(x, jnp.float32) for x in (near_m, far_m))
  low, high = jnp.minimum(near_m, far_m), jnp.maximum(near_m, far_m)
  depth_m = jnp.clip(jnp.where(jnp.isnan(depth_m), near_m, depth_m), low, high)
  span = jnp.where(far_m == near_m, 1.0, far_m - near_m)
  place = (depth_m - near_m) / span * (len(table) - 1)
  k = jnp.clip(place.astype(jnp.int32), 0, len(table) - 2)
  along = (place - k)[..., None]
  return (1.0 - along) * table[k] + along * table[k + 1]


def _foot(point, start, step):
  """Nearest point of a segment: its place in [0, 1] and squared distance."""
  length = sum(x * x for x in step)
  # Neighbors of a table may be equal: a segment of no length.
  inverse = jnp.where(length > 0.0, 1.0 / jnp.maximum(length, 1e-12), 0.0)
  offset = [p - a for p, a in zip(point, start)]
  along = sum(o * x for o, x in zip(offset, step)) * inverse
  along = jnp.clip(along, 0.0, 1.0)
  squared = sum(jnp.square(o - along * x) for o, x in zip(offset, step))
  return along, squared


def _search(point, table):
  """Number of the nearest segment, the lowest of equal ones."""

  def visit(best, segment):
    found, nearest = best
    k, start, step = segment
    _, squared = _foot(point, start, step)
    nearer = squared < nearest
    return (
      jnp.where(nearer, k, found),
      jnp.where(nearer, squared, nearest),
    ), None

  segments = len(table) - 1
  (found, _), _ = jax.lax.scan(
    visit,
    (
      jnp.zeros(point[0].shape, jnp.int32),
      jnp.full(point[0].shape, jnp.inf),
    ),
    (
      jnp.arange(segments, dtype=jnp.int32),
      table[:-1],
      jnp.diff(table, axis=0),
    ),
    unroll=min(_UNROLL, segments),
  )
  return found


def _project(rgb, name):
  """Place on the curve in [0, 1] and squared distance from it."""
  rgb = jnp.asarray(rgb, jnp.float32)
  table = jnp.asarray(TABLES[name])
  usable = jnp.all(jnp.abs(rgb) < _LARGEST, axis=-1)
  point = jnp.moveaxis(jnp.where(usable[..., None], rgb, 0.0), -1, 0)
  # The gradient goes along the segment that was found, not to the search.
  found = _search(jax.lax.stop_gradient(point), table)
  step = jnp.diff(table, axis=0)
  start, step = (jnp.moveaxis(x[found], -1, 0) for x in (table[:-1], step))
  along, squared = _foot(point, start, step)
  place = (found + along) / (len(table) - 1)
  return (
    jnp.where(usable, place, jnp.nan),
    jnp.where(usable, squared, jnp.inf),
  )


def decode(
  rgb: Float[ArrayLike, '... 3'], name: str, near_m: Meters, far_m: Meters
) -> Float[Array, '...']:
  """Reads depth in meters from RGB in [0, 1], painted in the map `name`.

  Colors off the curve are projected on it, a tie goes to the dark end; a
  color with a channel that is NaN, infinite or beyond 1e15 is NaN. Raises
  KeyError for a name not in `TABLES`.

  Source: inverse of `encode`.
  """
  place, _ = _project(rgb, name)
  near_m, far_m = (jnp.asarray(x, jnp.float32) for x in (near_m, far_m))
  # Exact at both ends, and never outside of them.
  return (1.0 - place) * near_m + place * far_m


def residual(rgb: Float[ArrayLike, '... 3'], name: str) -> Float[Array, '...']:
  """Euclidean distance of a color from the map's curve, RGB [0, 1] units.

  Infinite where a channel is NaN, infinite or beyond 1e15.
  """
  _, squared = _project(rgb, name)
  on_curve = squared <= 0.0
  distance = jnp.sqrt(jnp.where(on_curve, 1.0, squared))
  return jnp.where(on_curve, 0.0, distance)


def confidence(
  rgb: Float[ArrayLike, '... 3'], name: str
) -> Float[Array, '...']:
  """How near a color is to the map: 1 on it, 1/2 at 8 levels, towards 0.

  It orders pixels and is no probability, unlike `depth.confidence`: what an
  error means depends on the range. 0 where a channel is NaN.

  Source: ours.
  """
  levels = 255.0 * residual(rgb, name)
  return 1.0 / (1.0 + jnp.square(levels / _DOUBTFUL))
