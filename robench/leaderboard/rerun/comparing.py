"""Compare the outcomes of two evaluations of a network image by image.

Attacks draw their random numbers per image from the published seed, so the same network gives the
same outcomes; only rounding differs between machines. It was measured on ``quick`` (5 networks,
1,000 images, noise, FGSM, PGD-10 and PGD-20): with one thread or two nothing differed, sizes of
perturbations included; from one commit to another only hashes of weights were compared, and agreed.
With float32 gradients that are rounded in another order, no prediction under attack differed, and
sizes on up to 16 images. With float32 gradients in the place of bf16 ones predictions differed on
up to 38 images, of which 19 were fooled and 19 resisted (0 on the most robust network); with
another seed on up to 57, 28 and 29.

All tests look at both directions: a figure that is too high flatters its row, and one that is too
low the rows that compete with it.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from robench.evaluation import Outcomes
from robench.evaluation.agreement import Precision
from robench.evaluation.outcomes import relative_difference
from robench.leaderboard.rerun.sizes import SIZES, is_lopsided, is_skewed, shift

REPRODUCED, NOT, OTHER = "reproduced", "not reproduced", "other weights"
"""The verdict on a column whose outcomes are equal on every image, on one that is refuted, and how
the one begins on a column of another network, which neither shows nor refutes anything."""

HANDFUL = 0.003
"""Share of the images whose outcome may differ on the same kind of device. Kinds are told by name,
and one name may stand for chips that round differently."""

MOST = {"float32": 0.01, "bf16": 0.05}
"""Share of the images whose outcome may differ through rounding on another kind of device, by the
precision of the gradients; bf16 if either evaluation took them in bf16."""

MOST_DRAWN = 0.1
"""The same for attacks of libraries, which draw their random numbers on the device: there it is
as with another seed."""

FEWEST = 2
"""Number of images that may differ unless the devices compute the same, however few there are."""

NET = 0.005
"""Share of the images by which rounding may raise or lower a figure; 3 images at least. Where
honest outcomes differ on more images, chance alone moves it further: see :data:`DIFFERED`."""

DIFFERED = {"float32": 0.0, "bf16": 0.038}
DIFFERED_DRAWN = 0.057
"""Share of the images on which honest predictions were seen to differ, as measured above."""

MOVED = 0.05
"""Relative difference between two sizes of a perturbation that a few signs of gradients, decided by
rounding, do not explain."""

LEVEL = 0.01
"""Significance level of the sign test on the images that differ, for all columns together."""

Reason = Literal["rounding", "random numbers", "other weights", "earlier attack"]
"""Why outcomes may differ on some images: how many depends on it."""


@dataclass(frozen=True)
class Conditions:
    """What two evaluations of a network have in common.

    Attributes:
        same_device: both ran on the same kind of device, with the same version of torch.
        bitwise: sizes agree to the bit wherever the prediction is the same, but for images that
            were made otherwise, so that the two devices of a kind compute the same.
        gradients: the precision in which attacks took gradients.
        library: the attack draws its random numbers on the device, as those of libraries do.
        reason: what makes outcomes differ: ``random numbers`` for a network that draws its own in
            each forward, ``other weights`` for one that was trained again with another result,
            ``earlier attack`` for an attack that has changed since.
    """

    same_device: bool
    bitwise: bool = True
    gradients: Precision = "float32"
    library: bool = False
    reason: Reason = "rounding"

    @property
    def strict(self) -> bool:
        """Whether sizes and counts must be equal, too."""
        return self.same_device and self.reason == "rounding"

    @property
    def share(self) -> float:
        """The share of the images on which outcomes may differ."""
        if self.reason == "earlier attack":
            return MOST_DRAWN
        if self.reason != "rounding":
            return 1.0
        if self.same_device:
            return HANDFUL
        return MOST_DRAWN if self.library else MOST[self.gradients]

    def allowed(self, images: int) -> int:
        """Return on how many of so many images outcomes may differ in both directions together.

        On another device it is at least what is exceeded by chance in 1% of the cases if as large a
        share of them differs as was seen to differ.
        """
        least = 1 if self.strict and self.bitwise else FEWEST
        if self.reason == "rounding" and not self.same_device:
            least = max(least, int(binom.isf(LEVEL, images, self._differed)))
        return max(least, int(self.share * images))

    @property
    def _differed(self) -> float:
        """The share of the predictions that was seen to differ on another device."""
        drawn = self.library or self.reason == "earlier attack"
        return DIFFERED_DRAWN if drawn else DIFFERED[self.gradients]

    def allowed_net(self, images: int) -> int:
        """Return by how many images a figure may be higher or lower.

        On another device it is the largest of 3 images, :data:`NET`, and what is exceeded by
        chance in 2% of the cases if as many predictions differ as were seen to differ.
        """
        if self.reason not in ("rounding", "earlier attack"):
            return images
        return max(3, int(NET * images), int(2.33 * math.sqrt(self._differed * images)))

    @property
    def unopposed(self) -> int:
        """On how many images outcomes may differ in one direction and on none in the other."""
        return 0 if self.bitwise else FEWEST


@dataclass(frozen=True)
class Changes:
    """On how many images the outcomes of two evaluations differ.

    Attributes:
        images: number of images of the first evaluation.
        fooled: images on which the attack fails in the first and succeeds in the second.
        resisted: images on which it succeeds in the first and fails in the second.
        other: further images, on which only sizes, counts or the rounded image differ.
        sized: those of the further images on which sizes differ.
        shift: median relative difference of these sizes.
        moved: number of images that the attack moved along gradients.
        walked: those of them that it moved in more than one step.
        lopsided: whether most of these perturbations are longer in the one evaluation.
        skewed: see :func:`robench.leaderboard.rerun.sizes.is_skewed`.
        unexplained: images that differ as rounding makes none differ: they were moved by the same
            Euclidean length, to the bit, and yet have another prediction, count or greatest change;
            or only this length differs, by more than :data:`MOVED`.
        complete: whether both evaluations have the same number of images.
        signs: for each image 1 if it is fooled in the second only, -1 if in the first only, else 0.
    """

    images: int
    fooled: int = 0
    resisted: int = 0
    other: int = 0
    sized: int = 0
    shift: float = 0.0
    moved: int = 0
    walked: int = 0
    lopsided: bool = False
    skewed: bool = False
    unexplained: int = 0
    complete: bool = True
    signs: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(0, np.int64), repr=False, compare=False
    )

    @classmethod
    def between(cls, published: Outcomes, found: Outcomes) -> "Changes":
        """Compare two outcomes of the same column."""
        if len(published) != len(found):
            return cls(len(published), complete=False)
        signs = published.robust.astype(np.int64) - found.robust
        names = [field.name for field in fields(Outcomes)]
        unequal = {name: getattr(published, name) != getattr(found, name) for name in names}
        same = signs == 0
        sized = (unequal["linf"] | unequal["l2"]) & same
        others = np.logical_or.reduce([unequal[name] for name in names if name not in SIZES])
        # An image that was not moved, as all clean ones, may lie on the boundary of two classes.
        still = ~unequal["l2"] & (published.l2 > 0) & (others | unequal["linf"])
        far = ~others & (relative_difference(published.l2, found.l2) > MOVED)
        return cls(
            len(published),
            fooled=int((signs > 0).sum()),
            resisted=int((signs < 0).sum()),
            other=int((np.logical_or.reduce([*unequal.values()]) & same).sum()),
            sized=int(sized.sum()),
            shift=shift(published, found, sized),
            moved=int(((published.l2 > 0) & (published.backwards > 0)).sum()),
            walked=int(((published.l2 > 0) & (published.backwards > 1)).sum()),
            lopsided=is_lopsided(published.l2[sized], found.l2[sized]),
            skewed=is_skewed(published, found, same),
            unexplained=int((still | far).sum()),
            signs=signs,
        )

    @property
    def predictions(self) -> int:
        """The number of images on which the prediction under attack differs."""
        return self.fooled + self.resisted if self.complete else self.images

    @property
    def net(self) -> int:
        """How many images the published figure has more than the one that was found."""
        return self.fooled - self.resisted

    def verdict(self, conditions: Conditions, columns: int = 1) -> str:
        """Return the verdict on the published outcomes.

        On the same kind of device everything must be equal, sizes and counts included, but for a
        handful of images; it is no rounding if three or more differ in one direction and none in
        the other, or if one does while everything else is equal to the bit, or if one differs then
        as rounding makes none differ. Elsewhere, and where random numbers differ, images must be
        lost and won alike: a sign test (1% for all columns together, Bonferroni) rejects figures
        for which too many of the differing images are, or too few, and rounding may change only a
        small share of the images at all, and gain or lose only a few net; queries, too, must be
        more and fewer alike. A network that got other weights is another one, which may be better
        or worse on all images together, so that nothing is rejected.

        Args:
            conditions: what both evaluations have in common.
            columns: how many columns are compared in all.
        """
        if not self.complete or (self.skewed and conditions.reason == "rounding"):
            return NOT
        differing = self.predictions + (self.other if conditions.strict else 0)
        if differing == 0:
            return REPRODUCED
        noun = "image" if differing == 1 else "images"
        side = "in favor of" if self.net > 0 else "against"
        net = f", net {abs(self.net)} {side} the published figure" if self.net else ""
        if conditions.reason == "other weights":
            return f"{OTHER}: {differing} {noun} differ{'s' if differing == 1 else ''}{net}"
        one_way = conditions.strict and 0 in (self.fooled, self.resisted)
        if conditions.strict and conditions.bitwise and self.unexplained > 0:
            return NOT
        if (
            (one_way and self.predictions > conditions.unopposed)
            or differing > conditions.allowed(self.images)
            or abs(self.net) > conditions.allowed_net(self.images)
            or self.sign_p() < LEVEL / columns
        ):
            return NOT
        return f"{REPRODUCED} but for {differing} {noun}{net} ({conditions.reason})"

    def sign_p(self) -> float:
        """Return the p-value of the two-sided sign test: are as many images fooled as resisted?

        It is McNemar's exact test: an image whose outcome is decided by rounding or by a random
        start is as likely to be fooled in one evaluation as in the other.
        """
        if self.predictions == 0 or not self.complete:
            return 1.0
        return float(binomtest(self.fooled, self.predictions).pvalue)
