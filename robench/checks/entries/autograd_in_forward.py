"""A forward pass must not compute gradients of its own.

Purification, optimization loops and detectors that look at gradients run a backward pass inside
the forward pass; what comes out is cut off from the image or costs an attack a second derivative.
RobustBench does not admit them: they make attacks harder, not networks more robust.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count
from robench.checks.searches import best_effort, harder
from robench.checks.wording import some

_ENGINE = "_engine_run_backward"
"""The function of ``torch.autograd`` through which every backward pass of Python goes."""


@register_check("autograd_in_forward", reference="arXiv:2010.09670")
@dataclass(frozen=True)
class AutogradInForward(Check):
    """No backward pass is run during a forward pass.

    Attributes:
        images: number of images of the forward pass.
    """

    findings = ("autograd_in_forward",)

    images: Count = 2

    def run(self, context: CheckContext) -> Finding:
        """Count the backward passes during a forward pass with gradient and one without."""
        name = "autograd_in_forward"
        images = context.images[: self.images].to(context.device)
        with context.opened(), _counted() as passes:
            with torch.no_grad():
                context.ask(images)
            if not passes:
                with torch.enable_grad():
                    context.ask(images.clone().requires_grad_())
        if not passes:
            return Finding(name, True, "A forward pass runs no backward pass.")
        sentence = (
            f"A forward pass runs {some(len(passes), 'backward pass', 'backward passes')} "
            f"inside: an optimization loop, a purification or a detector by gradients, through "
            f"which attacks get no useful gradient."
        )
        return Finding(name, False, sentence, best_effort=best_effort(context, harder))


@contextmanager
def _counted() -> Iterator[list[None]]:
    """Count the backward passes inside the context, one entry for each."""
    passes: list[None] = []
    engine = getattr(torch.autograd, _ENGINE)

    def counting(*arguments: Any, **options: Any) -> Any:
        passes.append(None)
        return engine(*arguments, **options)

    setattr(torch.autograd, _ENGINE, counting)
    try:
        yield passes
    finally:
        setattr(torch.autograd, _ENGINE, engine)
