"""How far a run is can be read from its store at every stage, and reading it changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
from test_cell import cell, ctx
from test_jobs import with_checks

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


def test_checks_and_spectra_come_last_if_the_board_asks_for_them(context: RunContext) -> None:
    assert state(with_checks(context, True)).state == "checking"
    evaluation = context.evaluation.model_copy(update={"spectra": True})
    assert state(replace(context, evaluation=evaluation)).state == "measuring"


def test_a_divergence_is_named(context: RunContext) -> None:
    write_json(folder(context).diverged, {"reason": "the loss is not finite", "version": "1"})
    assert state(context).reason == "the loss is not finite"
    assert state(context).state == "diverged"
