"""Pieces on other machines: the same files, whatever is lost, and whether the store is seen."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from joblib.externals.loky import get_reusable_executor
from support import TINY_BOARD, Command

from robench.board.overrides import open_board
from robench.errors import RobenchWarning, UserError
from robench.plugins import load_plugin, registrations_undone
from robench.runs import executors, remote, remote_work
from robench.runs.context import RunContext
from robench.runs.pieces import Attacking, Piece, Training
from robench.runs.placement import Placement
from robench.runs.progress import NullReporter
from robench.runs.remote import RETRIES, LostError, RemotePieces
from robench.runs.remote_work import Answer, Parcel, do_remotely
from robench.runs.resources import Resources
from robench.runs.run import run_board
from robench.runs.setup import Setup
from robench.system.provenance import file_hash

BOARD = (
    TINY_BOARD.replace("epochs = 2", "epochs = 1")
    .replace('["fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"]', '["fgsm", "pgd-4"]')
    .replace("checks = false", "check_samples = 10")
)

PLUGIN = """
import warnings
from dataclasses import dataclass
from robench import Defense, register_defense
from robench.errors import RobenchWarning
from helper import LOUD

@register_defense("mine")
@dataclass(frozen=True)
class Mine(Defense):
    def apply(self, model):
        return model
    def before_training(self, model, steps):
        warnings.warn(LOUD, RobenchWarning)

@register_defense("broken")
@dataclass(frozen=True)
class Broken(Mine):
    def before_training(self, model, steps):
        raise ZeroDivisionError("a bug")
"""


@dataclass(eq=False)
class Here:
    """An engine that makes each call in this process as soon as somebody asks for its end.

    Attributes:
        blind: whether it does not see the store.
        lose: whether the call of a piece is lost.
        calls: the pieces that were handed out.
        ends: what was done at the end.
    """

    blind: bool = False
    lose: Callable[[Piece, int], bool] = lambda piece, number: False
    calls: list[Piece] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    slots = 2

    def check(self, setup: Setup, piece: Piece) -> None:
        pass

    def call(self, setup: Setup, piece: Piece, sign: str, parcel: Parcel | None) -> Any:
        self.calls.append(piece)
        if self.blind:
            setup = replace(setup, store=Path("/nowhere/cells"), plugins=())
        return setup, piece, sign, parcel, len(self.calls)

    def ended(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        return handles[:1]

    def answer(self, handle: Any) -> Answer:
        setup, piece, sign, parcel, number = handle
        if self.lose(piece, number):
            raise LostError("its machine is gone")
        return do_remotely(setup, piece, sign, parcel)

    def cancel(self, handle: Any, *, force: bool) -> None:
        self.ends.append("killed" if force else "interrupted")

    def close(self) -> None:
        self.ends.append("closed")


class Elsewhere(Here):
    """One that makes its calls in another process, and all of them in the same one."""

    def answer(self, handle: Any) -> Answer:
        setup, piece, sign, parcel, _ = handle
        process = get_reusable_executor(max_workers=1)
        answer: Answer = process.submit(do_remotely, setup, piece, sign, parcel).result()
        return answer


pytestmark = pytest.mark.usefixtures("only_the_suite")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand out again without waiting."""
    monkeypatch.setattr(remote, "DELAY", 0.0)


def use(engine: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs on other machines use an engine."""

    def executor(
        placement: Placement, setup: Setup, resources: Resources, ctx: RunContext
    ) -> RemotePieces:
        return RemotePieces(engine, setup, placement.jobs, NullReporter())

    monkeypatch.setattr(executors, "on_other_machines", executor)


def run_with(
    engine: Here,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    rows: str = "batchnorm",
    board: str = BOARD,
) -> None:
    file = out.parent / "tiny.toml"
    file.write_text(board)
    _, spec = open_board(str(file), rows=rows)

    use(engine, monkeypatch)
    run_board(spec, out=out, placement=Placement("ray"))


def files(out: Path) -> dict[str, str]:
    """Path in the store -> hash, of all that must be the same to the bit."""
    store = out / "cells"
    found = [*store.glob("*/weights.safetensors"), *store.glob("*/*/*.npz"), *store.glob("*/c*/*")]
    assert found
    return {str(file.relative_to(store)): file_hash(file) for file in found}


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one process makes."""
    root = tmp_path_factory.mktemp("serial")
    (root / "tiny.toml").write_text(BOARD)
    run_board(open_board(str(root / "tiny.toml"), rows="batchnorm")[1], out=root / "out")
    return files(root / "out")


@pytest.mark.parametrize("blind", [False, True])
def test_the_files_are_those_of_one_process(
    blind: bool, serial: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Here(blind=blind)
    run_with(engine, tmp_path / "out", monkeypatch)
    assert files(tmp_path / "out") == serial
    assert engine.ends == ["closed"]
    assert [p.name for p in (tmp_path / "out" / "cells").iterdir() if p.is_file()] == []


def test_a_piece_that_is_lost_is_handed_out_again(
    serial: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Here(lose=lambda piece, number: number % 2 == 1)
    run_with(engine, tmp_path / "out", monkeypatch)
    assert files(tmp_path / "out") == serial


def test_one_that_is_lost_again_and_again_fails_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(piece: Piece, number: int) -> bool:
        return piece.name == "groupnorm, seed 0"

    engine = Here(lose=lose)
    with pytest.raises(UserError, match="groupnorm, seed 0: it was lost 4 times without getting"):
        run_with(engine, tmp_path / "out", monkeypatch, rows="groupnorm,batchnorm")
    trainings = [p for p in engine.calls if isinstance(p.work, Training) and "group" in p.name]
    assert len(trainings) == 1 + RETRIES
    assert len(list((tmp_path / "out").glob("cells/*/weights.safetensors"))) == 1


def test_memory_that_is_short_is_the_machines_and_the_piece_is_handed_out_again(
    serial: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Poor(Here):
        def answer(self, handle: Any) -> Answer:
            try:
                return super().answer(handle)
            except RuntimeError as error:
                raise LostError(str(error)) from error

    def perform(piece: Piece, ctx: RunContext) -> Any:
        failures.append(piece)
        if len(failures) <= 2:
            raise RuntimeError("CUDA out of memory.")
        return original(piece, ctx)

    failures: list[Piece] = []
    original = remote_work.perform
    monkeypatch.setattr(remote_work, "perform", perform)
    run_with(Poor(), tmp_path / "out", monkeypatch)
    assert files(tmp_path / "out") == serial


def test_what_is_stored_needs_no_other_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Here()
    run_with(engine, tmp_path / "out", monkeypatch, rows="groupnorm,batchnorm")
    made = len(engine.calls)
    run_with(engine, tmp_path / "out", monkeypatch, rows="groupnorm,batchnorm")
    assert made
    assert len(engine.calls) == made
    assert engine.ends == ["closed"]


def test_checks_and_spectra_that_are_left_are_made_on_the_other_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Here()
    run_with(engine, tmp_path / "out", monkeypatch)
    for change, state in [
        (("check_samples = 10", "check_samples = 12"), "checking"),
        (("check_samples = 10", "check_samples = 12\nspectra = true"), "measuring"),
    ]:
        engine.calls.clear()
        run_with(engine, tmp_path / "out", monkeypatch, board=BOARD.replace(*change))
        works = {type(piece.work) for piece in engine.calls}
        assert state in {piece.state for piece in engine.calls}
        assert not works & {Training, Attacking}


def test_plugins_travel_with_what_they_import_and_warn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "plugin.py").write_text(PLUGIN)
    (home / "helper.py").write_text('LOUD = "mine is loud"\n')
    with registrations_undone():
        load_plugin(home / "plugin.py")
        with (
            pytest.raises(
                UserError, match=r"broken, seed 0: ZeroDivisionError in line 20 of plugin.py: a bug"
            ),
            pytest.warns(RobenchWarning, match="mine is loud") as caught,
        ):
            run_with(Elsewhere(blind=True), tmp_path / "out", monkeypatch, rows="mine,broken")
    assert len([w for w in caught if "loud" in str(w.message)]) == 1
    assert len(list((tmp_path / "out").glob("cells/*/weights.safetensors"))) == 1


def test_at_the_end_calls_are_interrupted_and_then_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Here()

    def interrupted(handle: Any) -> Answer:
        raise KeyboardInterrupt

    engine.answer = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_with(engine, tmp_path / "out", monkeypatch)
    assert engine.ends == ["interrupted", "closed"]
    assert not list((tmp_path / "out" / "cells").glob(".run-*"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_the_device_is_looked_for_where_the_work_is_done(
    robench: Command, tiny_board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Here(), monkeypatch)
    out = ("--out", tmp_path / "out")
    shown = robench("run", tiny_board, "--device", "cuda", "--executor", "ray", *out)
    assert shown.code == 2
    assert "seed 0: device 'cuda' cannot be used" in shown.err
    shown = robench("run", tiny_board, "--device", "cuda", *out)
    assert "robench: device 'cuda' cannot be used" in shown.err


def test_an_unknown_executor_or_a_place_too_many_is_refused(
    robench: Command, tiny_board: Path
) -> None:
    shown = robench("run", tiny_board, "--executor", "rya")
    assert shown.code == 2
    assert "unknown executor 'rya'; did you mean 'ray'?" in shown.err
    shown = robench("run", tiny_board, "--executor", "local:4")
    assert "the executor 'local' takes nothing after it; leave out ':4'." in shown.err
    shown = robench("run", tiny_board, "--resources", "r.toml")
    assert "--resources is for --executor ray or slurm, not for 'local'." in shown.err
    shutil.rmtree("runs", ignore_errors=True)
