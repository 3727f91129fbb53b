"""Transferred images must not fool where gradient-based attacks fail (Athalye et al. 2018)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from robench import (
    Adversarial,
    Attack,
    Check,
    CheckContext,
    Finding,
    LogitsModel,
    ThreatModel,
    frozen_stats,
    register_check,
)
from robench.checks.contract import Share
from robench.checks.gradient_free import MISSED, not_stronger
from robench.models.frozen import placed, under_attack


@register_check("transfer", reference="arXiv:1802.00420")
@dataclass(frozen=True)
class Transfer(Check):
    """Adversarial images from another network fool no image that gradient-based attacks missed.

    Attributes:
        missed: fraction of the samples left by gradient-based attacks that they may have missed.
    """

    findings = ("transfer",)

    missed: Share = MISSED

    def run(self, context: CheckContext) -> Finding:
        """Transfer the perturbations of the standard attack on the context's ``source``."""
        source = context.source
        if source is None or source is context.model:
            why = (
                "No other network was given"
                if source is None
                else "It is the reference network itself"
            )
            return Finding("transfer", None, f"{why}: nothing could be transferred to it.")
        outcomes = context.run(Transferred(source, context.standard()))[0]
        fooled = context.fooled_inside(outcomes)
        return not_stronger("transfer", context, "PGD on another network", fooled, self.missed)


@dataclass(frozen=True, eq=False)
class Transferred(Attack):
    """An attack that searches on another network and never queries the model under attack.

    Attributes:
        source: images in [0, 1] -> logits; left unchanged.
        search: the attack on the source.
    """

    source: nn.Module = field(repr=False)
    search: Attack

    @property
    def threat_model(self) -> ThreatModel | None:
        """The threat model of the search."""
        return self.search.threat_model

    def perturb(
        self, model: LogitsModel, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
    ) -> Adversarial:
        """Search on the source; ``model`` is not queried."""
        source = self.source
        with placed(source, images.device), frozen_stats(source), under_attack(source):
            found = self.search.perturb(source, images, labels, rngs).images
        none = torch.zeros(len(images), dtype=torch.int64)
        return Adversarial(found, none, none, none)
