"""``robench certify``: prove radii of a network, and attack what was proved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor

from robench.board.attack_calls import build_attack, expand_calls
from robench.certificates import Certificate, certify
from robench.commands.attack import Target
from robench.errors import UserError
from robench.evaluation.adversarial import adversarial_images
from robench.evaluation.options import EvaluationOptions
from robench.expressions import typed_number


@dataclass(frozen=True, eq=False)
class Certified:
    """What was proved of a network on a set of images, and what an attack found.

    Attributes:
        certificate: the bounds.
        radii: (n,) float64, the certified radius of each image; 0 if it is misclassified.
        clean: share of images that the network in float64 classifies correctly.
        table: one row per radius: ``radius``; ``certified``, the share of images with that radius
            or a larger one; ``attacked``, the share that the attack did not fool; and ``unsound``,
            the number of images that it fooled within their own certified radius.
        layers: one row per layer: ``layer``, ``kind``, ``norm``.
    """

    certificate: Certificate
    radii: Tensor
    clean: float
    table: pd.DataFrame
    layers: pd.DataFrame

    @property
    def unsound(self) -> int:
        """Images that were fooled within their certified radius: 0, or a proof is wrong."""
        return int(self.table["unsound"].sum())

    def facts(self) -> dict[str, Any]:
        """Return the figures of the whole network."""
        return {
            "images": len(self.radii),
            "clean": self.clean,
            "mean_radius": float(self.radii.mean()),
            "lipschitz": self.certificate.lipschitz,
            "rounding": self.certificate.logits.error,
            "unsound": self.unsound,
        }

    def images(self) -> pd.DataFrame:
        """Return the certified radius of each image."""
        return pd.DataFrame({"image": range(len(self.radii)), "radius": self.radii.tolist()})


def radii_of(text: str) -> tuple[float, ...]:
    """Read radii that are separated by commas, such as ``36/255,0.5``.

    Raises:
        UserError: if one is not a positive number.
    """
    found = [typed_number(part.strip()) for part in text.split(",")]
    for value, part in zip(found, text.split(","), strict=True):
        if not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise UserError(
                f"'{part.strip()}' is not a radius: give positive numbers separated by commas, "
                f"such as 36/255,72/255."
            )
    return tuple(map(float, found))


def certify_target(
    target: Target,
    radii: Sequence[float],
    attack: str,
    *,
    options: EvaluationOptions | None = None,
) -> Certified:
    """Prove the radii of a network's test images, and attack them in L2 at each radius.

    Args:
        target: the network and its images.
        radii: radii in L2, for images in [0, 1].
        attack: the attack; it inherits the norm L2, each radius and a quarter of it as its step.
        options: how to attack.

    Raises:
        UserError: if a part of the network has no proved bound, or the attack is not one in L2.
    """
    _check_attack(attack)
    images, labels = target.sample.images.float() / 255, target.sample.labels
    certificate = certify(target.model, target.sample.image_shape)
    logits = certificate.predict(images)
    proved = certificate.radii_at(logits, labels)
    clean = logits.argmax(1) == labels
    rows: list[dict[str, Any]] = []
    for radius in radii:
        defaults = _in_l2(radius)
        evaluation, evaluated = adversarial_images(
            target.model, images, labels, [attack], defaults=defaults, options=options
        )
        unsound = _within(certificate, images, evaluated[attack].images, labels, proved)
        rows.append(
            {
                "radius": radius,
                "certified": float((proved >= radius).double().mean()),
                "attacked": evaluation.accuracy(attack),
                "unsound": int(unsound.sum()),
            }
        )
    layers = [(step.name, step.kind, step.layer.norm) for step in certificate.steps]
    return Certified(
        certificate,
        proved,
        float(clean.double().mean()),
        pd.DataFrame(rows),
        pd.DataFrame(layers, columns=["layer", "kind", "norm"]),
    )


def _in_l2(radius: float) -> dict[str, Any]:
    return {"norm": "l2", "eps": radius, "step_size": radius / 4}


def _check_attack(call: str) -> None:
    """Check that an attack is one in L2, before it takes any time."""
    calls = expand_calls([call])
    balls = [build_attack(each, _in_l2(1.0)).threat_model for each in calls]
    if len(calls) > 1 or balls[0] is None or balls[0].norm != "l2":
        raise UserError(f"'{call}' does not keep to a ball in L2, which is what is proved.")


def _within(
    certificate: Certificate, images: Tensor, found: Tensor, labels: Tensor, radii: Tensor
) -> Tensor:
    """Return which images are misclassified in float64 nearer than their certified radius."""
    found = found.clamp(0, 1)  # an attack may leave the box by a rounding
    distances = (found.double() - images.double()).flatten(1).norm(dim=1)
    fooled = certificate.predict(found).argmax(1) != labels
    return fooled & (distances < radii)
