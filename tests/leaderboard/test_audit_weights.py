"""Weights whose tensors are not those of the specified network are found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from submitted import copied, only, sum_up
from support import Command, changed_board

from robench.leaderboard.audit import audit
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import rerun
from robench.system.provenance import file_hash

State = dict[str, torch.Tensor]


def halved(state: State, name: str) -> None:
    state[name] = state[name].half()


def counted_otherwise(state: State, name: str) -> None:
    state[name] = state[name].double()  # not a value is another


def renamed(state: State, name: str) -> None:
    state[f"{name}_2"] = state.pop(name)


def removed(state: State, name: str) -> None:
    del state[name]


def added(state: State, name: str) -> None:
    state["zz"] = state[name].clone()


def reshaped(state: State, name: str) -> None:
    state[name] = state[name][None]


def forged(folder: Path, change: Callable[[State, str], None]) -> Leaderboard:
    """Change a tensor of a submission's weights; hashes and checksums agree again."""
    path = only(folder, "weights/*")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    change(state, min(name for name, value in state.items() if value.is_floating_point()))
    save_file(state, path, metadata)
    manifest = only(folder, "manifests/*")
    values = json.loads(manifest.read_text())
    values["manifest"]["weights_hash"] = file_hash(path)
    if "architecture" in values["cell"]:
        values["cell"]["weights_hash"] = file_hash(path)
    manifest.write_text(json.dumps(values))
    sum_up(folder)
    return Leaderboard.read(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (halved, "is float16 ("),
        (counted_otherwise, "is float64 ("),
        (renamed, "is missing"),
        (removed, "is missing"),
        (added, "'zz' is not part of it"),
        (reshaped, "is needed"),
    ],
)
def test_a_tensor_that_the_network_does_not_have_is_found_in_the_file(
    submission: Path, tmp_path: Path, change: Callable[[State, str], None], message: str
) -> None:
    found = audit(forged(copied(submission, tmp_path / "copy"), change))
    [problem] = [text for text in found if "holds no weights of its network: '" in text]
    assert "'convnorm', seed 0: weights/" in problem
    assert message in problem


@pytest.mark.parametrize("change", [halved, counted_otherwise])
def test_a_tensor_of_another_type_is_found_when_the_network_is_attacked_again(
    submission: Path, tmp_path: Path, change: Callable[[State, str], None]
) -> None:
    board = forged(copied(submission, tmp_path / "copy"), change)
    [problem] = rerun(board, ["convnorm"]).problems
    assert "but its network has float32" in problem


def test_averages_that_training_makes_are_tensors_of_the_network(
    tiny_board: Path, robench: Command, tmp_path: Path
) -> None:
    defense = "convnorm(eval_stats='running_v')"
    done = robench(
        "run", tiny_board, "--defenses", defense, "--out", tmp_path,
        "--set", "publish_weights=true", "--set", "training.epochs=1",
        "--set", "evaluation.attacks=['fgsm']", "--set", "evaluation.rank_by=fgsm",
    )  # fmt: skip
    assert done.code == 0, done.err
    board = Leaderboard.read(changed_board(tmp_path, "tiny"))
    with safe_open(only(board.folder, "weights/*"), framework="pt") as file:
        assert any("running_v_" in name for name in file.keys())  # noqa: SIM118 - no mapping
    assert not [text for text in audit(board) if "weights" in text]
