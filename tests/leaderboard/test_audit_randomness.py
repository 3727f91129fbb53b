"""Networks whose predictions differ: believed where the checks agree, and no further than that."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from forging import edit_outcomes, made_consistent, outcome_file
from published_board import Published

from robench.evaluation import Outcomes
from robench.evaluation.copies import ON_BATCH, RANDOM
from robench.evaluation.reasons import is_reason
from robench.leaderboard.audit import audit, audit_notes
from robench.leaderboard.audit.randomness import clean_problem
from robench.leaderboard.published import Leaderboard

SIMBA = "simba(samples=6, max_steps=8)"
EVERY = ("pools", "channels_last", "folding", "bf16")


def problems(folder: Path) -> str:
    """Return what is found before any table is looked at."""
    return " ".join(audit(Leaderboard.read(made_consistent(folder, tables=False))))


def says(folder: Path, refused: Mapping[str, str], *, columns: int | None = None) -> None:
    """Record reasons in all columns of a row, or in the first ones."""
    path = folder / "manifests/batchnorm-seed0.json"
    values = json.loads(path.read_text())
    for entry in list(values["manifest"]["outcomes"].values())[:columns]:
        entry |= {"refused": dict(refused), "gradients": "float32"}
    path.write_text(json.dumps(values))


def failing(folder: Path, check: str, sentence: str) -> None:
    """Let a check of a row have failed."""
    path = folder / "manifests/batchnorm-seed0.json"
    values = json.loads(path.read_text())
    for finding in values["checks"]["findings"]:
        if finding["check"] == check:
            finding |= {"passed": False, "sentence": sentence}
    path.write_text(json.dumps(values))


def all_right(folder: Path, column: str) -> None:
    """Let every image of a column be right and robust."""
    yes = np.ones(len(Outcomes.load(outcome_file(folder, "batchnorm", column))), dtype=bool)
    edit_outcomes(folder, "batchnorm", column, correct=yes, robust=yes, rounded=yes)


@pytest.mark.parametrize("shortcuts", [("folding",), EVERY])
def test_a_reason_alone_exempts_no_column(published: Published, shortcuts: tuple[str, ...]) -> None:
    all_right(published.folder, "pgd-4")
    says(published.folder, dict.fromkeys(shortcuts, RANDOM))
    found = problems(published.folder)
    if shortcuts == EVERY:
        assert "from call to call, it says, but its check 'same_logits' passed" in found
        assert "images more than in the column clean are right" in found
    else:
        assert "are not those of the column clean" in found


def test_a_reason_is_one_that_the_engine_writes(published: Published) -> None:
    says(published.folder, {"folding": "it is my network"})
    assert "rules out the shortcut 'folding' because 'it is my network'" in problems(
        published.folder
    )


def test_a_reason_is_given_for_all_columns(published: Published) -> None:
    says(published.folder, dict.fromkeys(EVERY, RANDOM), columns=2)
    assert "the same reason must be given for all columns" in problems(published.folder)


def test_a_network_that_depends_on_its_batch_is_noted(published: Published) -> None:
    folder = published.folder
    says(folder, dict.fromkeys(EVERY, f"its logits {ON_BATCH}"))
    failing(folder, "any_batch", "In batches of 1, 7 and 20 images the logits differ by 9.0% of "
            "their spread in eval mode: what one image gets depends on the others.")  # fmt: skip
    before = Outcomes.load(outcome_file(folder, "batchnorm", "pgd-4"))
    robust = before.robust.copy()
    correct = before.correct.copy()
    correct[robust.nonzero()[0][:3]] = False
    edit_outcomes(folder, "batchnorm", "pgd-4", **{
        name: np.where(correct, values, 0).astype(values.dtype)
        for name, values in vars(before).items()
    })  # fmt: skip
    assert "outcomes of" not in problems(folder)
    [note] = audit_notes(Leaderboard.read(folder))
    assert "'batchnorm', seed 0, were compared only roughly: its logits depend on" in note


def test_chance_explains_only_so_much() -> None:
    def of(right: np.ndarray) -> Outcomes:
        return Outcomes.without_attack(right)

    images = np.arange(100)
    clean = of(images < 70)
    assert clean_problem(of(images >= 30), clean, "random") is None
    assert clean_problem(of(images < 100), clean, "random") is not None, "only gains"
    assert clean_problem(of(images >= 50), of(images < 50), "random") is not None, "all differ"
    assert clean_problem(of(images < 20), clean, "batch") is None, "small batches may harm"
    assert clean_problem(of(images < 71), clean, "nearly") is None
    assert clean_problem(of(images < 72), clean, "nearly") is not None
    assert clean_problem(of(images < 71), clean, "same") is not None


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("its logits are not finite", True),
        ("its input gradients differ in the copy", True),
        ("its forward fails with RuntimeError differ in the copy", False),
        ("layer 'stem.0' has a hook", True),
        ("the forward of the model was replaced", True),
        ("it keeps a state between calls ('calls', 'seen')", True),
        ("'round' inside it has no gradient", True),
        ("it cannot be copied (TypeError)", True),
        ("", False),
        ("its logits differ from call to call, sometimes", False),
    ],
)
def test_reasons_are_known_from_other_text(text: str, known: bool) -> None:
    assert is_reason(text) == known
