"""Weights whose tensors are not those of the specified network are found."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from forging import edit_outcomes
from safetensors import safe_open
from safetensors.torch import save_file
from submitted import copied, only, sum_up
from support import Command, changed_board

from robench.leaderboard.audit import audit
from robench.leaderboard.audit.weights import tensor_problems
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


def without_numbers(state: State, name: str) -> None:
    state[name] = state[name] * torch.nan


def overflowed(state: State, name: str) -> None:
    variance = next(tensor for tensor in state if tensor.endswith("running_var"))
    state[variance][0] = torch.inf


def forged(
    folder: Path, change: Callable[[State, str], None] | None, **header: object
) -> Leaderboard:
    """Change a tensor or the header of a submission's weights; hashes and checksums agree again."""
    path = only(folder, "weights/*")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    if header:
        metadata = {"robench": json.dumps(json.loads(metadata["robench"]) | header)}
    if change is not None:
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


@pytest.mark.parametrize("header", [{"defense": "batchnorm"}, {"seed": 7}, {"cell": "0" * 16}])
def test_a_header_of_another_cell_is_found_in_the_file(
    submission: Path, tmp_path: Path, header: dict[str, object]
) -> None:
    [problem] = tensor_problems(forged(copied(submission, tmp_path / "copy"), None, **header))
    assert problem.startswith("'convnorm', seed 0: the header of weights/")
    assert problem.endswith(f" does not have the {next(iter(header))} of the specification.")


def test_weights_that_are_no_numbers_have_no_such_outcomes(
    submission: Path, tmp_path: Path
) -> None:
    [problem] = tensor_problems(forged(copied(submission, tmp_path / "copy"), without_numbers))
    assert "with values that are no numbers: no such network has these outcomes" in problem


def test_a_variance_that_overflowed_is_honest(submission: Path, tmp_path: Path) -> None:
    board = forged(copied(submission, tmp_path / "copy"), overflowed)
    assert not [*tensor_problems(board)]


def test_a_training_that_diverged_in_its_last_step_is_honest(
    submission: Path, tmp_path: Path
) -> None:
    folder = copied(submission, tmp_path / "copy")
    board = forged(folder, without_numbers)
    [cell] = board.cells
    first = np.arange(len(cell.outcomes["clean"])) < 6
    for column, found in cell.outcomes.items():
        edit_outcomes(folder, "convnorm", column, **{
            name: first[: len(found)] for name in ("correct", "robust", "rounded")
        })  # fmt: skip
    assert not [*tensor_problems(Leaderboard.read(folder))]
