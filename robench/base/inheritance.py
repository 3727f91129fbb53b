"""Which of a call's defaults an entry inherits: a radius and what is meant for it stay together.

A call of several attacks gives them defaults, such as a radius and a step size for it. An attack
that sets another radius of its own must not take the step size of the first one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RadiusOptions:
    """What an attack calls the options of its threat model; libraries have several names for one.

    An attack that sets one of the names of an option inherits none of the others, and one that sets
    a radius inherits no step size meant for another radius.

    Attributes:
        norm: names of the norm.
        radius: names of the radius.
        step: names of the step size.
    """

    norm: tuple[str, ...] = ("norm",)
    radius: tuple[str, ...] = ("eps",)
    step: tuple[str, ...] = ("step_size",)

    def same_option(self, name: str) -> tuple[str, ...]:
        """Return all names of the option ``name``, itself included."""
        for names in (self.norm, self.radius, self.step):
            if name in names:
                return names
        return (name,)

    def inherited(self, own: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        """Return the defaults that an attack with the options ``own`` inherits.

        Values are compared, so that fractions such as "8/255" must be numbers by now.
        """
        kept = {k: v for k, v in defaults.items() if not set(self.same_option(k)) & own.keys()}
        if self._has_another_radius(own, defaults):
            kept = {k: v for k, v in kept.items() if k not in self.step}
        return kept

    def _has_another_radius(self, own: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
        radius, usual = (  # no sets: a list, which is refused later, could not be in one
            [values[name] for name in self.radius if name in values] for values in (own, defaults)
        )
        return bool(radius) and radius != usual
