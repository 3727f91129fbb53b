"""Outcomes that contradict the board, each other or their attack, with every hash made to agree."""

import json
import re
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forging import cut, edit_outcomes, made_consistent, outcome_file
from published_board import Published
from support import Command

from robench.base import ThreatModel
from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.leaderboard.audit import audit, audit_notes
from robench.leaderboard.published import Leaderboard
from robench.runs.identity import ENGINE_VERSION
from robench.shipped import shipped_sources

COLUMNS = ("clean", "fgsm", "pgd-2", "pgd-4")
SIMBA = "simba(samples=6, max_steps=8)"


def problems(folder: Path) -> list[str]:
    """Return what is found before any table is looked at."""
    return audit(Leaderboard.read(made_consistent(folder, tables=False)))


def assert_sound(folder: Path) -> None:
    assert audit(Leaderboard.read(made_consistent(folder))) == []


def rewritten(path: Path, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_making_it_consistent_changes_nothing_that_the_audit_finds(published: Published) -> None:
    before = (published.folder / "leaderboard.csv").read_bytes()
    assert_sound(published.folder)
    assert audit_notes(Leaderboard.read(published.folder)) == []
    assert (published.folder / "leaderboard.csv").read_bytes() == before


def test_a_board_that_kept_one_image_of_all(published: Published) -> None:
    folder = published.folder
    pgd = Outcomes.load(outcome_file(folder, "batchnorm", "pgd-4"))
    [best, *_] = pgd.robust.nonzero()[0]
    for row in ("batchnorm", "convnorm"):
        for column in COLUMNS:
            cut(folder, row, column, [int(best)])
    found = problems(folder)
    assert len(found) == 8
    assert "pgd-4 are of 1 images, but the board evaluates 60." in found[3]


def test_a_column_that_stops_early_has_as_many_images_as_its_attack(published: Published) -> None:
    cut(published.folder, "convnorm", SIMBA, slice(5))
    [found] = problems(published.folder)
    assert f"the outcomes of {SIMBA} are of 5 images, but the board evaluates 6." in found


def test_a_row_that_lacks_images_is_named_by_every_command(
    robench: Command, published: Published, tmp_path: Path
) -> None:
    folder = published.folder
    cut(folder, "convnorm", "pgd-4", slice(30))
    made_consistent(folder, tables=False)
    done = robench("verify", folder, "--rows", "0")
    assert done.code == 1
    assert "wrong: 'convnorm', seed 0: the outcomes of pgd-4 are of 30 images" in done.out
    for call in (
        ("merge", folder, "--out", tmp_path / "merged"),
        ("submit", folder, "--store", published.store, "--out", tmp_path / "submitted"),
        ("page", folder),
        ("export", folder),
    ):
        done = robench(*call)
        assert done.code == 2, call
        assert "the outcomes of pgd-4 are of 30 images, but the board evaluates 60" in " ".join(
            done.err.split()
        )


def test_a_submission_that_lacks_images_is_wrong(
    robench: Command, submission: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(submission, tmp_path / "copy"))
    cut(folder, "convnorm", "pgd-4", slice(30))
    made_consistent(folder, tables=False)
    done = robench("check-submission", folder)
    assert done.code == 1
    assert "wrong: 'convnorm', seed 0: the outcomes of pgd-4 are of 30 images" in done.out


def _flipped(values: np.ndarray, at: np.ndarray, value: object) -> np.ndarray:
    changed = values.copy()
    changed[at.nonzero()[0][0]] = value
    return changed


Edit = Callable[[Outcomes], dict[str, np.ndarray]]
FORGERIES: dict[str, tuple[str, Edit, str]] = {
    "robust without being right": (
        "pgd-4",
        lambda o: dict.fromkeys(("robust", "rounded"), np.ones_like(o.robust)),
        "misclassified when clean are counted as robust",
    ),
    "other clean images": (
        "pgd-4",
        lambda o: dict.fromkeys(
            ("correct", "robust", "rounded"), _flipped(o.correct, ~o.correct, True)
        ),
        "are not those of the column clean",
    ),
    "negative queries": (
        "fgsm",
        lambda o: {"queries": _flipped(o.queries, o.correct, -1)},
        "'queries' has counts below 0",
    ),
    "queries beyond reason": (
        "fgsm",
        lambda o: {"queries": _flipped(o.queries, o.correct, 2**62)},
        "'queries' has counts above",
    ),
    "infinite length": (
        "pgd-2",
        lambda o: {"l2": _flipped(o.l2, o.correct, np.inf)},
        "'l2' has values that are not lengths",
    ),
    "outside the ball": (
        "pgd-2",
        lambda o: {"linf": np.where(o.correct, 0.5, 0).astype(np.float32), "l2": o.l2 + o.correct},
        "moved by 0.5, beyond the radius 0.1 of its linf ball",
    ),
    "fooled without a change": (
        "pgd-4",
        lambda o: {"linf": _flipped(o.linf, o.fooled, 0), "l2": _flipped(o.l2, o.fooled, 0)},
        "counted as fooled, but was not changed",
    ),
    "longer in linf than in l2": (
        "fgsm",
        lambda o: {"l2": _flipped(o.l2, o.correct, 0.01)},
        "a change is longer in linf than in l2",
    ),
    "more than the range of a pixel": (
        SIMBA,
        lambda o: {"linf": _flipped(o.linf, o.correct, 2), "l2": _flipped(o.l2, o.correct, 2)},
        "a pixel in [0, 1] is changed by more than 1",
    ),
    "robust but fooled when rounded": (
        "fgsm",
        lambda o: {"rounded": _flipped(o.rounded, o.robust, False)},
        "counted as robust but not as right when rounded",
    ),
    "rounding that repairs a clean mistake": (
        "fgsm",
        lambda o: {"rounded": _flipped(o.rounded, ~o.correct, True)},
        "misclassified when clean are counted as right when rounded",
    ),
    "costs of what was not attacked": (
        "fgsm",
        lambda o: {"forwards": _flipped(o.forwards, ~o.correct, 1)},
        "were not attacked, but have costs or sizes",
    ),
    "clean images that were fooled": (
        "clean",
        lambda o: dict.fromkeys(("robust", "rounded"), np.zeros_like(o.robust)),
        "no image is attacked, but some are counted as fooled",
    ),
    "clean images with costs": (
        "clean",
        lambda o: {"queries": o.queries + o.correct},
        "no image is attacked, but some have costs or sizes",
    ),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_outcomes_that_no_attack_can_give(published: Published, what: str) -> None:
    column, edit, message = FORGERIES[what]
    outcomes = Outcomes.load(outcome_file(published.folder, "batchnorm", column))
    edit_outcomes(published.folder, "batchnorm", column, **edit(outcomes))
    found = problems(published.folder)
    assert message in " ".join(found)
    assert all(f"'batchnorm', seed 0, outcomes of {column}: " in problem for problem in found)


@pytest.mark.parametrize(
    ("norm", "said"),
    [
        ("l0", "the radius of fgsm was not compared with its l0 sizes: only lengths in linf and"),
        ("l1", "the radius of fgsm was compared with l2, not with l1: only lengths in linf and l2"),
        ("l2", None),
    ],
)
def test_a_radius_in_a_norm_whose_sizes_are_not_published_is_noted(
    published: Published, norm: str, said: str | None
) -> None:
    board = Leaderboard.read(published.folder)
    column = replace(board.columns["fgsm"], threat_model=ThreatModel(norm, 9.0))
    notes = audit_notes(replace(board, columns={**board.columns, "fgsm": column}))
    assert len(notes) == (said is not None)
    assert all(said in text for text in notes if said)


def test_rounding_as_of_the_evaluator_is_within_the_ball(published: Published) -> None:
    path = outcome_file(published.folder, "batchnorm", "pgd-2")
    linf = Outcomes.load(path).linf
    edit_outcomes(published.folder, "batchnorm", "pgd-2", linf=np.where(linf, 0.1 + 5e-7, 0)
                  .astype(np.float32))  # fmt: skip
    assert_sound(published.folder)


def test_a_network_that_is_known_to_be_random_may_be_fooled_without_a_change(
    published: Published,
) -> None:
    folder = published.folder
    outcomes = Outcomes.load(outcome_file(folder, "batchnorm", "pgd-4"))
    changed = {name: _flipped(getattr(outcomes, name), outcomes.fooled, 0)
               for name in ("linf", "l2")}  # fmt: skip
    edit_outcomes(folder, "batchnorm", "pgd-4", **changed)
    assert "was not changed" in " ".join(problems(folder))

    def record(values: dict) -> None:  # type: ignore[type-arg]
        for entry in values["manifest"]["outcomes"].values():
            entry["refused"] = {"bf16": "its logits differ from call to call"}
            entry["gradients"] = "float32"

    rewritten(folder / "manifests/batchnorm-seed0.json", record)
    assert_sound(folder)


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("robust", np.array(["True"] * 60)),
        ("robust", np.ones(60)),
        ("l2", np.ones(60, dtype=np.complex64)),
        ("queries", np.ones(60, dtype=np.int32)),
        ("queries", np.ones((60, 1), dtype=np.int64)),
        ("linf", np.float32(1)),
    ],
)
def test_arrays_of_another_type_or_shape_are_refused_in_a_sentence(
    robench: Command, published: Published, array: str, value: np.ndarray
) -> None:
    path = outcome_file(published.folder, "batchnorm", "pgd-4")
    np.savez(path, **{**vars(Outcomes.load(path)), array: value})
    made_consistent(published.folder, tables=False)
    done = robench("verify", published.folder, "--rows", "0")
    assert done.code == 2
    message = " ".join(done.err.split())
    assert re.search(rf"'{array}' is a \d-dimensional array of \S+, not a list of", message)
    with pytest.raises(UserError, match=f"'{array}' is a"):
        Outcomes.load(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"eps": 0.1,\n        "step_size": 0.05', '"eps": 0.2,\n        "step_size": 0.05',
         "board.json says that fgsm keeps to linf 0.1, but with the board's options it keeps to "
         "linf 0.2"),
        ('"step_size": 0.05', '"step_size": 0.04', "the outcomes of pgd-4 are named pgd-4-"),
        ('"without": []', '"without": ["bf16"]', "the outcomes of clean are named clean-"),
        ('"samples": 60', '"samples": 61', "but those of this attack, with the options of the"),
        ('"reports_queries": true', '"reports_queries": false', "whether the queries of simba"),
    ],
)  # fmt: skip
def test_attacks_other_than_those_of_the_outcomes(
    published: Published, old: str, new: str, message: str
) -> None:
    text = (published.folder / "board.json").read_text()
    assert old in text
    (published.folder / "board.json").write_text(text.replace(old, new))
    assert message in " ".join(problems(published.folder))


def test_more_steps_than_were_taken(published: Published) -> None:
    for path in (published.folder / "board.json", *published.folder.glob("manifests/*")):
        path.write_text(path.read_text().replace('"pgd-4"', '"pgd-50"'))
    found = problems(published.folder)
    assert all("the outcomes of pgd-50 are named pgd-4-" in problem for problem in found[:2])


def test_a_threat_model_that_decides_what_the_worst_case_is(published: Published) -> None:
    rewritten(
        published.folder / "board.json",
        lambda values: values["columns"]["fgsm"].update(threat_model=["linf", 0.2]),
    )
    [found] = problems(published.folder)
    assert "board.json says that fgsm keeps to linf 0.2, but" in found


def test_an_attack_of_robench_that_cannot_be_run_as_it_is_written(published: Published) -> None:
    for path in (published.folder / "board.json", *published.folder.glob("manifests/*")):
        path.write_text(path.read_text().replace('"pgd-4"', '"pgd-4(bogus=1)"'))
    assert "its attack 'pgd-4(bogus=1)' cannot be run" in " ".join(problems(published.folder))


@pytest.mark.parametrize(
    ("gradients", "refused", "message"),
    [
        ("bf16", {"bf16": "it has hooks"}, "a shortcut that was left out"),
        ("float64", {}, "gradients have the precision bf16 or float32"),
    ],
)
def test_gradients_of_a_precision_that_was_left_out(
    published: Published, gradients: str, refused: dict[str, str], message: str
) -> None:
    def change(values: dict) -> None:  # type: ignore[type-arg]
        entry = next(iter(values["manifest"]["outcomes"].values()))
        entry |= {"gradients": gradients, "refused": refused}

    rewritten(published.folder / "manifests/batchnorm-seed0.json", change)
    assert message in " ".join(problems(published.folder))


def test_the_source_of_an_attack_on_clean_images(published: Published) -> None:
    def change(values: dict) -> None:  # type: ignore[type-arg]
        entries = values["manifest"]["outcomes"].values()
        next(e for e in entries if e["column"] == "clean")["source"] = "ab" * 32

    rewritten(published.folder / "manifests/batchnorm-seed0.json", change)
    [found] = problems(published.folder)
    assert "clean images are not attacked, but have the source of an attack" in found


def test_files_of_outcomes_that_belong_to_no_cell(published: Published) -> None:
    path = outcome_file(published.folder, "batchnorm", "pgd-4")
    shutil.copy(path, path.with_name("other.npz"))
    [found] = problems(published.folder)
    assert found.endswith("other.npz belongs to no cell.")


def test_two_files_of_one_column(published: Published) -> None:
    path = outcome_file(published.folder, "batchnorm", "pgd-4")
    shutil.copy(path, path.with_name("other.npz"))

    def change(values: dict) -> None:  # type: ignore[type-arg]
        values["manifest"]["outcomes"]["other"] = values["manifest"]["outcomes"][path.stem]

    rewritten(published.folder / "manifests/batchnorm-seed0.json", change)
    assert "it has more than one file of outcomes of pgd-4" in " ".join(problems(published.folder))


def test_outcomes_of_an_earlier_engine_are_sound_and_noted(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Leaderboard.read(published.folder)
    for module in ("names", "notes"):
        monkeypatch.setattr(
            f"robench.leaderboard.audit.{module}.ENGINE_VERSION", ENGINE_VERSION + 1
        )
    assert audit(board) == []
    [note] = audit_notes(board)
    assert f"were computed by version {ENGINE_VERSION} of the engine" in note


def test_outcomes_of_an_attack_that_the_suite_has_changed_since_are_sound_and_noted(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Leaderboard.read(published.folder)
    sources = deepcopy(shipped_sources())
    known = sources["attack"]["pgd"]
    known |= {list(known)[-1]: "0" * 64}
    monkeypatch.setattr("robench.shipped.shipped_sources", lambda: sources)
    assert audit(board) == []
    [note] = [note for note in audit_notes(board) if "pgd-4" in note]
    assert "were computed by an earlier version of this attack" in note
