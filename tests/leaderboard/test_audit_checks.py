"""The audit of reports of checks, against a forger who makes every hash right again."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from forging import forge, made_consistent
from published_board import Published
from submitted import copied, only

from robench.checks.order import ORDER, build_checks
from robench.checks.report import FINDINGS_OF_VERSION_1
from robench.leaderboard.audit import audit
from robench.leaderboard.audit.figures import Seen
from robench.leaderboard.audit.findings import FORMS, sentence_problem
from robench.leaderboard.audit.unchecked import unchecked
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission import check_submission
from robench.runs.records import CurvePoint, FindingEntry


def finding(values: dict[str, Any], check: str, **changes: Any) -> None:
    found = next(f for f in values["checks"]["findings"] if f["check"] == check)
    found.update(changes)


def invented(values: dict[str, Any]) -> None:
    extra = {"check": "certified", "passed": True, "sentence": "It is robust."}
    values["checks"]["findings"].append(extra)


def raised(values: dict[str, Any]) -> None:
    values["checks"]["curve"][2]["accuracy"] += 0.05


def as_version_1(values: dict[str, Any]) -> None:
    """Make the report one that an earlier version of robench wrote."""
    found = [f for f in values["checks"]["findings"] if f["check"] in FINDINGS_OF_VERSION_1]
    for entry in found:
        entry.pop("best_effort", None)
    values["checks"].update(version=1, findings=found)


RAISED = "It could not be judged: MemoryError"
CLEAN = "its curve has .* clean images right, but its outcomes|'eps_curve' cannot be those"
FAULTS = {
    "no report": (lambda v: v.update(checks=None), "asks for checks, but it has none"),
    "no findings": (lambda v: v["checks"].update(findings=[]), "not those of this board"),
    "one less": (lambda v: v["checks"]["findings"].pop(4), "not those of this board: noise_floor"),
    "one more": (invented, "not those of this board: certified"),
    "another order": (lambda v: v["checks"]["findings"].reverse(), "of this board: their order"),
    "another version": (lambda v: v["checks"].update(version=9), "version 9 on 20 images, but"),
    "more samples": (lambda v: v["checks"].update(samples=21), "on 21 images, but the board asks"),
    "no curve": (lambda v: v["checks"].update(curve=[]), "accuracy by radius is missing"),
    "another radius": (lambda v: v["checks"]["curve"][1].update(eps=0.03), "radii of its curve"),
    "a share of no count": (
        lambda v: v["checks"]["curve"][1].update(accuracy=0.51), "is no share of 20 images",
    ),
    "another curve": (raised, "'eps_curve' cannot be those|'eps_curve' has a sentence|passed"),
    "another clean accuracy": (lambda v: v["checks"]["curve"][0].update(accuracy=1.0), CLEAN),
    "passed, not failed": (
        lambda v: finding(v, "same_logits", passed=False), "says failed, but not its sentence",
    ),
    "another sentence": (
        lambda v: finding(v, "same_logits", sentence="All is well."), "that no check writes",
    ),
    "a best effort above 1": (
        lambda v: finding(v, "loss_rises", best_effort=1.5), "is 1.5, which is no share of 20",
    ),
    "a best effort of no count": (
        lambda v: finding(v, "loss_rises", best_effort=0.12), "is 0.12, which is no share of 20",
    ),
    "a best effort above the standard attack's": (
        lambda v: finding(v, "loss_rises", best_effort=1.0), "its attacks leave only .* of 20 im",
    ),
    "a best effort of a check that was not made": (
        lambda v: finding(v, "loss_rises", passed=None, sentence=RAISED, best_effort=0.0),
        "is 0, but the check was not made",
    ),
    "a best effort of version 1": (
        lambda v: (as_version_1(v), finding(v, "loss_rises", best_effort=0.0)),
        "but reports of version 1 have none",
    ),
    "spectra": (
        lambda v: v.update(spectra=[{"layer": "net.conv1", "operator": "convolution"}]),
        "spectra, which the board does not ask for",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_forged_report_is_found(published: Published, fault: str) -> None:
    edit, message = FAULTS[fault]
    forge(published, edit)
    found = audit(Leaderboard.read(published.folder))
    assert found
    assert re.search(message, found[0]), found
    assert "'batchnorm'" in found[0]


def test_a_report_that_the_board_does_not_ask_for_is_found(published: Published) -> None:
    forge(published, lambda v: v["board"]["evaluation"].update(checks=False), of="board.json")
    found = audit(Leaderboard.read(published.folder))
    assert ["which the board does not ask for" in problem for problem in found] == [True, True]


def test_what_could_not_be_judged_is_named(published: Published) -> None:
    """Whether a check really failed to be made, only the weights can tell."""
    changes = {"passed": None, "sentence": RAISED, "best_effort": None}
    forge(published, lambda v: finding(v, "loss_rises", **changes))
    board = Leaderboard.read(published.folder)
    assert audit(board) == []
    assert "why loss_rises could not be judged is on trust" in " ".join(unchecked(board))


def test_reports_of_version_1_stay_valid_with_the_checks_of_that_version(
    published: Published,
) -> None:
    forge(published, as_version_1, every=True)
    assert audit(Leaderboard.read(published.folder)) == []
    forge(published, lambda v: v["checks"]["findings"].pop())
    assert "not those of this board: train_eval_gap" in audit(Leaderboard.read(published.folder))[0]


def test_a_submission_has_reports_of_this_version(submission: Path, tmp_path: Path) -> None:
    folder = copied(submission, tmp_path / "submission")
    path = only(folder, "manifests/*")
    values = json.loads(path.read_text())
    as_version_1(values)
    path.write_text(json.dumps(values))
    [problem] = check_submission(made_consistent(folder), rows="0").problems
    assert "checks are of version 1" in problem


def test_a_best_effort_accuracy_that_the_attacks_allow_is_accepted(published: Published) -> None:
    forge(published, lambda v: finding(v, "loss_rises", best_effort=0.0))
    board = Leaderboard.read(published.folder)
    assert audit(board) == []
    [entry] = [f for f in board.cells[0].checks["findings"] if f["check"] == "loss_rises"]
    assert entry["best_effort"] == 0.0


def test_every_finding_of_the_suite_has_its_sentences() -> None:
    assert set(FORMS) == {name for check in build_checks(ORDER) for name in check.findings}
    assert set(FORMS) >= {*FINDINGS_OF_VERSION_1, "binarization"}


CURVE = tuple(
    CurvePoint(eps=eps, accuracy=accuracy)
    for eps, accuracy in ((0, 0.9), (0.05, 0.8), (0.1, 0.5), (0.2, 0.6), (1, 0))
)
SEEN = Seen(
    samples=100,
    evaluated=500,
    correct=90,
    left=50,
    columns=4,
    norm="linf",
    eps=0.1,
    curve=CURVE,
    followed=35,
)
LOST = "(30 are fooled by the latter alone, 0 by the former; p < 0.0001)"
NAMES = "PGD on another network"
TURNED = (
    "Random perturbations of 3.1% of the radius turn the gradient to a cosine of 0.45 (median of "
    "48 images)"
)
RISING = (
    "On 1 of 26 images left the loss still rises by more than 5% of its range in the last 2 of 20 "
    "steps of PGD; 100 steps leave 48.0% where 20 leave 50.0%"
)
SHARPLY = RISING.replace("On 1", "On 9").replace("48", "30")
EARLY = "the attack ends before it has found what it can (p < 0.0001)."
SENTENCES = [
    ("incomplete_optimization", True, f"{RISING}, and 50 steps of APGD 45.0%: it does not end too "
     "early.", True),
    ("incomplete_optimization", True, f"{RISING}, and 50 steps of APGD 5.0%: it does not end too "
     "early.", False),
    ("incomplete_optimization", False, f"{RISING}, and 50 steps of APGD 30.0%: {EARLY}", True),
    ("incomplete_optimization", False, f"{RISING}, and 50 steps of APGD 45.0%: {EARLY}", False),
    ("incomplete_optimization", False, f"{SHARPLY}, and 50 steps of APGD 45.0%: {EARLY}", True),
    ("eps_curve", True, "Accuracy falls with the radius: 90.0% clean, 80.0% at Linf 0.05, 50.0% at "
     "Linf 0.1, 60.0% at Linf 0.2.", True),
    ("eps_curve", True, "Accuracy falls with the radius: 90.0% clean, 80.0% at Linf 0.05.", False),
    ("eps_curve", False, "PGD leaves 50.0% at Linf 0.1 but 60.0% in the larger ball of Linf 0.2 "
     "(p = 0.001): the attack loses its way.", True),
    ("large_eps", True, "In a ball that holds every image (Linf 1) PGD leaves 0 of 90 images "
     "right: everything can be reached.", True),
    ("large_eps", True, "In a ball that holds every image (Linf 1) PGD leaves 0 of 50 images "
     "right: everything can be reached.", False),
    ("large_eps", True, "In a ball that holds every image (Linf 1) PGD leaves 0 of 90 images "
     "right: no more than the 10.0% of all 100 that one answer gets right.", False),
    ("single_step", True, "PGD with 20 steps leaves 50.0% of 500 images where one step of FGSM "
     "leaves 70.0%: it is not weaker.", True),
    ("single_step", True, "PGD with 20 steps leaves 90.0% of 500 images where one step of FGSM "
     "leaves 1.0%: it is not weaker.", False),
    ("single_step", False, "PGD with 20 steps leaves 50.0% of 100 images where one step of FGSM "
     f"leaves 20.0% {LOST}: many small steps do worse than a large one.", True),
    ("single_step", False, "PGD with 20 steps leaves 50.0% of 100 images where one step of FGSM "
     f"leaves 50.0% {LOST}: many small steps do worse than a large one.", False),
    ("transfer", True, f"{NAMES} fools 0 of the 50 images that no white-box attack fooled (Linf "
     "0.1): no more than bad luck explains.", True),
    ("transfer", True, f"{NAMES} fools 40 of the 50 images that no white-box attack fooled (Linf "
     "0.1): no more than bad luck explains.", False),
    ("transfer", True, f"{NAMES} fools 0 of the 80 images that no white-box attack fooled (Linf "
     "0.1): no more than bad luck explains.", False),
    ("zero_gradients", True, "On 4 of 90 images (4.4%) the gradient is zero or missing.", True),
    ("zero_gradients", True, "On 9 of 90 images (10.0%) the gradient is zero or missing.", False),
    ("zero_gradients", False, "On 90 of 90 images (100.0%) the gradient is zero, missing or "
     "underflows in float32: gradient attacks see a flat network there.", True),
    ("unstable_gradient", True, f"{TURNED}, and on 26 of them to less than 0.5: too few images to "
     "tell (p = 0.33).", True),
    ("unstable_gradient", True, f"{TURNED}, and on 40 of them to less than 0.5: too few images to "
     "tell (p = 0.33).", False),
    ("unstable_gradient", False, f"{TURNED}, and on 40 of them to less than 0.5 (p < 0.0001): "
     "gradients are shattered, and a step along one does not lead where it points.", True),
    ("unstable_gradient", False, f"{TURNED}, and on 26 of them to less than 0.5 (p = 0.33): "
     "gradients are shattered, and a step along one does not lead where it points.", False),
    ("saturated_loss", False, "On 90 of 90 images (100.0%) the gradient of the cross-entropy "
     "vanishes in float32 (median margin: 99.1 logits): an attack that climbs it stands still.",
     True),
    ("loss_rises", True, "Along 10 steps of PGD the loss ends higher than it began on 90 of 90 "
     "images, and rises in 96.0% of the steps.", True),
    ("loss_rises", True, "Along 10 steps of PGD the loss ends higher than it began on 20 of 90 "
     "images, and rises in 96.0% of the steps.", False),
    ("finite_gradients", True, "The gradient is finite on all 90 images.", True),
    ("finite_gradients", True, "The gradient is finite on all 12 images.", False),
    ("train_eval_gap", True, "With running statistics 90.0% of 100 clean images are right, with "
     "those of the batch 88.0%.", True),
    ("train_eval_gap", True, "With running statistics 90.0% of 100 clean images are right, with "
     "those of the batch 10.0%.", False),
    ("train_eval_gap", False, "With running statistics 90.0% of 100 clean images are right, with "
     "those of the batch 10.0%, 80 points apart (p < 0.0001): its statistics are not those of the "
     "data.", True),
    ("loss_rises", None, "The network gets no image right: no loss can rise.", False),
    ("binarization", True, "PGD with 20 steps fools 9 of 30 networks in which an adversarial image "
     "was planted (200 random points fool 0).", False),
]  # fmt: skip


@pytest.mark.parametrize(("left", "fits"), [(10, True), (60, False)])
def test_one_answer_explains_its_share_of_the_images_only(left: int, fits: bool) -> None:
    curve = (*CURVE[:-1], CurvePoint(eps=1, accuracy=left / 100))
    seen = replace(SEEN, correct=left, curve=curve)
    sentence = (
        f"In a ball that holds every image (Linf 1) PGD leaves {left} of {left} images right: no "
        f"more than the 10.0% of all 100 that one answer gets right."
    )
    found = FindingEntry(check="large_eps", passed=True, sentence=sentence)
    assert (sentence_problem(found, seen) is None) == fits


@pytest.mark.parametrize(("check", "passed", "sentence", "fits"), SENTENCES)
def test_the_figures_of_a_sentence_decide_what_it_may_say(
    check: str, passed: bool | None, sentence: str, fits: bool
) -> None:
    problem = sentence_problem(FindingEntry(check=check, passed=passed, sentence=sentence), SEEN)
    assert (problem is None) == fits, problem


@pytest.mark.parametrize(
    ("passed", "sentence", "fits"),
    [
        (True, f"{RISING}: it does not end too early.", True),
        (False, f"{RISING}: {EARLY}", False),
        (False, f"{SHARPLY}: {EARLY}", True),
    ],
)
def test_a_report_of_version_2_alone_leaves_apgd_out(
    passed: bool, sentence: str, fits: bool
) -> None:
    found = FindingEntry(check="incomplete_optimization", passed=passed, sentence=sentence)
    assert (sentence_problem(found, replace(SEEN, version=2)) is None) == fits
    assert sentence_problem(found, SEEN) is not None


NOTHING_LEFT = "The white-box attacks fool every image: there is nothing left for Square."
FOLLOWED = "The standard attack fools every image that it is followed on."
NO_STATISTICS = "The network keeps no statistics that could differ."
ALIKE = "PGD with 20 steps leaves 50.0% of 100 images on the cross-entropy and 48.0% on the margin"
SAID = {
    "other_loss": FindingEntry(check="other_loss", passed=True, sentence=f"{ALIKE}: 8 points or"),
    "silent_success": FindingEntry(check="silent_success", passed=True, sentence="Of 50 images"),
}
FALLEN = tuple(p.model_copy(update={"accuracy": 0.0}) if p.eps else p for p in CURVE)
HIDDEN = SAID | {
    "other_loss": FindingEntry(
        check="other_loss", passed=False, sentence=ALIKE.replace("48.0", "0.0")
    ),
    "silent_success": FindingEntry(check="silent_success", passed=False, sentence="Of 50 images"),
}


@pytest.mark.parametrize(
    ("check", "sentence", "changes", "fits"),
    [
        ("black_box", NOTHING_LEFT, {"said": SAID}, False),
        ("black_box", NOTHING_LEFT, {"said": SAID, "left": 1}, True),
        ("black_box", NOTHING_LEFT, {"said": SAID, "curve": FALLEN}, True),
        ("black_box", NOTHING_LEFT, {"said": HIDDEN}, True),  # the margin finds what hides
        ("black_box", NOTHING_LEFT, {}, True),  # reports of version 1 say nothing of the margin
        ("incomplete_optimization", FOLLOWED, {"said": SAID}, False),
        ("incomplete_optimization", FOLLOWED, {"said": SAID, "curve": FALLEN}, True),
        ("incomplete_optimization", FOLLOWED, {"said": HIDDEN}, True),  # found, and lost again
        ("silent_success", FOLLOWED, {"said": SAID}, False),
        ("silent_success", FOLLOWED, {"said": SAID, "curve": FALLEN}, True),
        ("silent_success", FOLLOWED, {"said": SAID, "followed": 0}, True),  # all of another class
        ("train_eval_gap", NO_STATISTICS, {"has_statistics": True}, False),
        ("train_eval_gap", NO_STATISTICS, {}, True),
    ],
)
def test_a_sentence_that_nothing_was_left_needs_figures_that_say_so(
    check: str, sentence: str, changes: dict[str, Any], fits: bool
) -> None:
    found = FindingEntry(check=check, passed=True, sentence=sentence)
    assert (sentence_problem(found, replace(SEEN, **changes)) is None) == fits
