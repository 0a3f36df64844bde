"""The renderer against closed forms and a brute-force twin in numpy."""

import functools

import numpy as np
import pytest

from vbanana_jax.scenes import camera, render, world

FULL, QUICK = world.LEVELS['full'], world.LEVELS['quick']
SIZE = 24
GROUND, SKY = world.CLASSES.index('ground'), world.CLASSES.index('sky')


def _scene(encode=(1.5, -0.2, 0.0, 0.9), outdoor=True, **leaves):
  scene = world.sample_scene(FULL, 0, 0, count=0)
  return scene._replace(
    outdoor=np.array(outdoor), camera=np.array(encode, np.float32), **leaves
  )


def _put(scene, name, center, half_extent, yaw=0.3):
  def fill(leaf, value):
    leaf = leaf.copy()
    leaf[0] = value
    return leaf

  return scene._replace(
    count=np.array(1, np.int32),
    class_id=fill(scene.class_id, world.OBJECTS.index(name)),
    center=fill(scene.center, center),
    half_extent=fill(scene.half_extent, half_extent),
    yaw=fill(scene.yaw, yaw),
  )


def _view(scene, height=SIZE, width=SIZE):
  view = render.render_scenes([scene], height, width)
  return render.View(*(leaf[0] for leaf in view))


def _rays(scene, height=SIZE, width=SIZE):
  """World directions (float64) with a depth of 1, at the pixels' centers."""
  right, up, forward = camera.make_axes(scene.camera.astype(np.float64))
  pixel = 2 * np.tan(0.5 * float(scene.camera[3])) / height
  x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
  x, y = pixel * (x - width / 2), pixel * (height / 2 - y)
  return forward + x[..., None] * right + y[..., None] * up


@functools.cache
def _sampled(level, seed=0, number=8):
  scenes = [world.sample_scene(level, seed, i) for i in range(number)]
  return scenes, render.render_scenes(scenes, SIZE, SIZE)


def test_sphere_depth_and_normals_have_their_closed_form():
  center, radius = np.array([0.3, 0.8, 4.0]), 0.8
  scene = _put(_scene(), 'sphere', center, [radius] * 3)
  view, rays = _view(scene), _rays(scene)
  to_eye = np.array([0, scene.camera[0], 0]) - center
  a = (rays**2).sum(-1)
  b = rays @ to_eye
  inside = b * b - a * (to_eye @ to_eye - radius**2)
  hit = view.instance == 1
  np.testing.assert_array_equal(hit, inside > 0)
  assert hit.sum() > 50
  t = (-b - np.sqrt(np.maximum(inside, 0))) / a
  np.testing.assert_allclose(view.depth_m[hit], t[hit], rtol=1e-4)
  normal = (t[..., None] * rays + to_eye) / radius
  axes = camera.make_axes(scene.camera) * [[1], [1], [-1]]
  np.testing.assert_allclose(
    view.normals[hit], (normal @ axes.T)[hit], atol=2e-3
  )


def test_ground_has_its_horizon_and_depth():
  scene = _scene((1.5, -0.2, 0.15, 0.9))
  view, rays = _view(scene), _rays(scene)
  depth_m = -1.5 / np.minimum(rays[..., 1], -1e-9)
  ground = depth_m < 500.0
  np.testing.assert_array_equal(view.semantic == GROUND, ground)
  np.testing.assert_array_equal(view.semantic == SKY, ~ground)
  assert 0.2 < ground.mean() < 0.95
  near = depth_m < 100
  np.testing.assert_allclose(view.depth_m[near], depth_m[near], rtol=1e-4)
  assert np.isposinf(view.depth_m[~ground]).all()
  assert (view.normals[~ground] == 0).all()
  up = camera.make_axes(scene.camera)[:, 1] * [1, 1, -1]
  np.testing.assert_allclose(
    view.normals[ground], np.broadcast_to(up, (ground.sum(), 3)), atol=1e-5
  )


@pytest.mark.parametrize('name', world.OBJECTS)
def test_normals_of_every_class_are_unit_and_face_the_viewer(name):
  half = 2 * world.HALF_EXTENT_M[world.OBJECTS.index(name), 1]
  scene = _put(_scene(), name, [0.1, half[1], 3.0], half)
  view, rays = _view(scene), _rays(scene)
  hit = view.instance == 1
  assert hit.sum() > 40
  length = np.linalg.norm(view.normals[hit], axis=-1)
  np.testing.assert_allclose(length, 1.0, atol=1e-4)
  axes = camera.make_axes(scene.camera) * [[1], [1], [-1]]
  world_normals = view.normals @ axes
  assert ((world_normals * rays).sum(-1)[hit] < 1e-3).all()


def test_normals_agree_with_the_slope_of_the_depth():
  """Neighboring points of one face differ at right angles to its normal."""
  scene = _put(_scene(), 'box', [0.1, 0.8, 3.0], [0.9, 0.8, 0.7], yaw=0.6)
  view, rays = _view(scene), _rays(scene)
  points = np.where(view.instance == 1, view.depth_m, 0)[..., None] * rays
  axes = camera.make_axes(scene.camera) * [[1], [1], [-1]]
  normals = view.normals @ axes
  hit = view.instance == 1
  same = hit[:, 1:] & hit[:, :-1]
  same &= np.abs(normals[:, 1:] - normals[:, :-1]).max(-1) < 1e-3
  step = points[:, 1:] - points[:, :-1]
  assert same.sum() > 50
  assert np.abs((step * normals[:, 1:]).sum(-1)[same]).max() < 1e-4


def _inside(scene, slot, points):
  """Whether world points [..., 3] lie within an object, by definition."""
  moved = points - scene.center[slot].astype(np.float64)
  cos, sin = np.cos(float(scene.yaw[slot])), np.sin(float(scene.yaw[slot]))
  hx, hy, hz = scene.half_extent[slot].astype(np.float64)
  x = (cos * moved[..., 0] + sin * moved[..., 2]) / hx
  y = moved[..., 1] / hy
  z = (cos * moved[..., 2] - sin * moved[..., 0]) / hz
  radius, flat = np.hypot(x, z), np.abs(y) <= 1
  name = world.OBJECTS[scene.class_id[slot]]
  if name in ('sphere', 'ellipsoid'):
    return radius**2 + y**2 <= 1
  if name == 'box':
    return (np.maximum(abs(x), abs(z)) <= 1) & flat
  if name == 'cylinder':
    return (radius <= 1) & flat
  if name == 'cone':
    return (radius <= (1 - y) / 2) & flat
  if name == 'pyramid':
    return (np.maximum(abs(x), abs(z)) <= (1 - y) / 2) & flat
  if name == 'capsule':
    beyond = np.maximum(abs(y) * hy - (hy - hx), 0)
    return np.hypot(radius * hx, beyond) <= hx
  assert name == 'torus'
  return np.hypot(radius * hx - (hx - hy), y * hy) <= hy


def _first_entry(scene, slot, rays):
  """Depth at which rays enter an object: many steps, then bisection."""
  eye = np.array([0, float(scene.camera[0]), 0])

  def inside(t):
    return _inside(scene, slot, eye + t[..., None] * rays)

  reach = float(np.linalg.norm(scene.half_extent[slot]))
  middle = float(camera.to_camera(scene, scene.center[slot : slot + 1])[0, 2])
  steps = np.linspace(middle - reach, middle + reach, 300)
  hits = np.stack([inside(np.full(rays.shape[:-1], t)) for t in steps])
  first = hits.argmax(0)
  low, high = steps[np.maximum(first - 1, 0)], steps[first]
  for _ in range(30):
    half = 0.5 * (low + high)
    within = inside(half)
    low, high = np.where(within, low, half), np.where(within, half, high)
  return np.where(hits.any(0), high, np.inf)


@pytest.mark.parametrize('index', [2, 3, 4])
def test_a_brute_force_twin_sees_the_same(index):
  scene = world.sample_scene(FULL, 11, index, count=12)
  view, rays = _view(scene), _rays(scene)
  depths = np.stack([_first_entry(scene, k, rays) for k in range(12)])
  nearest, slot = depths.min(0), depths.argmin(0)
  eye = float(scene.camera[0])
  yaw = float(scene.room[5])
  x = np.cos(yaw) * rays[..., 0] + np.sin(yaw) * rays[..., 2]
  z = np.cos(yaw) * rays[..., 2] - np.sin(yaw) * rays[..., 0]
  planes = [(rays[..., 1], -eye)]
  if not scene.outdoor:
    x_low, x_high, z_low, z_high, height = scene.room[:5]
    planes += [(x, x_low), (x, x_high), (z, z_low), (z, z_high)]
    planes += [(rays[..., 1], height - eye)]
  with np.errstate(divide='ignore'):
    behind = np.stack([bound / speed for speed, bound in planes])
  behind = np.where(behind > 0, behind, np.inf).min(0)
  behind = np.where(behind > 500.0, np.inf, behind)
  instance = np.where(nearest < behind, slot + 1, 0)
  same = instance == view.instance
  assert same.mean() > 0.99
  depth_m = np.minimum(nearest, behind)
  finite = same & np.isfinite(depth_m)
  np.testing.assert_allclose(
    view.depth_m[finite], depth_m[finite], rtol=1e-4, atol=1e-3
  )
  close = np.abs(view.depth_m[finite] / depth_m[finite] - 1) < 1e-4
  assert close.mean() > 0.99
  assert len(np.unique(instance)) > 5


@pytest.mark.parametrize('level', [QUICK, FULL], ids=lambda x: x.name)
def test_labels_are_consistent(level):
  scenes, view = _sampled(level)
  allowed = {world.CLASSES.index(c) for c in level.semantic_classes}
  for k, scene in enumerate(scenes):
    instance, semantic = view.instance[k], view.semantic[k]
    assert instance.max() <= scene.count
    assert set(np.unique(semantic)) <= allowed
    on = instance > 0
    expected = len(world.SURFACES) + scene.class_id[instance[on] - 1]
    np.testing.assert_array_equal(semantic[on], expected)
    assert (semantic[~on] < len(world.SURFACES)).all()
    is_sky = semantic == SKY
    np.testing.assert_array_equal(np.isinf(view.depth_m[k]), is_sky)
    length = np.linalg.norm(view.normals[k], axis=-1)
    np.testing.assert_allclose(length, np.where(is_sky, 0, 1), atol=1e-4)
  assert view.rgb.dtype == view.depth_m.dtype == np.float32
  assert view.semantic.dtype == view.instance.dtype == np.int32
  assert view.rgb.min() >= 0 and view.rgb.max() <= 1
  assert view.rgb.std() > 0.05


def test_centers_that_are_seen_project_onto_their_object():
  scenes, view = _sampled(QUICK, 3, 16)
  seen = 0
  for k, scene in enumerate(scenes):
    n = int(scene.count)
    xy, depth_m = camera.project(scene, scene.center[:n], SIZE, SIZE)
    column, row = np.floor(xy).astype(int).T
    for slot in range(n):
      if view.instance[k, row[slot], column[slot]] != slot + 1:
        continue  # hidden behind another object
      seen += 1
      reach = np.linalg.norm(scene.half_extent[slot])
      depth = view.depth_m[k, row[slot], column[slot]]
      assert depth_m[slot] - 1.2 * reach < depth < depth_m[slot]
  assert seen > 25


def test_depth_map_reprojects_onto_its_own_pixels():
  (scene, *_), view = _sampled(FULL)
  finite = np.isfinite(view.depth_m[0])
  eye = np.array([0, scene.camera[0], 0])
  points = eye + view.depth_m[0][finite][:, None] * _rays(scene)[finite]
  xy, depth_m = camera.project(scene, points, SIZE, SIZE)
  row, column = np.nonzero(finite)
  np.testing.assert_allclose(xy, np.stack([column, row], -1) + 0.5, atol=2e-3)
  np.testing.assert_allclose(depth_m, view.depth_m[0][finite], rtol=1e-4)


def test_a_scene_looks_the_same_in_any_company():
  scenes, view = _sampled(FULL)
  other = render.render_scenes(scenes[5:2:-1], SIZE, SIZE)
  for ours, theirs in zip(view, other):
    np.testing.assert_array_equal(ours[5:2:-1], theirs)


def test_more_scenes_than_a_micro_batch():
  scenes = [world.sample_scene(QUICK, 0, i % 5) for i in range(35)]
  view = render.render_scenes(scenes, SIZE, SIZE)
  assert view.rgb.shape == (35, SIZE, SIZE, 3)
  for leaf in view:
    np.testing.assert_array_equal(leaf[30:35], leaf[:5])


@pytest.mark.parametrize('width', [10, 40])
def test_the_aspect_changes_only_how_much_is_seen_at_the_sides(width):
  scenes, square = _sampled(QUICK)
  view = _view(scenes[1], SIZE, width)
  assert view.rgb.shape == view.normals.shape == (SIZE, width, 3)
  both = min(SIZE, width) // 2 - 1
  for ours, theirs in zip(view, square):
    np.testing.assert_allclose(
      ours[:, width // 2 - both : width // 2 + both],
      theirs[1][:, SIZE // 2 - both : SIZE // 2 + both],
      rtol=1e-4,
      atol=1e-4,
    )


def test_color_is_blended_at_edges_and_labels_are_not():
  scene = _put(_scene(), 'sphere', [0.0, 0.8, 4.0], [0.8] * 3)
  white = [[[1.0, 1.0, 1.0]] * 2] * 3
  scene = scene._replace(
    surface_color=np.array(white, np.float32),
    sky=np.ones((2, 3), np.float32),
    ambient=np.ones(3, np.float32),
    lights=np.zeros_like(scene.lights),
    fog=np.zeros(4, np.float32),
    color=np.full(12, list(world.COLORS).index('black'), np.int32),
    texture=np.zeros(12, np.int32),
    material=np.zeros(12, np.int32),
  )
  view = _view(scene)
  red = view.rgb[..., 0]
  edge = (red > 0.25) & (red < 0.9)
  assert edge.sum() > 15
  assert set(np.unique(view.instance[edge])) == {0, 1}
  assert len(np.unique(view.semantic)) == 3  # ground, sky and sphere
  center_m = camera.to_camera(scene, scene.center[:1])[0, 2]
  on = view.instance == 1
  assert (view.depth_m[on] < center_m).all()


def test_objects_cast_shadows():
  bare = _scene((1.5, -0.3, 0.0, 0.9))
  flat = bare._replace(
    surface_texture=np.zeros(3, np.int32), fog=np.zeros(4, np.float32)
  )
  with_ball = _put(flat, 'sphere', [0.0, 0.6, 4.0], [0.6] * 3)
  empty, full = _view(flat), _view(with_ball)
  ground = (full.instance == 0) & (full.semantic == GROUND)
  darker = (empty.rgb - full.rgb).mean(-1)
  assert (darker[ground] > 0.1).sum() > 3
  assert (darker[ground] > -1e-3).mean() > 0.9


def test_materials_look_different():
  scene = _put(_scene(), 'sphere', [0.0, 0.8, 3.0], [0.8] * 3)
  looks = []
  for k in range(len(world.MATERIALS)):
    view = _view(scene._replace(material=np.full(12, k, np.int32)))
    looks.append(view.rgb[view.instance == 1])
  for a in range(3):
    for b in range(a):
      assert np.abs(looks[a] - looks[b]).mean() > 0.01


def test_a_large_picture_is_seen_in_parts(monkeypatch):
  scenes = world.stack_scenes(
    [world.sample_scene(FULL, 5, index) for index in range(2)]
  )
  whole = render.render(scenes, height=24, width=32)
  monkeypatch.setattr(render, 'MICRO_RAYS', 500)  # of 768 + 825
  render.render.clear_cache()
  parts = render.render(scenes, height=24, width=32)
  render.render.clear_cache()
  for one, other in zip(whole, parts):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_base_colors_are_those_of_the_scene_in_any_light():
  scene = _put(_scene(), 'sphere', [0.0, 0.8, 3.0], [0.8] * 3)
  scene = scene._replace(
    color=np.full_like(scene.color, 4),
    texture=np.zeros_like(scene.texture),
    surface_texture=np.zeros_like(scene.surface_texture),
  )
  dark = scene._replace(lights=0 * scene.lights, ambient=0 * scene.ambient)
  view = _view(scene)
  lit, unlit = render.render_albedos([scene, dark], SIZE, SIZE)
  np.testing.assert_array_equal(lit, unlit)
  color = np.array(list(world.COLORS.values())[4]) / 255
  on = view.instance == 1
  assert on.sum() > 50
  np.testing.assert_allclose(lit[on], np.broadcast_to(color, lit[on].shape))
  ground = scene.surface_color[0, 0]
  there = view.semantic == GROUND
  np.testing.assert_allclose(
    lit[there], np.broadcast_to(ground, lit[there].shape), rtol=1e-5
  )
  assert (lit[view.semantic == SKY] == 0).all()


def test_base_colors_go_with_what_is_seen():
  scenes, view = _sampled(FULL)
  albedo = render.render_albedos(scenes, SIZE, SIZE)
  assert 0 <= albedo.min() and albedo.max() <= 1
  solid = np.isfinite(view.depth_m)
  seen = np.corrcoef(view.rgb[solid].ravel(), albedo[solid].ravel())[0, 1]
  assert seen > 0.5
