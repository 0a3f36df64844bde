'use strict';
// Tables are sorted by the titles of their columns; nothing goes to the end.
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const read = (row, k) => row.cells[k].dataset.v;
  [...table.tHead.rows[0].cells].forEach((head, k) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    head.ariaSort = 'none';
    button.onclick = () => {
      const up = head.ariaSort === 'ascending' ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.ariaSort = 'none';
      head.ariaSort = up > 0 ? 'ascending' : 'descending';
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [read(a, k), read(b, k)];
        if (x === undefined || y === undefined) {
          return (x === undefined) - (y === undefined);
        }
        const numbers = isFinite(x) && isFinite(y);
        return up * (numbers ? x - y : x.localeCompare(y));
      });
      body.append(...rows);
    };
  });
}

// A picture at full size, with what its colors mean, and its neighbors.
const dialog = document.createElement('dialog');
dialog.innerHTML = '<img alt=""><p class="title"></p><div class="keys"></div>' +
  '<p class="prompt"></p><div><button type="button">&larr; previous</button>' +
  '<button type="button">next &rarr;</button>' +
  '<button type="button">close</button></div>';
document.body.append(dialog);
const [back, next, close] = dialog.querySelectorAll('button');
let links = [];
let shown = 0;
function show(number) {
  shown = (number + links.length) % links.length;
  const from = links[shown].querySelector('img');
  const image = dialog.querySelector('img');
  image.src = from.src;
  image.alt = from.alt;
  dialog.querySelector('.title').textContent = from.alt;
  const card = links[shown].closest('article');
  dialog.querySelector('.prompt').textContent =
    card.querySelector('blockquote').textContent;
  dialog.querySelector('.keys').replaceChildren(
    ...[...card.querySelectorAll('.key')].map((key) => key.cloneNode(true)));
}
for (const link of document.querySelectorAll('a.zoom')) {
  link.onclick = (event) => {
    event.preventDefault();
    links = [...link.closest('article').querySelectorAll('a.zoom')];
    show(links.indexOf(link));
    dialog.showModal();
  };
}
back.onclick = () => show(shown - 1);
next.onclick = () => show(shown + 1);
close.onclick = () => dialog.close();
dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
dialog.onkeydown = (event) => {
  if (event.key === 'ArrowLeft') show(shown - 1);
  if (event.key === 'ArrowRight') show(shown + 1);
};

// Paper cannot be unfolded: tables are, before they are printed.
addEventListener('beforeprint', () => {
  for (const folded of document.querySelectorAll('details.print')) {
    folded.open = true;
  }
});
