"""Forgeries: generated from the schema, consistent with themselves, and counted."""

import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from campaigns.forgeries import (
    NOTHING,
    STAGES,
    UNCHANGED,
    Trial,
    contents,
    fields_of,
    forge,
    report,
)
from campaigns.forging.consistent import make_consistent
from campaigns.forging.declared import NOBODY_CAN_TELL, declared
from campaigns.forging.draft import Draft
from campaigns.forging.places import FREE_KEYS
from campaigns.in_process import robench
from campaigns.record import Record
from campaigns.sample import Sample
from robench.evaluation import Outcomes
from robench.leaderboard.evidence import broken_sums, read_sums
from robench.leaderboard.published import Leaderboard
from robench.system.provenance import file_hash

WITHOUT_ATTACKS = ("files", "submission")


def number_of(submission: Path, label: str, seed: int = 0) -> int:
    """Return the number of a trial that forges this field."""
    labels = [forgery.label for forgery in fields_of(submission)]
    order = np.random.default_rng(seed).permutation(len(labels))
    return [labels[i] for i in order].index(label)


def forged(made: Sample, label: str, folder: Path, seed: int = 0) -> Draft:
    """Return a folder in which a field is forged and all else agrees with it."""
    [forgery] = [f for f in fields_of(made.submission) if f.label == label]
    draft = Draft.of(made.submission, folder)
    assert forgery.apply(draft, np.random.default_rng(seed))
    make_consistent(draft)
    return draft


def test_the_honest_submission_passes_what_looks_at_files(made: Sample) -> None:
    for command, *rest in (STAGES[stage] for stage in WITHOUT_ATTACKS):
        done = robench(command, made.submission, *rest)
        assert done.code == 0, done.text


def leaves(value: object, name: str = "") -> set[str]:
    """Return the names of the values in a JSON document, as labels write them."""
    if isinstance(value, dict):
        parts = {key: "*" if name in FREE_KEYS else key for key in value}
        return set().union(*(leaves(value[key], part) for key, part in parts.items()))
    if isinstance(value, list):
        return set().union(*(leaves(part, name) for part in value))
    return {name}


def test_every_value_of_every_document_is_a_field(made: Sample) -> None:
    labels = {forgery.label for forgery in fields_of(made.submission)}
    named = {re.split(r"[.\[\]]+", label.rstrip("[]"))[-1] for label in labels}
    for path in [made.submission / "board.json", *made.submission.glob("manifests/*.json")]:
        assert leaves(json.loads(path.read_text())) <= named


def test_what_the_schema_allows_but_the_board_leaves_out_is_a_field(made: Sample) -> None:
    labels = {forgery.label for forgery in fields_of(made.submission)}
    assert {"board.json.board.authors", "manifest.manifest.outcomes.*.refused"} <= labels


def test_every_array_table_and_kind_of_file_is_a_field(made: Sample) -> None:
    labels = [forgery.label for forgery in fields_of(made.submission)]
    starts = [f"outcomes.{field.name}: order" for field in fields(Outcomes)]
    starts += [f"{path.name}: a figure" for path in made.submission.glob("*.csv")]
    starts += ["SHA256SUMS", "README.md", "board.toml", "weights", "model/", "sources/", "row: "]
    for start in starts:
        assert any(label.startswith(start) for label in labels), start
    assert len(set(labels)) == len(labels), sorted({x for x in labels if labels.count(x) > 1})


@pytest.mark.parametrize(
    "label",
    [
        "board.json.board.training.weight_decay",
        "board.json.board.evaluation.defaults.step_size",
        "manifest.costs.parameters",
        "outcomes: 3 fooled images are robust",
        "weights: a tensor scaled",
        "model/*.py: other code",
    ],
)
def test_a_forged_folder_agrees_with_its_own_hashes(
    made: Sample, label: str, tmp_path: Path
) -> None:
    folder = forged(made, label, tmp_path / "submission").root
    assert contents(folder, label) != contents(made.submission, label)
    assert not broken_sums(folder, read_sums(folder))
    for cell in Leaderboard.read(folder).cells:
        manifest, key = cell.file.manifest, cell.file.cell.key
        assert manifest is not None
        assert manifest.specification == key
        assert manifest.weights_hash == file_hash(folder / "weights" / f"{key}.safetensors")
        hashes = {file_hash(cell.path_of(k)): e.outcomes_hash for k, e in manifest.outcomes.items()}
        assert all(found == listed for found, listed in hashes.items())


def test_tables_and_readme_follow_a_forged_outcome(made: Sample, tmp_path: Path) -> None:
    label = "outcomes: all fooled images are robust"
    folder = forged(made, label, tmp_path / "submission").root
    names = ("leaderboard.csv", "README.md")
    changed = [(folder / n).read_text() != (made.submission / n).read_text() for n in names]
    assert all(changed)


@pytest.mark.parametrize(
    "label",
    [
        "leaderboard.csv: a figure",
        "comparisons.csv: a figure",
        "curves.csv: column renamed",
        "SHA256SUMS: other digest",
        "manifest.manifest.specification",
        "manifest.cell.training.epochs",
        "outcomes: samples left out of one file",
        "outcomes: samples repeated in one file",
    ],
)
def test_what_does_not_follow_is_found_in_the_files(made: Sample, label: str) -> None:
    trial = forge(made.submission, number_of(made.submission, label), 0, WITHOUT_ATTACKS)
    assert (trial.label, trial.stage, trial.failure) == (label, "files", None)


def test_robust_images_that_were_fooled_are_found(made: Sample) -> None:
    label = "outcomes: all fooled images are robust"
    trial = forge(made.submission, number_of(made.submission, label), 0)
    assert trial.stage in STAGES, trial


def test_a_change_without_a_meaning_is_no_forgery(made: Sample) -> None:
    label = "board.json.board.arms: emptied"
    trial = forge(made.submission, number_of(made.submission, label), 0, WITHOUT_ATTACKS)
    assert trial.stage == UNCHANGED


def test_the_same_seed_gives_the_same_trial(made: Sample) -> None:
    number = number_of(made.submission, "curves.csv: a figure")
    one, other = (forge(made.submission, number, 0, WITHOUT_ATTACKS) for _ in range(2))
    assert one == other


def test_what_nobody_can_tell_is_declared(made: Sample) -> None:
    assert sorted(NOBODY_CAN_TELL) == [
        "choice of rows, seeds, attacks and ranking column",
        "commit",
        "device",
        "goal of a race, unless a row's verdict depends on it",
        "name",
        "other weights under which all outcomes and checks are the same",
        "settings on which no result depends",
        "time and memory, as they were measured",
        "training losses and accuracies of epochs",
    ]
    assert declared("manifest.manifest.version") == "commit"
    assert declared("outcomes.robust: one image") is None
    labels = [forgery.label for forgery in fields_of(made.submission)]
    for pattern in (p for patterns in NOBODY_CAN_TELL.values() for p in patterns):
        assert any(re.fullmatch(pattern, label) for label in labels), pattern


def test_a_campaign_goes_on_from_its_record_if_code_and_seed_are_the_same(tmp_path: Path) -> None:
    path, trial = tmp_path / "record", Trial("outcomes.robust: order", "a", "files", "wrong: b")
    Record(path, 0, Trial).append(3, trial)
    assert Record(path, 0, Trial).done == {3: trial}
    with pytest.raises(SystemExit, match="is the record of "):
        Record(path, 1, Trial)


def test_the_report_counts_what_found_each_field_and_fails_what_passed() -> None:
    trials = [
        Trial("outcomes.robust: order", "a", "files"),
        Trial("outcomes.robust: order", "b", "weights"),
        Trial("manifest.manifest.version", "c", NOTHING),
        Trial("manifest.costs.parameters", "810 -> 10", NOTHING),
        Trial("board.json.board.arms: emptied", "d", UNCHANGED),
    ]
    text, failed = report(trials)
    assert failed == 1
    assert "2 of 4 forgeries found, in 3 fields; 1 of kinds that nobody can find out" in text
    assert "- commit: 1" in text
    assert text.endswith("- manifest.costs.parameters: 810 -> 10: nothing found it")
