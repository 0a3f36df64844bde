"""Reads the text of a compiled program: computations, instructions, shapes."""

import dataclasses
import math
import re

_BITS = {
  'pred': 8, 's4': 4, 'u4': 4, 's8': 8, 'u8': 8, 's16': 16, 'u16': 16,
  's32': 32, 'u32': 32, 's64': 64, 'u64': 64, 'f8e4m3fn': 8, 'f8e5m2': 8,
  'bf16': 16, 'f16': 16, 'f32': 32, 'f64': 64, 'c64': 64, 'c128': 128,
}  # fmt: skip
_SHAPE = re.compile(r'([a-z]\w*)\[([\d,]*)\](\{[^{}]*\})?')
_MEMORY_SPACE = re.compile(r'S\([1-9]\d*\)')
_NAME = re.compile(r'%([\w.\-]+)')
_HEAD = re.compile(r'(ENTRY )?%([\w.\-]+) \(.*\) -> .* \{$')
_LINE = re.compile(r'\s+(ROOT )?%([\w.\-]+) = ')
_COMMENT = re.compile(r'/\*.*?\*/')


@dataclasses.dataclass(frozen=True)
class Shape:
  """One array.

  Attributes:
    bits: of one element.
    dimensions: sizes.
    in_hbm: False if it lives on the core (vector memory, flags).
  """

  bits: int
  dimensions: tuple[int, ...]
  in_hbm: bool

  @property
  def bytes(self) -> int:
    """Of all elements, without the padding of tiles."""
    return math.prod(self.dimensions) * self.bits // 8


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of a computation.

  Attributes:
    name: unique in its computation.
    shapes: of the result; several if it is a tuple.
    opcode: as in `all-gather`.
    operands: names; of a parameter its number, of a constant its value.
    attributes: the rest of the line.
    is_root: whether its result is the computation's.
  """

  name: str
  shapes: tuple[Shape, ...]
  opcode: str
  operands: tuple[str, ...]
  attributes: str
  is_root: bool

  def read(self, attribute: str) -> str | None:
    """The word after `attribute=`, as in `calls=%fused_computation`."""
    found = re.search(rf'\b{attribute}=%?([\w.\->]+)', self.attributes)
    return found[1] if found else None


@dataclasses.dataclass(frozen=True)
class Module:
  """A compiled program of one chip.

  Attributes:
    computations: name -> name -> instruction, in order.
    entry: name of the one that runs.
    chips: that run the program together.
  """

  computations: dict[str, dict[str, Instruction]]
  entry: str
  chips: int


def parse_module(text: str) -> Module:
  """The computations of `compiled.as_text()`.

  Raises:
    ValueError: the text has no entry computation.
  """
  computations: dict[str, dict[str, Instruction]] = {}
  entry, body = None, None
  for line in text.splitlines():
    if head := _HEAD.match(line):
      body = computations.setdefault(head[2], {})
      entry = head[2] if head[1] else entry
    elif body is not None and (start := _LINE.match(line)):
      instruction = _parse_line(line, start)
      body[instruction.name] = instruction
  if entry is None:
    raise ValueError('the text is not that of a compiled program')
  chips = re.search(r'num_partitions=(\d+)', text)
  return Module(computations, entry, int(chips[1]) if chips else 1)


def _parse_line(line: str, start: re.Match) -> Instruction:
  rest = _COMMENT.sub('', line[start.end() :])
  end = _closing(rest, 0) if rest[0] == '(' else rest.index(' ')
  shapes, rest = rest[:end], rest[end:].lstrip()
  opening = rest.index('(')
  end = _closing(rest, opening)
  inside, opcode = rest[opening:end], rest[:opening]
  literal = opcode in ('parameter', 'constant')
  return Instruction(
    start[2],
    parse_shapes(shapes),
    opcode,
    (inside[1:-1],) if literal else tuple(_NAME.findall(inside)),
    rest[end:],
    bool(start[1]),
  )


def _closing(text: str, opening: int) -> int:
  """Index behind the bracket that closes the one at `opening`."""
  depth = 0
  for at in range(opening, len(text)):
    depth += (text[at] == '(') - (text[at] == ')')
    if not depth:
      return at + 1
  raise ValueError(f'a bracket stays open in {text[opening : opening + 60]!r}')


def parse_shapes(text: str) -> tuple[Shape, ...]:
  """Every array in the text of a shape, as in `(f32[2,3]{1,0}, s32[])`."""
  return tuple(
    Shape(
      _BITS[kind],
      tuple(int(size) for size in sizes.split(',') if size),
      not _MEMORY_SPACE.search(layout or ''),
    )
    for kind, sizes, layout in _SHAPE.findall(text)
    if kind in _BITS
  )


def read_branches(one: Instruction) -> list[str]:
  """Computations of a `conditional`."""
  listed = re.search(r'branch_computations=\{([^}]*)\}', one.attributes)
  if listed:
    return [name.strip().lstrip('%') for name in listed[1].split(',')]
  return [one.read('true_computation'), one.read('false_computation')]


def read_aliases(one: Instruction) -> list[tuple[int, int]]:
  """Pairs of a result and the operand whose buffer it is."""
  found = re.findall(r'\{(\d*)\}: \((\d+), \{\}', one.attributes)
  return [(int(result or 0), int(operand)) for result, operand in found]
