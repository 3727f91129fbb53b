"""What a check is to the suite."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from robench.checks.context import CheckContext
from robench.checks.report import Finding

Count = Annotated[int, Field(ge=1)]
"""An option that counts something."""

Share = Annotated[float, Field(ge=0, le=1)]
"""An option that is a part of a whole."""


@dataclass(frozen=True)
class Check(ABC):
    """One way in which robustness can be overstated, and how to notice. Fields are its options.

    A check is stateless. It reads the network through its context, which hands out logits and the
    outcomes of attacks, and leaves the network as it was.
    """

    findings: ClassVar[tuple[str, ...]]
    """The names of what :meth:`run` returns, which are the flags of rows that fail: lower case,
    digits and ``_``, at most 40 characters."""
    by_default: ClassVar[bool] = True
    """It is run unless other checks are asked for by name."""
    requires: ClassVar[str] = ""
    """The optional package that it needs, as in ``pip install``; "" where there is none."""

    @abstractmethod
    def run(self, context: CheckContext) -> Finding | Sequence[Finding]:
        """Return one finding per name in :attr:`findings`, in their order.

        Random numbers of torch are seeded anew before each check. An exception becomes a finding
        that could not be made, with the exception's message for a reason.

        Args:
            context: the network, its images, and the attacks on it that are known.
        """
