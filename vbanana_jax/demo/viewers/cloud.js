// Depth as points in space, seen by a camera that the pointer turns. Plain
// 2D: each point is a square in an image with a buffer of distances.

VB.makeCloud = (host) => {
  const state = {yaw: 0, pitch: 0, zoom: 1, points: null};
  const limit = (x) => Math.min(Math.max(x, -1.5), 1.5);
  return {
    about: 'Arrow keys turn the points; + and - zoom.',
    turns: true,
    below: VB.make('p', {
      textContent: `Drag to turn, wheel to zoom. A camera that sees ${
        VB.FOV_DEG} degrees along the short edge is assumed.`}),
    turn: (x, y) => {
      state.yaw = limit(state.yaw + 2.5 * x);
      state.pitch = limit(state.pitch + 2.5 * y);
    },
    zoom: (times) => {
      state.zoom = Math.min(Math.max(state.zoom * times, 0.3), 8);
    },
    draw: () => {
      state.points ??= VB.findPoints(host);
      VB.drawPoints(host, state);
    },
  };
};

// Places [x right, y down, z forward] in meters and colors; the sky has none.
VB.findPoints = (host) => {
  const {width, height, values} = host.view;
  const small = VB.make('canvas', {width, height});
  const ink = small.getContext('2d');
  ink.drawImage(host.photo, 0, 0, width, height);
  const colors = ink.getImageData(0, 0, width, height).data;
  const focal =
    Math.min(width, height) / 2 / Math.tan(VB.FOV_DEG * Math.PI / 360);
  const seen = [...values.keys()].filter(
      (i) => Number.isFinite(values[i]) && values[i] > 0 && values[i] < 200);
  const places = new Float32Array(3 * seen.length);
  seen.forEach((i, k) => {
    const z = values[i];
    places[3 * k] = (i % width + 0.5 - width / 2) / focal * z;
    places[3 * k + 1] = (Math.floor(i / width) + 0.5 - height / 2) / focal * z;
    places[3 * k + 2] = z;
  });
  const depths = seen.map((i) => values[i]).sort((a, b) => a - b);
  return {places, seen, colors, focal,
    middle: depths[depths.length >> 1] ?? 1};
};

VB.drawPoints = (host, {yaw, pitch, zoom, points}) => {
  const {canvas, ink} = host;
  const {width, height} = canvas;
  const {places, seen, colors, middle} = points;
  const image = ink.createImageData(width, height);
  const paint = new Uint32Array(image.data.buffer);
  paint.fill(0xff1e1a18);
  const nearest = new Float32Array(width * height).fill(Infinity);
  const times = width / host.view.width;
  const focal = points.focal * times * zoom;
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch),
    Math.sin(pitch)];
  const source = new Uint32Array(colors.buffer);
  for (let k = 0; k < seen.length; ++k) {
    const x = places[3 * k], y = places[3 * k + 1];
    const z = places[3 * k + 2] - middle;
    const turned = cy * x + sy * z, back = cy * z - sy * x;
    const down = cp * y + sp * back;
    const depth = cp * back - sp * y + middle;
    if (depth < 0.05) continue;
    const scale = focal / depth;
    const size = Math.min(12, Math.ceil(
        1.3 * scale * places[3 * k + 2] / points.focal));
    const left = Math.round(width / 2 + scale * turned - size / 2);
    const top = Math.round(height / 2 + scale * down - size / 2);
    for (let v = Math.max(0, top); v < Math.min(height, top + size); ++v) {
      for (let u = Math.max(0, left); u < Math.min(width, left + size); ++u) {
        const at = v * width + u;
        if (depth < nearest[at]) {
          nearest[at] = depth;
          paint[at] = source[seen[k]];
        }
      }
    }
  }
  ink.putImageData(image, 0, 0);
};
