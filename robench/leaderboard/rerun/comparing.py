"""Compare the outcomes of two evaluations of a network image by image.

Attacks draw their random numbers per image from the published seed, so the same network gives the
same outcomes; only rounding differs between machines. It was measured on ``quick`` (5 networks,
1,000 images, noise, FGSM, PGD-10 and PGD-20): with one thread or two and from one commit to another
nothing differed, sizes of perturbations included. With float32 gradients that are rounded in
another order, no prediction under attack differed, and sizes on up to 16 images. With float32
gradients in the place of bf16 ones predictions differed on up to 38 images, of which 19 were fooled
and 19 resisted (0 on the most robust network); with another seed on up to 57, 28 and 29.
"""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from scipy.stats import binomtest

from robench.evaluation import Outcomes
from robench.evaluation.agreement import Precision

REPRODUCED, NOT = "reproduced", "not reproduced"
"""The verdict on a column whose outcomes are equal on every image, and on one that is refuted."""

HANDFUL = 0.003
"""Share of the images whose outcome may differ on the same kind of device, though at least one
image may. Kinds are told by name, and one name may stand for chips that round differently."""

MOST = {"float32": 0.01, "bf16": 0.05}
"""Share of the images whose outcome may differ through rounding on another kind of device, by the
precision of the gradients; bf16 if either evaluation took them in bf16."""

MOST_DRAWN = 0.1
"""The same for attacks of libraries, which draw their random numbers on the device: there it is
as with another seed."""

LEVEL = 0.01
"""Significance level of the sign test on the images that differ."""

Reason = Literal["rounding", "random numbers", "other weights"]
"""Why outcomes may differ on some images: how many depends on it."""


@dataclass(frozen=True)
class Conditions:
    """What two evaluations of a network have in common.

    Attributes:
        same_device: both ran on the same kind of device, with the same version of torch.
        gradients: the precision in which attacks took gradients.
        library: the attack draws its random numbers on the device, as those of libraries do.
        reason: what makes outcomes differ: ``random numbers`` for a network that draws its own in
            each forward, ``other weights`` for one that was trained again with another result.
    """

    same_device: bool
    gradients: Precision = "float32"
    library: bool = False
    reason: Reason = "rounding"

    def allowed(self, images: int) -> int:
        """Return on how many of so many images outcomes may differ in both directions together."""
        if self.reason != "rounding":
            return images
        share = (
            HANDFUL if self.same_device else MOST_DRAWN if self.library else MOST[self.gradients]
        )
        return max(1, int(share * images))


@dataclass(frozen=True)
class Changes:
    """On how many images the outcomes of two evaluations differ.

    Attributes:
        images: number of images of the first evaluation.
        fooled: images on which the attack fails in the first and succeeds in the second.
        resisted: images on which it succeeds in the first and fails in the second.
        other: further images, on which only sizes, counts or the rounded image differ.
        complete: whether both evaluations have the same number of images.
    """

    images: int
    fooled: int = 0
    resisted: int = 0
    other: int = 0
    complete: bool = True

    @classmethod
    def between(cls, published: Outcomes, found: Outcomes) -> "Changes":
        """Compare two outcomes of the same column."""
        if len(published) != len(found):
            return cls(len(published), complete=False)
        fooled = published.robust & ~found.robust
        resisted = found.robust & ~published.robust
        names = [field.name for field in fields(Outcomes)]
        unequal = [getattr(published, name) != getattr(found, name) for name in names]
        other = np.logical_or.reduce(unequal) & ~fooled & ~resisted
        return cls(len(published), int(fooled.sum()), int(resisted.sum()), int(other.sum()))

    @property
    def predictions(self) -> int:
        """The number of images on which the prediction under attack differs."""
        return self.fooled + self.resisted if self.complete else self.images

    def verdict(self, conditions: Conditions) -> str:
        """Return the verdict on the published outcomes.

        On the same kind of device everything must be equal, sizes and counts included, but for a
        handful of images; a difference is no rounding if it only ever favors the publisher.
        Elsewhere, and where random numbers or weights differ, images must be lost and won alike: a
        one-sided sign test (1%) rejects figures in whose favor too many of the differing images
        are, and rounding may change only a small share of the images at all.
        """
        if not self.complete:
            return NOT
        strict = conditions.same_device and conditions.reason == "rounding"
        differing = self.predictions + (self.other if strict else 0)
        if differing == 0:
            return REPRODUCED
        favored = self.fooled > 0 and self.resisted == 0
        wrong = favored if strict else self.fooled_p() < LEVEL
        if wrong or differing > conditions.allowed(self.images):
            return NOT
        noun = "image" if differing == 1 else "images"
        return f"{REPRODUCED} but for {differing} {noun} ({conditions.reason})"

    def fooled_p(self) -> float:
        """Return the p-value of the one-sided sign test: are more images fooled than resisted?

        It is McNemar's exact test: an image whose outcome is decided by rounding or by a random
        start is as likely to be fooled in one evaluation as in the other.
        """
        if self.predictions == 0 or not self.complete:
            return 1.0
        test = binomtest(self.fooled, self.predictions, alternative="greater")
        return float(test.pvalue)
