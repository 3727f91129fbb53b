"""The sentences of checks that name why an attack fails: state, roughness, a wrong gradient."""

from collections.abc import Mapping

from robench.leaderboard.audit import all_fooled, ends, figures
from robench.leaderboard.audit.figures import TIES, Figures, Seen
from robench.leaderboard.audit.form import CHANCE, Form, N, P

_NONE_RIGHT = r"The network gets (?:no image|none of the images) right: .+\."
_CUT = r"The logits are cut off from the image: there is no gradient to compare\."
_RANDOM = r"The network is random, so that .+ cannot be (?:compared|taken)\."
_ALL_FOOLED = r"The standard attack fools every image that it is followed on\."
_SURE = rf"On {N} of {N} images \({P}\) the probability of the true class is exactly 1 in float32"
_SURE_LEFT = (
    rf"{_SURE}; of these, PGD on the cross-entropy leaves {N} right and PGD on the margin {N}"
)
_LIKE = rf"On {N} of {N} images \({P}\) the outputs are not negative and add up to 1"
_ROUGH = (
    rf"On {N} of {N} images? \({P}\) a perturbation of a quarter of an attack's step or less "
    r"changes the logits by more than 60% of what the whole step does"
)
_WRONG = (
    rf"On {N} of {N} images? \({P}\) the gradient disagrees with finite differences of the logits "
    r"\(median cosine -?\d\.\d\d\)"
)
_TURNED = (
    r"Random perturbations of 3\.1% of the radius turn the gradient to a cosine of "
    rf"(-?\d\.\d\d) \(median of {N} images?\)"
)
_JUMPS = (
    r"On the way from an image to a random point of the ball the logits jump for "
    rf"{N} of {N} images? \({P}\): 20% of their change or more within 0\.0031% of the way"
)
_LOSSES = rf"PGD with 20 steps leaves {P} of {N} images? on the cross-entropy and {P} on the margin"
_RISING = (
    rf"On {N} of {N} images? left the loss still rises by more than 5% of its range in the last 2 "
    rf"of 20 steps of PGD; 100 steps leave {P} where 20 leave {P}"
)
_ADAPTED = rf"{_RISING}, and 50 steps of APGD {P}"
_PASSED = rf"Of {N} images? left by PGD {N} were in another class at one of its steps"
_ALONE = r"(?:than|that they get) on a copy that was asked nothing before"


INCOMPARABLE = (Form(None, _RANDOM), Form(None, _CUT))
"""Of networks that are random, or whose gradients are cut off."""


def _none_right(found: Figures, seen: Seen) -> bool:
    return seen.correct <= TIES


CAUSES: Mapping[str, tuple[Form, ...]] = {
    "stateful": (
        Form(True, rf"After \d{{1,9}} other quer(?:y|ies) images get the logits {_ALONE}\."),
        Form(
            False,
            r"Asked \d{1,9} times, the same images get logits that differ by .+ of their spread: "
            r"the network keeps a state, and its answers depend on how often it was asked\.",
        ),
        Form(
            False,
            rf"Asked after an image close to them, {N} of {N} images? get another class {_ALONE}, "
            r"and their logits differ by .+ of their spread: the network remembers what it was "
            r"asked\.",
            figures.at_most_all,
        ),
        Form(None, r"The network cannot be copied \(.+\)\."),
        Form(None, r"Two copies of the network differ: it is random, beyond torch's seed\."),
        Form(None, r"No two close images in different classes were found\."),
    ),
    "saturated_probability": (
        Form(True, rf"{_SURE}\.", figures.few_sure),
        Form(True, rf"{_SURE_LEFT}: no more than chance explains\.", figures.sure(True)),
        Form(
            False,
            rf"{_SURE_LEFT}: the saturation hides the difference \({CHANCE}\)\.",
            figures.sure(False),
        ),
        Form(None, _NONE_RIGHT, _none_right),
    ),
    "probability_outputs": (
        Form(True, rf"{_LIKE}: they are no probabilities\.", figures.probabilities(True)),
        Form(
            False,
            rf"{_LIKE}: the network returns probabilities, whose cross-entropy has hardly a "
            r"gradient; let it return the logits\.",
            figures.probabilities(False),
        ),
        Form(
            False,
            rf"On {N} of {N} images \({P}\) all outputs lie between 0 and 1, and on {N} they come "
            r"within 0\.1 of both: the network returns probabilities, whose cross-entropy has "
            r"hardly a gradient; let it return the logits\.",
            figures.probabilities_of_each,
        ),
    ),
    "autograd_in_forward": (
        Form(True, r"A forward pass runs no backward pass\."),
        Form(
            False,
            r"A forward pass runs \d{1,9} backward pass(?:es)? inside: an optimization loop, a "
            r"purification or a detector by gradients, through which attacks get no useful "
            r"gradient\.",
        ),
    ),
    "wrong_gradient": (
        Form(
            True,
            rf"{_WRONG}: it is the derivative of the logits\.",
            figures.more_than_tolerated("wrong_gradient", True),
        ),
        Form(
            False,
            rf"{_WRONG}, {CHANCE}: the backward pass does not compute the derivative of the "
            r"forward pass, and attacks are led astray\.",
            figures.more_than_tolerated("wrong_gradient", False),
        ),
        Form(
            False,
            rf"On {N} of {N} images? \({P}\) the gradient agrees with finite differences of the "
            r"logits only in part \(median cosine -?\d\.\d\d(?:; on \d{1,9} the logits change "
            rf"with values whose gradient is zero)?\), {CHANCE}: the backward pass "
            r"leaves something out, such as pixels or channels, and attacks do not move it\.",
            figures.more_than_tolerated("wrong_gradient", False, "partial"),
        ),
        *INCOMPARABLE,
        Form(None, r"The gradient is zero, or the logits are flat or rough, around most images\."),
        Form(None, _NONE_RIGHT, _none_right),
    ),
    "rough_logits": (
        Form(
            True,
            rf"{_ROUGH}: the logits are smooth\.",
            figures.more_than_tolerated("rough_logits", True),
        ),
        Form(
            False,
            rf"{_ROUGH} \({CHANCE}\): the logits are rough, as with noise that is computed from "
            r"the image or a ripple on the logits, and no gradient leads through\.",
            figures.more_than_tolerated("rough_logits", False),
        ),
        Form(None, _RANDOM),
        Form(None, _NONE_RIGHT, _none_right),
    ),
    "unstable_gradient": (
        Form(True, rf"{_TURNED}: it is stable\.", figures.turned(True)),
        Form(
            False,
            rf"{_TURNED}: gradients are shattered, and a step along one does not lead where it "
            r"points\.",
            figures.turned(False),
        ),
        Form(
            True,
            rf"{_TURNED}, and on {N} of them to less than 0\.5: too few images to tell "
            rf"\({CHANCE}\)\.",
            figures.turned_on(True),
        ),
        Form(
            False,
            rf"{_TURNED}, and on {N} of them to less than 0\.5 \({CHANCE}\): gradients are "
            r"shattered, and a step along one does not lead where it points\.",
            figures.turned_on(False),
        ),
        *INCOMPARABLE,
        Form(None, r"The gradient is zero or not finite at every image\."),
        Form(None, _NONE_RIGHT, _none_right),
    ),
    "discontinuous": (
        Form(
            True,
            rf"{_JUMPS}: they are continuous\.",
            figures.more_than_tolerated("discontinuous", True),
        ),
        Form(
            False,
            rf"{_JUMPS} \({CHANCE}\): a branch decides there, as of a detector or a quantization, "
            r"and gradients tell of one side only\.",
            figures.more_than_tolerated("discontinuous", False),
        ),
        Form(None, _RANDOM),
        Form(None, _NONE_RIGHT, _none_right),
    ),
    "other_loss": (
        Form(
            True,
            rf"{_LOSSES}: 8 points or less apart, or by chance\.",
            figures.losses_alike,
        ),
        Form(
            False,
            rf"{_LOSSES} \({N} are fooled by the latter alone, {N} by the former; {CHANCE}\): the "
            r"cross-entropy does not lead into the nearest class\.",
            figures.losses_differ,
        ),
    ),
    "zero_gradients_by_class": (
        Form(True, rf"In each of {N} classes most images have a gradient\."),
        Form(
            False,
            rf"In {N} of {N} classes most images have a gradient of zero or none: class .+\. "
            r"Attacks see a flat network there\.",
            figures.at_most_all,
        ),
        Form(None, r"The gradient is zero or missing in every class, not in some only\."),
        Form(None, rf"No class has {N} images that are right\."),
        Form(None, _NONE_RIGHT, _none_right),
    ),
    "incomplete_optimization": (
        Form(True, _ALL_FOOLED, all_fooled.all_passed),
        Form(None, _RANDOM),
        Form(True, rf"{_ADAPTED}: it does not end too early\.", ends.complete),
        Form(
            False,
            rf"{_ADAPTED}: the attack ends before it has found what it can \({CHANCE}\)\.",
            ends.incomplete,
        ),
        Form(True, rf"{_RISING}: it does not end too early\.", ends.complete_then),
        Form(
            False,
            rf"{_RISING}: the attack ends before it has found what it can \({CHANCE}\)\.",
            ends.incomplete_then,
        ),
    ),
    "silent_success": (
        Form(True, _ALL_FOOLED, all_fooled.all_followed),
        Form(None, _RANDOM),
        Form(True, rf"{_PASSED}: it keeps what it finds\.", ends.lost(True)),
        Form(
            False,
            rf"{_PASSED}, more than the 10% that whole steps explain \({CHANCE}\): the attack "
            r"finds adversarial images and loses them again\.",
            ends.lost(False),
        ),
    ),
    "batch_dependence": (
        Form(True, r"Images get the same logits alone, .+\."),
        Form(
            False,
            r"An image's logits differ by .+ of their spread .+: what it is taken for depends on "
            r"its batch, and a batch of adversarial images is not what an attacker sends\.",
        ),
        Form(None, _RANDOM),
    ),
}
"""Finding -> the sentences that its check writes."""
