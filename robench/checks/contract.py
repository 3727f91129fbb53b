"""The interface of a check."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from robench.checks.context import CheckContext
from robench.checks.report import Finding

Count = Annotated[int, Field(ge=1)]
"""An option that is a count."""

Share = Annotated[float, Field(ge=0, le=1)]
"""An option that is a fraction."""


@dataclass(frozen=True)
class Check(ABC):
    """A test for one way in which robustness can be overstated. Its fields are its options.

    A check is stateless. It sees the network through its context, which provides logits and the
    outcomes of attacks, and leaves the network unchanged.
    """

    findings: ClassVar[tuple[str, ...]]
    """The names of the findings that :meth:`run` returns, which are the flags of rows that fail:
    lower-case letters, digits and ``_``, at most 40 characters."""
    by_default: ClassVar[bool] = True
    """Whether it runs unless other checks are requested by name."""
    requires: ClassVar[str] = ""
    """The optional package that it needs, as in ``pip install``; "" if it needs none."""

    @abstractmethod
    def run(self, context: CheckContext) -> Finding | Sequence[Finding]:
        """Return one finding per name in :attr:`findings`, in their order.

        Torch's random number generator is reseeded before each check. An exception becomes a
        finding that could not be made, with the exception's message as the reason.

        Args:
            context: the network, its images, and the known attacks on it.
        """
