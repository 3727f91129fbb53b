"""Slurm jobs: what they ask for, and what a user's own wishes change."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from robench.errors import UserError
from robench.runs.resources import Resources

submitit = pytest.importorskip("submitit")

GPU, CPU = True, False


def asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    on_gpu: bool,
    processes: int = 1,
    cluster: str = "local",
    **wishes: Any,
) -> dict[str, Any]:
    """Return what a job asks for, as submitit is told."""
    from robench.runs.slurm_engine import SlurmEngine

    engine = SlurmEngine(cluster, tmp_path, Resources(processes, wishes), on_gpu=on_gpu)
    told: dict[str, Any] = {}
    update = engine._executor.update_parameters

    def keep(**parameters: Any) -> None:
        told.update(parameters)
        update(**parameters)

    monkeypatch.setattr(engine._executor, "update_parameters", keep)
    monkeypatch.setattr(engine._executor, "submit", lambda *call: None)
    setup: Any = SimpleNamespace(processes=processes, processes_for=lambda piece: processes)
    piece: Any = SimpleNamespace(threads=2)
    engine.call(setup, piece, "", None)
    return told


@pytest.mark.parametrize("cluster", ["local", "debug"])
def test_a_gpu_for_each_process_or_else_memory_and_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: str
) -> None:
    ours = {"name": "robench", "cpus_per_task": 2, "timeout_min": 240}
    on_gpu = asked(tmp_path, monkeypatch, GPU, cluster=cluster)
    assert on_gpu == ours | {"gpus_per_node": 1}
    assert asked(tmp_path, monkeypatch, CPU, cluster=cluster) == ours | {"mem_gb": 1.5}


def test_several_processes_ask_for_as_many_times_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(tmp_path, monkeypatch, GPU, processes=4)["gpus_per_node"] == 4
    on_cpu = asked(tmp_path, monkeypatch, CPU, processes=4)
    assert (on_cpu["cpus_per_task"], on_cpu["mem_gb"]) == (8, 6.0)


@pytest.mark.parametrize(
    ("on_gpu", "wish"),
    [
        (GPU, {"gpus_per_node": 2}),
        (GPU, {"slurm_gpus_per_node": 2}),
        (GPU, {"slurm_gres": "gpu:a100:1"}),
        (CPU, {"mem_gb": 16}),
        (CPU, {"slurm_mem": "16GB"}),
        (CPU, {"slurm_mem_per_cpu": "4GB"}),
        (CPU, {"cpus_per_task": 7}),
        (CPU, {"timeout_min": 30}),
        (CPU, {"slurm_time": 30}),
    ],
)
def test_a_users_wish_takes_the_place_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_gpu: bool, wish: dict[str, Any]
) -> None:
    told = asked(tmp_path, monkeypatch, on_gpu, **wish)
    [key] = wish
    kinds = ("gpu", "gres") if on_gpu else (re.sub("slurm_|_.*", "", key)[:4],)
    found = {key: value for key, value in told.items() if any(kind in key for kind in kinds)}
    assert found == wish


def test_slurm_itself_knows_what_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from submitit.slurm.slurm import SlurmExecutor

    monkeypatch.setattr(SlurmExecutor, "affinity", classmethod(lambda cls: 2))
    for on_gpu, line in [(GPU, "#SBATCH --gpus-per-node=2"), (CPU, "#SBATCH --mem=3GB")]:
        told = asked(tmp_path, monkeypatch, on_gpu, processes=2, cluster="slurm")
        executor = submitit.AutoExecutor(tmp_path, cluster="slurm")
        executor.update_parameters(**told)
        text = executor._executor._make_submission_file_text("true", "1")
        assert line in text.splitlines()


def test_a_value_of_another_type_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r'cannot be submitted: Parameter "mem_gb" expected type'):
        asked(tmp_path, monkeypatch, CPU, mem_gb="much")
