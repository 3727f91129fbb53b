"""What a run would take, said without running it."""

import json
import math
from pathlib import Path

import pytest
import torch
from support import Command

from robench.board.overrides import open_board
from robench.commands import forecast as module
from robench.commands.forecast import Forecast, forecast
from robench.runs import executors
from robench.runs.placement import Placement
from robench.training.loop import TrainingDivergedError


def of(board: Path, out: Path, *, jobs: int | None = None, device: str = "cpu",
       executor: str = "local") -> Forecast:  # fmt: skip
    placement = Placement(executor, jobs)
    spec, on = open_board(str(board))[1], torch.device(device)
    return forecast(spec, out=out, placement=placement, device=on)


def total(found: Forecast) -> float:
    """Return the seconds of all pieces, summed in the order in which a forecast does."""
    return sum(c.training for c in found.cells) + sum(c.attacking for c in found.cells)


def test_before_a_run_all_is_to_do_and_nothing_is_stored(tiny_board: Path, tmp_path: Path) -> None:
    found = of(tiny_board, tmp_path / "out", jobs=1)
    assert [(c.row, c.seed, c.state) for c in found.cells] == [
        ("batchnorm", 0, "waiting"),
        ("convnorm", 0, "waiting"),
    ]
    assert all(cell.training > 0 and cell.attacking > 0 for cell in found.cells)
    assert all(10_000 < cell.weights < 100_000 for cell in found.cells)
    assert found.jobs == 1
    assert found.seconds == total(found)
    assert not (tmp_path / "out").exists()


def test_side_by_side_it_takes_less(tiny_board: Path, tmp_path: Path) -> None:
    found = of(tiny_board, tmp_path, jobs=2)
    assert found.seconds == total(found) / 2


def test_what_is_stored_is_not_to_do(robench: Command, tiny_board: Path, tmp_path: Path) -> None:
    run = ("run", str(tiny_board), "--out", str(tmp_path), "--defenses", "batchnorm")
    assert robench(*run).code == 0
    done = next(iter(of(tiny_board, tmp_path).cells))
    assert (done.row, done.state, done.training, done.attacking) == ("batchnorm", "done", 0, 0)
    assert "Nothing is left to compute." in robench(*run, "--dry-run").out
    [attack] = tmp_path.glob("cells/*/outcomes/pgd-4*")
    attack.unlink()
    part = next(iter(of(tiny_board, tmp_path).cells))
    assert (part.state, part.training) == ("attacking", 0)
    assert part.attacking > 0


def test_a_network_that_diverges_at_once_has_no_time(
    robench: Command, tiny_board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*arguments: object, **options: object) -> None:
        raise TrainingDivergedError

    monkeypatch.setattr(module, "fit", fit)
    assert math.isnan(of(tiny_board, tmp_path).seconds)
    run = ("run", str(tiny_board), "--out", str(tmp_path), "--dry-run")
    shown = robench(*run).out
    assert "unknown" in shown
    assert "Extrapolated" not in shown
    assert "NaN" not in (text := robench(*run, "--json").out)
    assert json.loads(text)["seconds"] is None


def test_the_command_prints_a_table_or_json(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    run = ("run", str(tiny_board), "--out", str(tmp_path / "out"), "--dry-run", "--jobs", "2")
    shown = robench(*run).out
    assert "convnorm" in shown
    assert "2 at the same time" in shown
    found = json.loads(robench(*run, "--json").out)
    assert [cell["row"] for cell in found["cells"]] == ["batchnorm", "convnorm"]
    assert found["seconds"] > 0
    assert not (tmp_path / "out").exists()
    wrong = robench("run", str(tiny_board), "--json")
    assert (wrong.code, wrong.err.startswith("robench: --json belongs to --dry-run")) == (2, True)


class Cluster:
    """An engine with places for five pieces."""

    slots = 5

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The engine of any executor that is not local."""
    made = Cluster()
    monkeypatch.setattr(executors, "_engine", lambda *_: made)
    return made


def test_an_engine_says_how_many_pieces_it_has_places_for_and_is_left(
    cluster: Cluster, tiny_board: Path, tmp_path: Path
) -> None:
    found = of(tiny_board, tmp_path / "out", executor="ray")
    assert (found.jobs, cluster.closed) == (5, 1)
    assert found.seconds == total(found) / 5
    assert of(tiny_board, tmp_path / "out", executor="ray", jobs=2).jobs == 2
    assert not (tmp_path / "out").exists()


def test_a_rehearsal_of_slurm_has_its_places_and_leaves_no_folder(
    tiny_board: Path, tmp_path: Path
) -> None:
    pytest.importorskip("submitit")
    assert of(tiny_board, tmp_path / "out", executor="slurm:local").jobs == 8
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.usefixtures("cluster")
def test_a_device_that_only_other_machines_have_is_not_needed(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    found = of(tiny_board, tmp_path / "out", executor="slurm", device="cuda")
    assert all(math.isnan(cell.training) for cell in found.cells)
    assert all(cell.weights > 10_000 for cell in found.cells)
    run = ("run", tiny_board, "--out", tmp_path / "out", "--executor", "slurm", "--device", "cuda")
    done = robench(*run, "--dry-run")
    assert done.code == 0, done.err
    assert "unknown" in done.out


@pytest.mark.parametrize(
    "words",
    [
        ("--executor", "slurm:nowhere"),
        ("--executor", "slurm:nowhere", "--jobs", "2"),
        ("--executor", "slurm", "--resources", "missing.toml"),
        ("--executor", "ray", "--resources", "none.toml"),
        ("--executor", "nowhere"),
        ("--executor", "local:here"),
        ("--resources", "none.toml"),
        ("--log", "csvs"),
    ],
)
def test_what_a_run_refuses_is_refused_in_the_same_sentence(
    words: tuple[str, ...],
    robench: Command,
    tiny_board: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    Path("none.toml").write_text("processes = 0\n")
    run = ("run", tiny_board, "--out", tmp_path / "out", *words)
    real, dry = robench(*run), robench(*run, "--dry-run")
    assert (dry.code, dry.err) == (2, real.err)
    assert dry.err.count("\n") == 1
