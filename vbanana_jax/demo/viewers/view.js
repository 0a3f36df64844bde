// <vb-view data-view="JSON of shown.make_view">: an answer to look into.
// Ways to show it are buttons; a point in it is chosen with the pointer, or
// with the arrow keys once the picture has the focus.
'use strict';
const VB = {ways: {}, FOV_DEG: 52};

// Python's float32 and uint8 arrays, from base64.
VB.unpack = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
VB.floats = (text) => new Float32Array(VB.unpack(text).buffer);
VB.make = (tag, options = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), options);
  node.append(...children);
  return node;
};
VB.load = (url) => new Promise((done, fail) => {
  const image = new Image();
  image.onload = () => done(image);
  image.onerror = fail;
  image.src = url;
});

class VbView extends HTMLElement {
  static observedAttributes = ['data-view'];

  // Gradio keeps the element and gives it another attribute for each answer.
  async attributeChangedCallback(name, before, text) {
    if (text === null) return;
    const view = this.view = JSON.parse(text);
    if (view.values) {
      view.values = VB.floats(view.values);
      view.confidence = VB.unpack(view.confidence);
    }
    [this.drawn, this.photo] = await Promise.all(
        [view.drawn, view.photo].map((url) => url && VB.load(url)));
    if (this.view !== view) return;  // another answer has come
    this.at = {x: 0.5, y: 0.5};
    this.chosen = null;  // label that stands out
    this.canvas = VB.make('canvas', {
      width: this.drawn.naturalWidth, height: this.drawn.naturalHeight,
      tabIndex: 0});
    this.canvas.setAttribute('role', 'img');
    this.ink = this.canvas.getContext('2d', {willReadFrequently: true});
    this.told = VB.make('output', {className: 'vb-told'});
    this.told.setAttribute('aria-live', 'polite');
    this.below = VB.make('div', {className: 'vb-below'});
    this.ways = VB.ways[view.viewer](this);
    this.replaceChildren(
        this.makeButtons(), this.canvas, this.told, this.below);
    this.addEventListeners();
    this.choose(Object.keys(this.ways)[0]);
  }

  makeButtons() {
    const buttons = Object.keys(this.ways).map((name) => VB.make('button', {
      type: 'button', textContent: name, onclick: () => this.choose(name)}));
    const bar = VB.make('div', {className: 'vb-ways'}, ...buttons);
    bar.setAttribute('role', 'group');
    bar.setAttribute('aria-label', 'How to show it');
    bar.hidden = buttons.length < 2;
    return bar;
  }

  choose(name) {
    this.way = this.ways[name];
    for (const button of this.firstChild.children) {
      button.setAttribute('aria-pressed', button.textContent === name);
    }
    this.canvas.className = this.way.turns ? 'vb-turns' : '';
    this.canvas.setAttribute('aria-label', `${name}. ${this.way.about ||
      'Arrow keys move the point.'}`);
    const below = this.way.below ?? '';
    if (below !== this.below.firstChild) this.below.replaceChildren(below);
    this.redraw();
  }

  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.way.draw();
      this.told.textContent = this.way.tell?.(this.at) ?? '';
    });
  }

  addEventListeners() {
    let from = null;
    const canvas = this.canvas;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      const clip = (x) => Math.min(Math.max(x, 0), 0.9999);
      return {x: clip((event.clientX - box.left) / box.width),
        y: clip((event.clientY - box.top) / box.height)};
    };
    const move = (event) => {
      const to = place(event);
      if (from && this.way.turn) {
        this.way.turn(to.x - from.x, to.y - from.y);
        from = to;
      }
      this.at = to;
      this.redraw();
    };
    canvas.addEventListener('pointerdown', (event) => {
      from = place(event);
      canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    canvas.addEventListener('pointermove', move);
    for (const end of ['pointerup', 'pointercancel']) {
      canvas.addEventListener(end, () => { from = null; });
    }
    canvas.addEventListener('wheel', (event) => {
      if (!this.way.zoom) return;
      event.preventDefault();
      this.way.zoom(Math.exp(-event.deltaY / 500));
      this.redraw();
    }, {passive: false});
    canvas.addEventListener('keydown', (event) => this.press(event));
  }

  press(event) {
    const [x, y] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
      ArrowDown: [0, 1]}[event.key] || [0, 0];
    const zoom = {'+': 1.1, '=': 1.1, '-': 1 / 1.1}[event.key];
    if (x || y) {
      const clip = (z) => Math.min(Math.max(z, 0), 0.9999);
      this.at = {x: clip(this.at.x + x / 50), y: clip(this.at.y + y / 50)};
      this.way.turn?.(x / 20, y / 20);
    } else if (zoom && this.way.zoom) {
      this.way.zoom(zoom);
    } else {
      return;
    }
    event.preventDefault();
    this.redraw();
  }

  // Pixel of the values under a point, as an index of a plane.
  index({x, y}) {
    const {width, height} = this.view;
    return Math.floor(y * height) * width + Math.floor(x * width);
  }

  drawImage(image) {
    this.ink.drawImage(image, 0, 0, this.canvas.width, this.canvas.height);
  }

  // A picture of the values' size, painted large: color(i) gives its bytes.
  drawPixels(color) {
    const {width, height} = this.view;
    const small = VB.make('canvas', {width, height});
    const ink = small.getContext('2d');
    const pixels = ink.createImageData(width, height);
    for (let i = 0; i < width * height; ++i) {
      const [r, g, b, alpha = 255] = color(i);
      pixels.data.set([r, g, b, alpha], 4 * i);
    }
    ink.putImageData(pixels, 0, 0);
    this.drawImage(small);
  }

  // A cross that is seen on black and on white.
  drawCross() {
    const {ink, canvas} = this;
    const [x, y] = [this.at.x * canvas.width, this.at.y * canvas.height];
    const r = Math.max(7, canvas.width / 50);
    for (const [style, width] of [['#000', 4], ['#fff', 2]]) {
      ink.strokeStyle = style;
      ink.lineWidth = width * Math.max(1, canvas.width / 500);
      ink.beginPath();
      ink.moveTo(x - r, y);
      ink.lineTo(x + r, y);
      ink.moveTo(x, y - r);
      ink.lineTo(x, y + r);
      ink.stroke();
    }
  }

  sure(i) {
    return `confidence ${Math.round(this.view.confidence[i] / 2.55)} %`;
  }
}

// The ways that all answers with numbers share; `tell` says what is at i.
VB.plain = (host, tell) => {
  const at = (point) => {
    const i = host.index(point);
    return `${tell(i)}, ${host.sure(i)}`;
  };
  const way = (draw) => ({
    tell: at,
    draw: () => {
      draw();
      host.drawCross();
    },
  });
  return {
    answer: way(() => host.drawImage(host.drawn)),
    confidence: way(() => host.drawPixels(
        (i) => Array(3).fill(host.view.confidence[i]))),
    picture: way(() => host.drawImage(host.photo)),
  };
};
