"""Compare a finding of the checks with the figures in its own sentence, and these with the rest.

The sentences are those of :data:`robench.checks.report.VERSION`. A finding of a check that does not
come with robench is not compared.
"""

import re
from collections.abc import Mapping

from robench.leaderboard.audit import all_fooled, figures
from robench.leaderboard.audit.causes import CAUSES, INCOMPARABLE
from robench.leaderboard.audit.figures import TIES, Figures, Seen
from robench.leaderboard.audit.form import CHANCE, Form, N, P, R
from robench.runs.records import FindingEntry


def sentence_problem(finding: FindingEntry, seen: Seen) -> str | None:
    """Return what is wrong with a finding, or None."""
    forms = FORMS.get(finding.check)
    if forms is None or (finding.passed is None and finding.sentence.startswith(UNJUDGED)):
        return None
    for form in forms:
        match = re.fullmatch(form.text, finding.sentence)
        if match is None:
            continue
        if form.passed is not finding.passed:
            return f"the check '{finding.check}' says {verdict(finding)}, but not its sentence."
        if not form.fits(match.groups(), seen):
            return (
                f"the figures in the sentence of '{finding.check}' cannot be those of its images."
            )
        return None
    return f"the check '{finding.check}' has a sentence that no check writes."


UNJUDGED = "It could not be judged: "
"""How the sentence of a check begins that raised an error."""


def verdict(finding: FindingEntry) -> str:
    """Return the word for the result of a check."""
    return {True: "passed", False: "failed", None: "inconclusive"}[finding.passed]


def _pair(strong: str, weak: str, meaning: str) -> tuple[Form, ...]:
    begin = rf"{strong} leaves {P} of {N} images where {weak} leaves? {P}"
    only = rf"\({N} are fooled by the latter alone, {N} by the former; {CHANCE}\)"
    return (
        Form(True, rf"{begin}: it is not weaker\.", figures.not_weaker),
        Form(False, rf"{begin} {only}: {meaning}\.", figures.weaker),
    )


def _gradient_free(name: str) -> tuple[Form, ...]:
    begin = (
        rf"{name} fools {N} of the (?:first )?{N} images? that no white-box attack fooled \({R}\)"
    )
    many = rf"more than the 2% that bad luck explains \({CHANCE}\)"
    return (
        Form(
            True,
            rf"The white-box attacks fool every image: there is nothing left for {name}\.",
            all_fooled.none_left,
        ),
        Form(True, rf"{begin}: no more than bad luck explains\.", figures.luck(True)),
        Form(
            False,
            rf"{begin}, {many}: gradients do not lead where a way exists\.",
            figures.luck(False),
        ),
    )


_NONE_RIGHT = r"The network gets none of the images right: there is "
_FLAT = (
    rf"On {N} of {N} images \({P}\) the gradient is "
    r"(?:zero or missing|zero, missing or underflows in float32)"
)
_GONE = (
    rf"On {N} of {N} images \({P}\) the gradient of the cross-entropy vanishes in float32 "
    r"\(median margin: [\d.e+-]{1,12} logits\)"
)
_WHOLE = rf"In a ball that holds every image \({R}\) PGD leaves {N} of {N} images right"
_CLIMB = (
    rf"Along 10 steps of PGD the loss ends higher than it began on {N} of {N} images?, and rises "
    r"in (?:\d{1,3}\.\d)% of the steps"
)
_STATISTICS = (
    rf"With running statistics {P} of {N} clean images are right, with those of the batch {P}"
)
_BATCHES = r"In batches of 1, 7 and \d{1,2} images the logits"
_PLANTED = (
    rf"PGD with 20 steps fools {N} of {N} networks? in which an adversarial image was planted "
    r"\(200 random points fool \d{1,9}\)"
)


def _none_right(found: Figures, seen: Seen) -> bool:
    return seen.correct <= TIES


def _some_broken(found: Figures, seen: Seen) -> bool:
    return 0 < int(found[0]) <= int(found[1]) and int(found[1]) in (seen.samples, seen.correct)


def _all_finite(found: Figures, seen: Seen) -> bool:
    return figures.all_right(found[0], seen)


def _too_few(found: Figures, seen: Seen) -> bool:
    return int(found[0]) == seen.samples < 32


FORMS: Mapping[str, tuple[Form, ...]] = {
    "eps_curve": (
        Form(True, r"Accuracy falls with the radius: (.+)\.", figures.falls),
        Form(
            False,
            rf"PGD leaves {P} at {R} but {P} in the larger ball of {R} \({CHANCE}\): "
            r"the attack loses its way\.",
            figures.rises,
        ),
        Form(None, rf"{_NONE_RIGHT}nothing to fool\.", _none_right),
    ),
    "large_eps": (
        Form(True, rf"{_WHOLE}: everything can be reached\.", figures.reaches(True)),
        Form(True, rf"{_WHOLE}: no more than the {P} of guessing\.", figures.reaches(True)),
        Form(
            True,
            rf"{_WHOLE}: no more than the {P} of all {N} that one answer gets right\.",
            figures.one_answer,
        ),
        Form(
            False,
            rf"{_WHOLE}: more than the {P} of guessing \({CHANCE}\): it does not find the way\.",
            figures.reaches(False),
        ),
        Form(None, rf"{_NONE_RIGHT}nothing to fool\.", _none_right),
    ),
    "single_step": _pair(
        "PGD with 20 steps", "one step of FGSM", "many small steps do worse than a large one"
    ),
    "noise_floor": _pair(
        "PGD with 20 steps",
        "random noise of the same size",
        "its gradients say less than chance does",
    ),
    "restricted": (
        *_pair(
            "PGD with 20 steps",
            r"PGD on (?:\d{1,3}% of each image|all but the border|\d+x\d+ pixels at once)",
            "the network answers otherwise where all of the image is perturbed",
        ),
        *INCOMPARABLE,
    ),
    "more_steps": _pair(".+", r"\d+ steps?", "more steps harm it"),
    "more_restarts": _pair(".+", r"(?:one start|\d+ starts?)", "more starts harm it"),
    "black_box": _gradient_free(".+"),
    "transfer": (
        *_gradient_free("PGD on another network"),
        Form(
            None,
            r"(?:No other network was given|It is the reference network itself): nothing could be "
            r"transferred to it\.",
        ),
    ),
    "finite_gradients": (
        Form(True, rf"The gradient is finite on all {N} images?\.", _all_finite),
        Form(False, rf"The logits are not finite on {N} of {N} images\.", _some_broken),
        Form(
            False,
            rf"The gradient is not finite on {N} of {N} images: attacks break down there\.",
            _some_broken,
        ),
        Form(None, rf"{_NONE_RIGHT}no gradient to look at\.", _none_right),
    ),
    "zero_gradients": (
        Form(True, rf"{_FLAT}\.", figures.share(True)),
        Form(False, rf"{_FLAT}: gradient attacks see a flat network there\.", figures.share(False)),
        Form(None, rf"{_NONE_RIGHT}no gradient to look at\.", _none_right),
    ),
    "saturated_loss": (
        Form(True, rf"{_GONE}\.", figures.share(True)),
        Form(False, rf"{_GONE}: an attack that climbs it stands still\.", figures.share(False)),
        Form(None, rf"{_NONE_RIGHT}no gradient to look at\.", _none_right),
    ),
    "loss_rises": (
        Form(True, rf"{_CLIMB}\.", figures.climbs(True)),
        Form(
            False,
            rf"{_CLIMB}, fewer than the 90% that are asked for \({CHANCE}\): its gradients do not "
            r"lead upwards\.",
            figures.climbs(False),
        ),
        Form(None, r"The network gets no image right: no loss can rise\.", _none_right),
    ),
    "same_logits": (
        Form(True, r"Two forwards in eval mode give the same logits\."),
        Form(False, r"Two forwards of the same images differ by .+ are not to be believed\."),
    ),
    "any_batch": (
        Form(True, rf"{_BATCHES} are the same\."),
        Form(
            False,
            rf"{_BATCHES} differ by .+ of their spread in eval mode: what one image gets depends "
            r"on the others\.",
        ),
        Form(None, r"The network is random, so that batches cannot be compared\."),
    ),
    "inside_ball": (
        Form(
            True,
            r"All \d{1,12} perturbations, of \d{1,9} attacks with a ball, keep to it and to "
            r"\[0, 1\]\.",
        ),
        Form(False, r".+ changes a pixel by .+: its images are outside of \[0, 1\]\."),
        Form(False, r".+ claims .+ but moves an image by .+\."),
        Form(None, r"No image was attacked: there is no perturbation to measure\.", _none_right),
    ),
    "train_eval_gap": (
        Form(
            True,
            r"The network keeps no statistics that could differ\.",
            all_fooled.no_statistics,
        ),
        Form(True, rf"{_STATISTICS}\.", figures.gap(True)),
        Form(
            False,
            rf"{_STATISTICS}, \d{{1,3}} points apart \({CHANCE}\): its statistics are not those "
            r"of the data\.",
            figures.gap(False),
        ),
        Form(None, rf"A batch of {N} images is too small to take statistics of it\.", _too_few),
    ),
    "binarization": (
        Form(True, rf"{_PLANTED}\.", figures.planted(True)),
        Form(
            False,
            rf"{_PLANTED}, fewer than the 95\.0% of a sound attack \({CHANCE}\)\.",
            figures.planted(False),
        ),
        Form(None, rf"{_PLANTED}: it is too easy here to say anything\."),
        Form(None, r"The network does not end in a linear layer that could be exchanged\."),
        Form(
            None,
            r"No linear layer tells points inside of the ball from points on its surface\.",
        ),
    ),
    **CAUSES,
}
"""Finding -> the sentences that its check writes."""
