"""What a caption of a scene claims, asked of a picture."""

from typing import ClassVar

import numpy as np
from jaxtyping import Int

from vbanana_jax.scenes import wording
from vbanana_jax.scenes.claims import KINDS, Claim
from vbanana_jax.scenes.placement import Draws
from vbanana_jax.tasks.claims import Check

# Objects that cover less of a picture are not seen: half of what a caption
# speaks of, see `scenes.facts.visible_slots`.
_LEAST_SHARE = 6 / 64**2


class CaptionClaims:
  """See `tasks.claims.ClaimChecks`.

  An object with its class, color, size, place or support is looked for by a
  referring expression; a number is that of the instances of a class.
  """

  kinds: ClassVar[tuple[str, ...]] = KINDS
  tasks: ClassVar[tuple[str, ...]] = ('referring', 'instance')

  def make_check(self, claim: Claim, rng: np.random.Generator) -> Check:
    """See `tasks.claims.ClaimChecks`."""
    if claim.count:
      return Check('instance', classes=(claim.form.class_name,))
    return Check('referring', wording.write_form(claim.form, Draws(rng)))

  def holds(self, claim: Claim, labels: Int[np.ndarray, 'h w']) -> bool:
    """See `tasks.claims.ClaimChecks`."""
    if claim.count:
      return len(np.unique(labels[labels > 0])) == claim.count
    return bool(np.mean(labels == 1) >= _LEAST_SHARE)
