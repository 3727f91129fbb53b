"""Certified accuracy: what no attack can undercut (arXiv:1802.04034), from Lipschitz bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from robench import Attack, Proof, ThreatModel, UserError, certify, register_attack
from robench.attack_tools.threat_models import check_radius

USUAL = ("36/255", "72/255", "108/255", 1)
"""The radii at which papers on Lipschitz networks compare them."""


@register_attack("certified", reference="arXiv:1802.04034")
@dataclass(frozen=True)
class Certified(Attack):
    """A certificate in L2 from the network's Lipschitz constant; it never attacks.

    An image counts if it is classified correctly and no image within the radius can change that,
    which is proved of the network computed in float64: see :func:`robench.certify`. Of a network
    with a layer whose norm is not bounded, nothing is proved, and the reason is recorded. On a
    board or a command line, ``certified`` alone stands for four columns: 36/255, 72/255, 108/255
    and 1.

    Attributes:
        radius: the radius in L2, for images in [0, 1].

    Raises:
        UserError: if the radius is out of range.
    """

    radius: float = 36 / 255

    def __post_init__(self) -> None:
        check_radius("radius", self.radius, "l2")

    @classmethod
    def expand(cls, options: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """Return the options of each column: the usual radii if none is given."""
        radii = [options["radius"]] if "radius" in options else USUAL
        return tuple({**options, "radius": radius} for radius in radii)

    @property
    def proves(self) -> ThreatModel:
        """The ball in L2."""
        return ThreatModel("l2", self.radius)

    def shared_work(self) -> str:
        """Return one key for all radii: each image has one certified radius."""
        return "certificate"

    def proof(self, model: nn.Module, images: Tensor, labels: Tensor) -> Proof:
        """Return the certified radius of each image, in L2."""
        channels, height, width = images.shape[1:]
        try:
            certificate = certify(model, (channels, height, width))
            radii = certificate.radii(images, labels)
        except UserError as error:
            nothing = torch.zeros(len(images), dtype=torch.float64)
            return Proof(nothing, unproved=str(error))
        return Proof(radii, certificate.lipschitz)
