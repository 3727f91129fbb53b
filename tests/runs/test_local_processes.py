"""Processes of this machine that do pieces of work: what each of them sees."""

import importlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from test_cell import ctx

from robench.runs import jobs
from robench.runs.context import RunContext
from robench.runs.jobs import chosen_jobs
from robench.runs.local_processes import LocalProcesses
from robench.runs.pieces import Piece
from robench.runs.progress import NullReporter
from robench.runs.setup import Setup
from robench.system.devices import gpus_for

CUDA = torch.device("cuda")


@dataclass(frozen=True)
class Looking:
    """Work that says which GPU its process sees, and with how many threads it computes."""

    def perform(self, ctx: RunContext) -> tuple[str | None, int, int]:
        return os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid(), torch.get_num_threads()


@pytest.mark.usefixtures("only_the_suite")
@pytest.mark.parametrize(("gpus", "seen"), [(("3", "5"), {"3", "5"}), ((), {None})])
def test_each_process_has_a_gpu_of_its_own_where_there_are_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: tuple[str, ...], seen: set[str | None]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    looking = importlib.import_module(Path(__file__).stem).Looking  # as other processes find it
    setup = Setup.of(ctx(tmp_path), "digits", None)
    with LocalProcesses(setup, 2, 4, NullReporter(), gpus) as executor:
        for name in ("a", "b"):
            piece = Piece(name, "looking", looking(), 1)
            assert executor.takes(piece)
            executor.submit(piece)
        assert not executor.free
        ended = [*executor.wait()]
        while len(ended) < 2:
            ended += executor.wait()
    assert [end.error for end in ended] == [None, None]
    assert {end.value[0] for end in ended} == seen
    assert len({end.value[1] for end in ended}) == 2
    assert {end.value[2] for end in ended} == {2 if gpus else 1}


class AcceleratorError(RuntimeError):
    """Has the name of what torch raises when a GPU fails."""


@dataclass(frozen=True)
class Failing:
    """Work whose process loses its GPU."""

    def perform(self, ctx: RunContext) -> None:
        raise AcceleratorError(f"CUDA error: process {os.getpid()} fell off the bus")


@pytest.mark.usefixtures("only_the_suite")
def test_a_process_whose_gpu_has_failed_gets_no_other_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    own = importlib.import_module(Path(__file__).stem)  # as other processes find it
    setup = Setup.of(ctx(tmp_path), "digits", None)
    with LocalProcesses(setup, 1, 1, NullReporter()) as executor:
        executor.submit(Piece("a", "failing", own.Failing(), 1))
        [lost] = executor.wait()
        executor.submit(Piece("a", "looking", own.Looking(), 1))
        [found] = executor.wait()
    assert "fell off the bus" in str(lost.error)
    assert found.error is None
    assert f"process {found.value[1]} fell" not in str(lost.error)


def test_processes_share_out_the_gpus_that_this_one_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_for(CUDA) == ("0", "1", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-6")
    assert gpus_for(CUDA) == ("4", "GPU-6")
    assert gpus_for(torch.device("cuda:1")) == gpus_for(torch.device("cpu")) == ()


def test_without_a_wish_there_is_a_process_for_each_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_jobs import job

    monkeypatch.setattr(jobs, "gpus_for", lambda device: ("0", "1", "2"))
    on_gpu = replace(ctx(tmp_path), device=CUDA)
    assert chosen_jobs(None, [job(on_gpu, threads=8)], on_gpu) == 3
    monkeypatch.setattr(jobs, "gpus_for", lambda device: ())
    assert chosen_jobs(None, [job(on_gpu, threads=8)], on_gpu) == 1
