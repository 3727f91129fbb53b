"""Outcomes that were copied, cells that are listed twice, and rows out of order."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forging import edit_outcomes, made_consistent, outcome_file
from published_board import Published

from robench.commands.verify import verify
from robench.evaluation import Outcomes
from robench.leaderboard.audit import audit, audit_notes
from robench.leaderboard.audit.duplicates import _may_agree, _prints, duplicates
from robench.leaderboard.audit.seeds import Lengths
from robench.leaderboard.audit.starts import explained_lengths
from robench.leaderboard.published import Leaderboard
from robench.registry import attacks


def problems(folder: Path) -> list[str]:
    """Return what is found before any table is looked at."""
    return audit(Leaderboard.read(made_consistent(folder, tables=False)))


def copies(folder: Path) -> tuple[str, ...]:
    """Return the copies that are found, without what else does not fit them."""
    return duplicates(Leaderboard.read(made_consistent(folder, tables=False))).problems


def copy_row(folder: Path, column: str, *columns: str) -> None:
    """Give the second row the first one's outcomes of some columns."""
    for name in (column, *columns):
        shutil.copy(outcome_file(folder, "batchnorm", name), outcome_file(folder, "convnorm", name))


ALL = ("clean", "fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)")


def test_the_outcomes_of_another_row(published: Published) -> None:
    copy_row(published.folder, *ALL)
    [found] = copies(published.folder)
    assert "'convnorm', seed 0, has outcomes of" in found
    assert "of 'batchnorm', seed 0, another network." in found
    assert found in problems(published.folder)


def test_a_copy_with_edited_images_is_known_by_the_others(published: Published) -> None:
    copy_row(published.folder, *ALL)
    for column in ALL[1:-1]:
        outcomes = Outcomes.load(outcome_file(published.folder, "convnorm", column))
        robust = outcomes.robust.copy()
        robust[outcomes.fooled.nonzero()[0][:3]] = True
        l2 = outcomes.l2.copy()
        l2[50:] *= np.float32(1.01)
        edit_outcomes(published.folder, "convnorm", column, robust=robust,
                      rounded=outcomes.rounded | robust, l2=l2,
                      queries=outcomes.queries + outcomes.correct)  # fmt: skip
    [found] = copies(published.folder)
    assert "that are a copy of those of" in found


def test_two_rows_with_one_training_log_are_noted_as_one_network(published: Published) -> None:
    folder = published.folder
    copy_row(folder, *ALL)
    one, other = (folder / f"manifests/{row}-seed0.json" for row in ("batchnorm", "convnorm"))
    values = json.loads(other.read_text())
    values["training"] = json.loads(one.read_text())["training"]
    values["training"][0]["seconds"] *= 2
    other.write_text(json.dumps(values))
    assert not copies(folder)
    [note] = audit_notes(Leaderboard.read(folder))
    assert note.endswith("of 'batchnorm', seed 0: both are the same network.")


def reseeded(folder: Path) -> tuple[Path, Path]:
    """Let the second row be of seed 1, with all outcomes and the log of the first."""
    copy_row(folder, *ALL)
    one, other = (folder / f"manifests/{row}-seed0.json" for row in ("batchnorm", "convnorm"))
    values = json.loads(other.read_text())
    values["cell"]["seed"] = 1
    values["training"] = json.loads(one.read_text())["training"]
    other.write_text(json.dumps(values))
    made_consistent(folder, tables=False)
    return one, other


def jittered(folder: Path, by: float) -> None:
    for column in ALL[1:]:
        outcomes = Outcomes.load(outcome_file(folder, "convnorm", column))
        shorter = 1 - by * np.random.default_rng(0).random(len(outcomes.l2))
        edit_outcomes(folder, "convnorm", column, l2=(outcomes.l2 * shorter).astype(np.float32))
    made_consistent(folder, tables=False)


def test_the_training_log_of_another_seed_is_found_and_excuses_no_copy(
    published: Published,
) -> None:
    folder = published.folder
    reseeded(folder)
    log, copy = copies(folder)
    assert "seed 1, has the training log of 'batchnorm', seed 0: another seed gives other" in log
    assert "of 'batchnorm', seed 0, another network." in copy


def test_lengths_of_another_seed_are_known_with_a_few_digits_changed(published: Published) -> None:
    folder = published.folder
    _, other = reseeded(folder)
    jittered(folder, by=3e-6)
    values = json.loads(other.read_text())
    values["training"][0]["train_loss"] *= 1.001
    other.write_text(json.dumps(values))
    [found] = copies(folder)
    assert "seed 1, has lengths of" in found or "seed 0, has lengths of" in found
    assert found.endswith(": another seed gives another network.")


def test_nearly_equal_networks_of_one_seed_are_honest(published: Published) -> None:
    copy_row(published.folder, *ALL)
    jittered(published.folder, by=3e-6)
    assert not copies(published.folder)


def test_constant_networks_have_one_log_whatever_their_seed(published: Published) -> None:
    folder = published.folder
    reseeded(folder)
    for row in ("batchnorm", "convnorm"):
        for column in ALL[1:]:
            correct = Outcomes.load(outcome_file(folder, row, column)).correct
            nothing = np.zeros(len(correct), dtype=np.float32)
            edit_outcomes(folder, row, column, robust=correct, rounded=correct, l2=nothing,
                          linf=nothing)  # fmt: skip
    assert not copies(folder)


def test_lengths_that_are_all_the_radius_are_honest(published: Published) -> None:
    """Rounding makes many numbers of one radius in L2, on whatever network."""
    cells = Leaderboard.read(published.folder).cells
    lengths = Lengths()
    for seed, cell in enumerate(cells):
        rounded = 0.5 * (1 + 1e-7 * np.random.default_rng(seed).random(60))
        found, none = outcomes(np.ones(60, dtype=bool), rounded), np.zeros(60, dtype=bool)
        lengths.add(cell, "pgd-4", found, none)
    assert not lengths.blocks


def test_one_attack_with_the_outcomes_of_another(published: Published) -> None:
    folder = published.folder
    shutil.copy(outcome_file(folder, "batchnorm", "fgsm"),
                outcome_file(folder, "batchnorm", "pgd-4"))  # fmt: skip
    [found] = problems(folder)
    assert "the outcomes of pgd-4 are those of fgsm, another attack." in found


def test_weights_of_another_cell(published: Published) -> None:
    one, other = (
        published.folder / f"manifests/{row}-seed0.json" for row in ("batchnorm", "convnorm")
    )
    values = json.loads(other.read_text())
    values["manifest"]["weights_hash"] = json.loads(one.read_text())["manifest"]["weights_hash"]
    other.write_text(json.dumps(values))
    [found] = problems(published.folder)
    assert "'convnorm', seed 0, has the weights of 'batchnorm', seed 0" in found


def test_a_cell_that_is_listed_twice(published: Published) -> None:
    folder = published.folder
    shutil.copy(folder / "manifests/convnorm-seed0.json", folder / "manifests/again-seed0.json")
    assert "'convnorm', seed 0, has 2 manifests; it must have one." in problems(folder)


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("fgsm", "pgd-1(random_start=False)", True),
        ("pgd-5", "pgd-5(loss='margin')", True),
        ("pgd-5", "pgd-5(samples=100)", True),
        ("pgd-5", "pgd-10", False),
        ("fgsm", "pgd-5", False),
        ("fgsm", "fgsm(eps=0.3)", False),
        ("fgsm", "autoattack", False),
        ("fgsm", "simba", False),
    ],
)
def test_only_attacks_that_may_take_the_same_steps_may_agree(
    one: str, other: str, agree: bool
) -> None:
    assert _may_agree(attacks.build(one), attacks.build(other)) == agree


def outcomes(correct: np.ndarray, l2: np.ndarray, forwards: int = 1) -> Outcomes:
    nothing = Outcomes.without_attack(correct)
    return replace(nothing, l2=l2.astype(np.float32), forwards=nothing.forwards + forwards)


def prints(column: str, found: Outcomes, explained: bool = False) -> list[bool]:
    """Return of each pattern whether two networks may share it."""
    which = np.full(len(found), explained)
    return [honest for _, honest in _prints(column, found, which)]


def test_what_networks_may_honestly_share_is_not_called_a_copy() -> None:
    rng = np.random.default_rng(0)
    right, lengths = np.ones(200, dtype=bool), rng.random(200)
    assert prints("pgd-4", outcomes(right, lengths)) == 5 * [False]
    assert prints("pgd-4", outcomes(right, lengths), explained=True) == 5 * [True], "random starts"
    assert not prints("noise", outcomes(right, lengths, forwards=0))
    assert not prints("pgd-4", outcomes(right, np.zeros(200))), "gradients of zero"
    assert not prints("fgsm", outcomes(right, np.full(200, 0.1))), "corners of the ball"
    assert not prints("clean", outcomes(right, np.zeros(200))), "no mistake"
    assert not prints("clean", outcomes(np.arange(200) < 20, lengths)), "always one class"
    assert prints("clean", outcomes(np.arange(200) < 170, lengths)) == [True], "a class not seen"


def test_equal_mistakes_alone_are_noted(published: Published) -> None:
    folder = published.folder
    correct = np.arange(60) < 35
    for row in ("batchnorm", "convnorm"):
        edit_outcomes(folder, row, "clean", correct=correct, robust=correct, rounded=correct)
    assert not copies(folder)
    notes = duplicates(Leaderboard.read(folder)).notes
    assert any("as two networks that make the same mistakes give" in note for note in notes)


def test_random_starts_that_no_gradient_moves_are_noted(published: Published) -> None:
    folder = published.folder
    copy_row(folder, "clean", "fgsm", "pgd-4")
    assert copies(folder)
    for row in ("batchnorm", "convnorm"):
        fgsm = Outcomes.load(outcome_file(folder, row, "fgsm"))
        edit_outcomes(folder, row, "fgsm", l2=fgsm.l2 * 0, linf=fgsm.linf * 0)
        assert bool(copies(folder)) == (row == "batchnorm"), "both networks must be flat"
    notes = duplicates(Leaderboard.read(folder)).notes
    assert any("as a random start that no gradient moves gives" in note for note in notes)


def test_searches_that_end_at_their_first_query_are_explained(published: Published) -> None:
    cell = Leaderboard.read(published.folder).cells[0]
    nothing = np.zeros(4, dtype=bool)
    search = replace(
        outcomes(~nothing, np.ones(4)),
        robust=np.array([False, False, True, True]),
        queries=np.array([1, 9, 1, 9]),
    )
    assert explained_lengths(cell, "square", search).tolist() == [True, False, False, False]


@pytest.mark.parametrize("table", ["leaderboard.csv", "comparisons.csv", "curves.csv"])
def test_rows_of_tables_are_compared_in_their_order(published: Published, table: str) -> None:
    path = published.folder / table
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *rows, rows[0]]) + "\n")
    published.sum_up()
    [found] = audit(Leaderboard.read(published.folder))
    assert found.startswith(f"{table} has the row '")
    assert found.endswith(" 2 times.")
    if len(rows) > 1:
        path.write_text("\n".join([head, *reversed(rows)]) + "\n")
        published.sum_up()
        [found] = audit(Leaderboard.read(published.folder))
        assert f"{table} has its rows in another order than its outcomes yield: row 1" in found


def test_outcomes_are_compared_with_each_other_once(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(board: Leaderboard) -> None:
        raise AssertionError("the audit has done it")

    monkeypatch.setattr("robench.leaderboard.audit.notes.duplicates", again)
    assert verify(published.folder, rows="0").sound
