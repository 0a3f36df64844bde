// What is special about each kind of answer.

// Meters under the point, and a cloud of points to turn.
VB.ways.meters = (host) => {
  const meters = (i) => {
    const value = host.view.values[i];
    return Number.isFinite(value) ? `${value.toPrecision(3)} m` : 'sky';
  };
  const {answer, ...others} = VB.plain(host, meters);
  return {
    answer: {...answer, below: VB.makeScale(host.view)},
    cloud: VB.makeCloud(host),
    ...others,
  };
};

VB.makeScale = ({range, ramp}) => {
  const stops = ramp.map((color) => `rgb(${color})`).join(',');
  const bar = VB.make('div', {className: 'vb-ramp'});
  bar.style.background = `linear-gradient(90deg, ${stops})`;
  const [near, far] = range.map((m) => `${m.toPrecision(3)} m`);
  return VB.make('div', {className: 'vb-scale'}, VB.make(
      'span', {textContent: near}), bar, VB.make('span', {textContent: far}));
};

// Normals lit by a light at the point.
VB.ways.directions = (host) => {
  const {width, height, values} = host.view;
  const normal = (i) => [0, 1, 2].map((k) => values[3 * i + k]);
  const tell = (i) => {
    const found = normal(i);
    if (!found.some(Boolean)) return 'no surface';
    const [x, y, z] = found.map((v) => v.toFixed(2).replace('-', '−'));
    return `right ${x}, up ${y}, to you ${z}`;
  };
  const high = 0.25 * Math.max(width, height);
  const shade = (i) => {
    const [x, y, z] = normal(i);
    const right = host.at.x * width - (i % width) - 0.5;
    const up = Math.floor(i / width) + 0.5 - host.at.y * height;
    const length = Math.hypot(right, up, high);
    const lit = Math.max(0, x * right + y * up + z * high) / length;
    const light = (x || y || z ? 0.08 + 0.92 * lit : 0.02) * 255;
    return [light, 0.97 * light, 0.9 * light];
  };
  const {answer, ...others} = VB.plain(host, tell);
  const lit = {
    about: 'A light follows the pointer and the arrow keys.',
    tell: answer.tell,
    draw: () => host.drawPixels(shade),
  };
  return {lit, colors: answer, ...others};
};

// Regions with names; one of the list, or under the point, stands out.
VB.ways.labels = (host) => {
  const {values, labels, width} = host.view;
  const named = Object.fromEntries(labels.map((each) => [each.label, each]));
  const tell = (i) => named[values[i]]?.name ?? 'background';
  const {answer, ...others} = VB.plain(host, tell);
  const draw = () => {
    if (!host.chosen) return answer.draw();
    host.drawImage(host.photo);
    const [r, g, b] = named[host.chosen].color;
    host.drawPixels((i) => values[i] !== host.chosen ? [0, 0, 0, 190] :
      [i - width, i + width, i - 1, i + 1].some(
          (k) => values[k] !== host.chosen) ? [255, 255, 255, 255] :
        [r, g, b, 70]);
    host.drawCross();
  };
  const ways = {answer: {...answer, draw}, ...others};
  const below = VB.makeLegend(host);
  for (const way of Object.values(ways)) way.below = below;
  return ways;
};

VB.makeLegend = (host) => {
  const {labels} = host.view;
  if (!labels.length) {
    return VB.make('p', {textContent: 'Nothing was found.'});
  }
  const rows = labels.map(({label, name, color, share, confidence}) => {
    const swatch = VB.make('i', {});
    swatch.style.background = `rgb(${color})`;
    const percent = (x) => x > 0 && x < 0.005 ? 'under 1 %' :
      `${Math.round(100 * x)} %`;
    const row = VB.make(
        'button', {type: 'button', className: 'vb-label'}, swatch,
        VB.make('b', {textContent: name}),
        VB.make('span', {textContent: `${percent(share)} of the picture`}),
        VB.make('span', {textContent: `confidence ${percent(confidence)}`}));
    row.setAttribute('aria-pressed', 'false');
    row.onclick = () => {
      host.chosen = host.chosen === label ? null : label;
      for (const each of row.parentNode.children) {
        each.setAttribute('aria-pressed', each === row && !!host.chosen);
      }
      host.choose('answer');
    };
    return row;
  });
  return VB.make('div', {className: 'vb-legend'}, ...rows);
};

// A picture is the answer; of an edit, both of them under a sliding border.
VB.ways.picture = (host) => {
  const whole = {
    about: 'The answer.',
    draw: () => host.drawImage(host.drawn),
  };
  if (!host.photo) return {answer: whole};
  const slide = () => {
    host.drawImage(host.photo);
    const {ink, canvas} = host;
    const x = Math.round(host.at.x * canvas.width);
    const from = x / canvas.width * host.drawn.naturalWidth;
    ink.drawImage(
        host.drawn, from, 0, host.drawn.naturalWidth - from,
        host.drawn.naturalHeight, x, 0, canvas.width - x, canvas.height);
    ink.fillStyle = '#000';
    ink.fillRect(x - 2, 0, 4, canvas.height);
    ink.fillStyle = '#fff';
    ink.fillRect(x - 1, 0, 2, canvas.height);
  };
  const compare = {
    about: 'Arrow keys move the border between before and after.',
    tell: () => 'before | after',
    draw: slide,
  };
  const picture = {draw: () => host.drawImage(host.photo)};
  return {answer: whole, compare, picture};
};

customElements.get('vb-view') || customElements.define('vb-view', VbView);
