"""How far a run is can be read from its store at every stage, and reading it changes nothing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from test_cell import cell, ctx
from test_jobs import with_checks

from robench.runs.check_cell import report_file
from robench.runs.context import RunContext
from robench.runs.run import run_cell
from robench.runs.status import CellStatus, cell_status
from robench.runs.store import CellFolder
from robench.system.files import write_json


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a store with one cell, trained and attacked."""
    root = tmp_path_factory.mktemp("finished")
    run_cell(cell(), "a", ctx(root))
    return root


@pytest.fixture
def context(finished: Path, tmp_path: Path) -> RunContext:
    """The context of a run with a copy of that store, on a board without checks."""
    quiet = with_checks(ctx(tmp_path), False)
    source = CellFolder(ctx(finished).store.root / cell().key)
    for path in source.path.rglob("*"):
        if path.is_file():
            copy = quiet.store.root / cell().key / path.relative_to(source.path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return quiet


def state(context: RunContext) -> CellStatus:
    return cell_status(cell(), "a", context)


def folder(context: RunContext) -> CellFolder:
    return CellFolder(context.store.root / cell().key)


def test_nothing_is_stored_before_a_run_nor_made_by_asking(tmp_path: Path) -> None:
    context = ctx(tmp_path)
    assert state(context) == CellStatus("a", 0, cell().key, "waiting", 0, cell().training.epochs)
    assert not list(tmp_path.iterdir())


def test_a_finished_cell_is_done(context: RunContext) -> None:
    found = state(context)
    assert found.state == "done"
    assert found.written is not None
    assert 0 <= found.written < 3600


def test_epochs_are_counted_while_it_is_trained(context: RunContext) -> None:
    log = folder(context).log
    folder(context).weights.unlink()
    found = state(context)
    assert (found.state, found.finished) == ("training", cell().training.epochs)
    log.write_text(log.read_text().splitlines()[0] + "\n")
    assert (state(context).state, state(context).finished) == ("training", 0)
    log.unlink()
    assert (state(context).state, state(context).finished) == ("training", 0)


def test_columns_are_counted_while_it_is_attacked(context: RunContext) -> None:
    [*outcomes] = (folder(context).path / "outcomes").iterdir()
    outcomes[0].unlink()
    found = state(context)
    assert (found.state, found.finished, found.of) == (
        "attacking",
        len(outcomes) - 1,
        len(outcomes),
    )


def test_outcomes_that_the_manifest_does_not_name_are_made_again(context: RunContext) -> None:
    path = folder(context).manifest
    manifest = json.loads(path.read_text())
    manifest["outcomes"].popitem()
    path.write_text(json.dumps(manifest))
    found = state(context)
    assert (found.state, found.finished) == ("attacking", len(manifest["outcomes"]))


def test_checks_and_spectra_come_last_if_the_board_asks_for_them(context: RunContext) -> None:
    assert state(with_checks(context, True)).state == "checking"
    evaluation = context.evaluation.model_copy(update={"spectra": True})
    assert state(replace(context, evaluation=evaluation)).state == "measuring"


def write_report(context: RunContext) -> None:
    path = report_file(cell(), None, context)
    assert path is not None
    write_json(path, {})


def test_a_report_of_checks_with_other_settings_is_none(context: RunContext) -> None:
    checking = with_checks(context, True)
    evaluation = checking.evaluation.model_copy(update={"check_samples": 7})
    write_report(replace(checking, evaluation=evaluation))
    assert state(checking).state == "checking"
    write_report(checking)
    assert state(checking).state == "done"


def test_the_cell_whose_images_are_transferred_is_part_of_what_a_report_is_of(
    context: RunContext,
) -> None:
    checking, other = with_checks(context, True), cell(seed=1)
    write_report(checking)
    assert cell_status(cell(), "a", checking, other).state == "checking"
    assert report_file(cell(), other, checking) is None  # it is not trained yet
    shutil.copytree(folder(context).path, CellFolder(context.store.root / other.key).path)
    path = report_file(cell(), other, checking)
    assert path not in (None, report_file(cell(), None, checking))
    assert cell_status(cell(), "a", checking, other).state == "checking"
    write_json(CellFolder(context.store.root / other.key).diverged, {"reason": "", "version": ""})
    assert cell_status(cell(), "a", checking, other).state == "done"


def test_a_damaged_manifest_is_left_to_the_run_to_name(context: RunContext) -> None:
    write_report(with_checks(context, True))
    folder(context).manifest.write_text("{")
    assert state(with_checks(context, True)).state == "checking"


def test_a_divergence_is_named(context: RunContext) -> None:
    write_json(folder(context).diverged, {"reason": "the loss is not finite", "version": "1"})
    assert state(context).reason == "the loss is not finite"
    assert state(context).state == "diverged"
