"""What a person should look at in a painted picture; nothing is refused."""

from vbanana_jax.data import photos
from vbanana_jax.decode.doubts import find_doubt
from vbanana_jax.decode.values import NO_SURFACE, Decoded
from vbanana_jax.report import answers
from vbanana_jax.tasks import TASKS
from vbanana_jax.tasks.prompts import PromptSpec

_MOST_WITHOUT_SURFACE = 0.01  # of a picture; edges and noise take less
_MOST_STRETCHED = 1.1  # sizes of generators are multiples; more is another crop


def find_oddities(
  reading: PromptSpec,
  painted: photos.Painted,
  found: Decoded,
  shape: tuple[int, int],
) -> dict[str, str]:
  """One line for each kind of oddity that the picture has.

  Args:
    reading: what the prompt says.
    painted: the picture.
    found: what it was decoded to.
    shape: height and width that its values are brought to.

  Returns:
    of 'doubt', 'nothing found', 'no surface', 'stretched', 'lossy' and
    'transparent' those that there are.
  """
  height, width = painted.pixels_u8.shape[:2]
  stretch = (width / height) / (shape[1] / shape[0])
  is_stretched = not 1 / _MOST_STRETCHED < stretch < _MOST_STRETCHED
  bare = found.facts.get(NO_SURFACE, 0.0)
  names = [name for name, _ in reading.entries]
  lines = {
    'doubt': find_doubt(reading, painted.pixels_u8),
    'nothing found': answers.tell(TASKS[reading.task], found.value, names),
    'no surface': bare > _MOST_WITHOUT_SURFACE
    and f'{bare:.1%} of it has colors that no direction has, as of a painted '
    'sky, and is read as no surface',
    'stretched': is_stretched
    and f'{height} x {width} is another aspect than {shape[0]} x {shape[1]}: '
    'is it turned, or cut out?',
    'lossy': painted.is_lossy
    and 'kept with loss, as JPEG, which changes colors where they meet',
    'transparent': painted.clear
    and f'{painted.clear:.1%} of it, laid over the background '
    f'{reading.background}',
  }
  return {kind: line for kind, line in lines.items() if line}
