"""Scores under a protocol as a person reads them."""

import math
from typing import Any

# Other ways to add up or to fit the same errors: in the file only.
_SECONDARY = ('pooled_', 'aligned_', 'image_')
_LEAST_SHARE = 1e-4  # of pixels, that is printed
_SHARES = {
  'no_surface_share': 'have colors that no direction has',
  'between_colors_share': 'lie between two colors and are read as a third',
}
_COLUMNS = 3  # of classes
_WIDTH = 100


def make_table(results: dict[str, Any]) -> str:
  """What a person reads after an evaluation: headline first."""
  whole = {
    True: 'whole split',
    False: 'PART OF THE SPLIT',
    None: 'nobody has said how many there are',
  }[results['complete']]
  lines = [
    f'{results["protocol"]} version {results["version"]}: {results["n"]} '
    f'examples ({whole}), {results["predictions"]}',
  ]
  if results['split'] != results['standard_split']:
    lines.append(
      f'SPLIT {results["split"]}, and not {results["standard_split"]}, which '
      'the protocol scores: not comparable with published numbers'
    )
  if results['painted']:
    settings = results['painted']['settings']
    way = ', '.join(
      f'{name} {settings.get(name)}'
      for name in ('weights', 'size', 'steps', 'seed')
    )
    lines.append(f'painted by {results["painted"].get("run")} ({way})')
    if settings.get('version') != results['version']:
      lines.append(f'PAINTED FOR VERSION {settings.get("version")}')
  if results['lack']:
    lines.append(
      f'{results["lack"]}; not comparable with other scores of this protocol'
    )
  lines += [
    '',
    f'{"metric":<24}{"score":>10}{"95 % interval":>24}'
    + (f'{"constant":>12}' if results.get('constants') else '')
    + (f'{"first pass":>12}' if results['single_pass'] else ''),
  ]
  headline = results['headline']
  others = [
    name
    for name in results['metrics']
    if name not in headline and not name.startswith(_SECONDARY)
  ]
  for name in (*headline, *others):
    lines.append(_make_line(name, results))
    if name == headline[-1]:
      lines.append('')
  lines += _make_class_lines(results.get('classes') or {})
  if results.get('constants'):
    lines += ['', 'constant: the best answer that never looks at a photograph']
  hidden = len(results['metrics']) - len(headline) - len(others)
  if hidden:
    lines += ['', f'{hidden} more metrics, pooled and aligned, are in the file']
  for oddity, n in results['odd_pictures'].items():
    if n:
      lines += ['', f'Look at them: {n} pictures {oddity}.']
  for name, share in results['shares_of_pixels'].items():
    if share >= _LEAST_SHARE:
      lines += ['', f'Of all pixels {share:.2%} {_SHARES[name]}.']
  if not results['reader_verified']:
    lines += ['', "The reader's layout was never checked on the real files."]
  return '\n'.join([*lines, '', results['known_difference']])


def _make_line(name: str, results: dict[str, Any]) -> str:
  found = results['metrics'][name]
  low, high = found['interval']
  line = (
    f'{name:<24}{to_text(found["value"]):>10}'
    f'{to_text(low) + " to " + to_text(high):>24}'
  )
  if results.get('constants'):
    constant = results['constants'].get(name)
    line += f'{"" if constant is None else to_text(constant):>12}'
  if results['single_pass']:
    line += f'{to_text(results["single_pass"][name]["value"]):>12}'
  return line


def _make_class_lines(classes: dict[str, dict[str, float | None]]) -> list[str]:
  """IoU of each class in columns, read downwards; frequent classes first."""
  if not classes:
    return []
  met = {name: row for name, row in classes.items() if row['iou'] is not None}
  order = sorted(met, key=lambda name: -met[name]['share'])
  width = max(8, *(len(name) for name in order)) if order else 8
  cells = [
    f'{name:<{width}}{met[name]["iou"]:>7.3f}{met[name]["share"]:>7.1%}'
    for name in order
  ]
  columns = max(1, min(_COLUMNS, _WIDTH // (width + 17)))
  rows = math.ceil(len(cells) / columns)
  lines = ['   '.join(cells[k::rows]) for k in range(rows)]
  lines = ['', 'IoU of each class, and its share of the labeled pixels', *lines]
  if never := [name for name in classes if name not in met]:
    lines += ['', f'neither shown nor painted: {", ".join(never)}']
  return lines


def make_comparison(
  differences: dict[str, tuple[float, tuple[float, float]]],
) -> str:
  """Differences with intervals, one a line."""
  lines = ['difference, this minus the other, on the same examples:']
  for name, (difference, (low, high)) in differences.items():
    lines.append(
      f'{name:<24}{difference:>+10.4g}{f"{low:+.4g} to {high:+.4g}":>24}'
    )
  return '\n'.join(lines)


def to_text(value: float | None) -> str:
  """Four digits, or a dash where there is no value."""
  return '-' if value is None else f'{value:.4g}'
