"""Submissions: written, checked from their weights, and merged into a board."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from published_board import Published
from pydantic import ValidationError
from submitted import NETWORK, copied, only, sum_up
from support import Command
from torch import nn

from robench.board.board import Board
from robench.board.cells import ExternalCell
from robench.board.loading import read_board
from robench.board.specs import DataSpec
from robench.data.statistics import MEAN_STD
from robench.errors import UserError
from robench.leaderboard.audit import audit
from robench.leaderboard.evidence import read_sums
from robench.leaderboard.export import to_latex, to_markdown
from robench.leaderboard.merge import merge_boards
from robench.leaderboard.merged_folder import network_files
from robench.leaderboard.page.write import write_page
from robench.leaderboard.publish import write_leaderboard
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import REPRODUCED, rerun
from robench.leaderboard.submission import (
    check_submission,
    external_submission,
    write_submission,
)
from robench.leaderboard.table import compare_rows, leaderboard
from robench.models.external import ExternalOptions, build_external
from robench.models.normalization import IDENTITY, choose_normalization
from robench.runs.run import run_board

ROUNDED = """
import torch
from torch import nn

class Round(nn.Module):
    def forward(self, x):
        return torch.round(x * 3) / 3

def build():
    torch.manual_seed(0)
    return nn.Sequential(Round(), nn.Flatten(), nn.Linear(64, 10))
"""


@pytest.fixture(scope="module")
def spec(finished_board: Path) -> Board:
    """Return the board without its slow parts, for networks that are evaluated again."""
    board = read_board(finished_board / "tiny.toml")
    return board.model_copy(
        update={"evaluation": board.evaluation.model_copy(update={"checks": False})}
    )


@pytest.fixture(scope="module")
def own(finished_board: Path, spec: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a submission of a network that a .py file builds."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "their_net.py").write_text(NETWORK)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
    torch.save(net.state_dict(), folder / "weights.pt")
    external_submission(
        "their net",
        f"{folder / 'their_net.py'}:build",
        folder / "weights.pt",
        spec,
        folder / "submission",
    )
    return folder / "submission"


def test_a_submission_of_a_row_is_sound_and_reproduced_from_its_weights(
    submission: Path, published: Published
) -> None:
    names = {path.name for path in submission.iterdir()}
    assert names == {
        "board.json", "leaderboard.csv", "comparisons.csv", "curves.csv", "manifests", "outcomes",
        "weights", "SHA256SUMS", "README.md", "board.toml",
    }  # fmt: skip
    done = check_submission(submission)
    assert done.problems == ()
    assert done.sound
    assert (done.figures["verdict"] == REPRODUCED).all()
    assert set(done.figures["defense"]) == {"convnorm"}
    whole, part = Leaderboard.read(published.folder).table, done.board.table
    [before] = whole[whole["defense"] == "convnorm"]["digest"]
    assert list(part["digest"]) == [before]
    assert "robench check-submission" in (submission / "README.md").read_text()


def test_rows_and_weights_must_exist_and_the_folder_must_be_empty(
    published: Published, tmp_path: Path
) -> None:
    board = Leaderboard.read(published.folder)
    with pytest.raises(UserError, match="no row 'convnrm'; did you mean 'convnorm'"):
        write_submission(board, ["convnrm"], tmp_path / "out", [published.store])
    with pytest.raises(UserError, match="are not here; name the folder of the run with --store"):
        write_submission(board, ["convnorm"], tmp_path / "out", [])
    with pytest.raises(UserError, match="is not empty"):
        write_submission(board, ["convnorm"], published.folder, [published.store])


def test_a_submission_merged_into_its_board_gives_the_same_rows(
    submission: Path, published: Published, tmp_path: Path
) -> None:
    parts = [Leaderboard.read(published.folder), Leaderboard.read(submission)]
    for boards in (parts, parts[:1]):
        result = merge_boards(boards)
        comparison = compare_rows(result)
        table = leaderboard(result, comparison)
        write_leaderboard(result, table, comparison, tmp_path / "tiny")
        for name in ("leaderboard.csv", "comparisons.csv"):
            assert (tmp_path / "tiny" / name).read_text() == (published.folder / name).read_text()
        assert audit(Leaderboard.read(tmp_path / "tiny")) == []


def test_the_code_of_a_third_party_network_is_run_only_if_it_is_trusted(
    own: Path, tmp_path: Path
) -> None:
    folder = copied(own, tmp_path / "copy")
    assert (folder / "model" / "their_net.py").read_text() == NETWORK
    done = check_submission(folder)
    assert done.sound
    assert done.checked_nothing
    assert done.figures.empty
    assert "model/their_net.py was not run" in done.notes[0]
    costs = "parameters and multiply-adds of 'their net' were not recomputed"
    assert any(costs in text and "its code was not run" in text for text in done.unchecked)
    assert not (folder / "model" / "ran.txt").exists()
    trusted = check_submission(folder, trust_code=True)
    assert (folder / "model" / "ran.txt").exists()
    assert trusted.sound
    assert len(trusted.figures) == 5
    assert (trusted.figures["verdict"] == REPRODUCED).all()
    assert not any("multiply-adds" in text for text in trusted.unchecked)
    (folder / "model" / "their_net.py").unlink()
    [note] = rerun(Leaderboard.read(folder), ["their net"], trust_code=True).notes
    assert "not checked: model/their_net.py, which builds it, is missing" in note


def test_a_third_party_network_has_a_row_without_training(own: Path) -> None:
    board = Leaderboard.read(own)
    [row] = board.table.to_dict("records")
    assert (row["defense"], row["training"], row["recipe"]) == ("their net", "external", "")
    assert row["backbone"] == "their_net.py:build"
    assert row["parameters"] == 80 + 730
    assert row["multiply_adds"] > 0
    assert row["width"] != row["width"]
    assert row["train_seconds_per_epoch"] != row["train_seconds_per_epoch"]
    assert str(own.parent) not in "".join(p.read_text() for p in own.glob("*.json"))
    assert str(own.parent) not in "".join(p.read_text() for p in own.glob("manifests/*.json"))


def test_code_other_than_the_published_is_not_run_even_if_trusted(
    own: Path, tmp_path: Path
) -> None:
    folder = copied(own, tmp_path / "copy")
    code = folder / "model" / "their_net.py"
    code.write_text(code.read_text() + "\n# changed\n")
    sum_up(folder)
    with pytest.raises(UserError, match="is not the file that builds the published network"):
        check_submission(folder, trust_code=True)
    assert not (folder / "model" / "ran.txt").exists()


def test_a_third_party_network_joins_a_board_and_the_board_cannot_be_run(
    own: Path, published: Published, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"its evaluation\.checks is False, not True"):
        merge_boards([Leaderboard.read(published.folder), Leaderboard.read(own)])
    first = without_checks(Leaderboard.read(published.folder))
    result = merge_boards([first, Leaderboard.read(own)])
    assert result.board.titles == ["batchnorm", "convnorm", "their net"]
    comparison = compare_rows(result)
    table = leaderboard(result, comparison)
    write_leaderboard(result, table, comparison, tmp_path / "tiny")
    merged = Leaderboard.read(tmp_path / "tiny")
    assert audit(merged) == []
    assert set(merged.table["training"]) == {"free", "external"}
    for write in (to_markdown, to_latex):
        text = write(merged.table, merged.board)
        assert "nan" not in text
        assert "resnet18 of width 4" in text
    write_page(merged, tmp_path / "page.html")
    assert "weights are not here" in rerun(merged, ["their net"], trust_code=True).notes[0]
    networks = network_files([merged, Leaderboard.read(own)])
    assert {name.partition("/")[0] for name in networks} == {"weights", "model"}
    write_leaderboard(result, table, comparison, tmp_path / "tiny", networks=networks)
    assert set(networks) < set(read_sums(tmp_path / "tiny"))
    again = rerun(merged, ["their net"], trust_code=True)
    assert again.sound
    assert (again.figures["verdict"] == REPRODUCED).all()
    with pytest.raises(UserError, match="'their net' is a third-party network"):
        run_board(merged.board, out=tmp_path / "runs")


def test_a_library_s_network_is_built_without_trust(spec: Board, tmp_path: Path) -> None:
    from torchvision.models import shufflenet_v2_x0_5

    torch.manual_seed(0)
    torch.save(shufflenet_v2_x0_5(num_classes=10).state_dict(), tmp_path / "weights.pt")
    board = with_fgsm_alone(spec)
    folder = tmp_path / "submission"
    name = "torchvision:shufflenet_v2_x0_5(num_classes=10)"
    external_submission("shufflenet", name, tmp_path / "weights.pt", board, folder)
    done = check_submission(folder)
    assert done.sound
    assert list(done.figures["verdict"]) == [REPRODUCED] * 2
    # A larger network that a manifest names is built on the meta device only.
    manifest = only(folder, "manifests/*.json")
    manifest.write_text(manifest.read_text().replace("num_classes=10)", "num_classes=9999)"))
    with pytest.raises(UserError):
        check_submission(folder)


def without_checks(board: Leaderboard) -> Leaderboard:
    """Return a board as if it had been run without checks."""
    evaluation = board.board.evaluation.model_copy(update={"checks": False})
    cells = []
    for cell in board.cells:
        file = cell.file.model_copy(update={"checks": None})
        cells.append(replace(cell, file=file, result=replace(cell.result, evidence=file)))
    spec = board.board.model_copy(update={"evaluation": evaluation})
    return replace(board, board=spec, cells=tuple(cells))


def with_fgsm_alone(spec: Board) -> Board:
    evaluation = spec.evaluation.model_copy(update={"attacks": ("fgsm",), "rank_by": ""})
    return spec.model_copy(update={"evaluation": evaluation})


@pytest.mark.parametrize(
    ("library", "normalize"), [(False, "none"), (False, "mnist"), (True, "cifar10")]
)
def test_a_normalization_of_ones_own_is_published_and_built_again(
    normalize: str, library: bool, spec: Board, tmp_path: Path
) -> None:
    name = "torchvision:shufflenet_v2_x0_5(num_classes=10)"
    if not library:
        (tmp_path / "their_net.py").write_text(NETWORK)
        name = f"{tmp_path / 'their_net.py'}:build"
    torch.manual_seed(0)
    net = build_external(name, IDENTITY)
    bare = net.get_submodule("net") if library else net
    torch.save(bare.state_dict(), tmp_path / "weights.pt")
    folder = tmp_path / "submission"
    options = ExternalOptions(choose_normalization(normalize))
    notes = external_submission(
        "x", name, tmp_path / "weights.pt", with_fgsm_alone(spec), folder, options
    )
    assert ("nothing is put" if normalize == "none" else f"({normalize})") in notes[0]
    done = check_submission(folder, trust_code=True)
    assert done.problems == ()
    assert list(done.figures["verdict"]) == [REPRODUCED] * 2
    [cell] = Leaderboard.read(folder).cells
    known = [cell.specification.get(name) for name in ("mean", "std")]
    assert known == [list(v) for v in MEAN_STD.get(normalize, ())] or known == [None, None]
    assert (known == [None, None]) == (normalize == "none")


def test_the_specification_of_a_network_without_one_is_as_it_was_before() -> None:
    cell = ExternalCell(
        architecture="timm:resnet18", weights_hash="0" * 64, data=DataSpec(), data_hash="x", seed=0
    )
    assert "mean" not in cell.model_dump(mode="json")
    assert cell.key == "05447be4830bd624"
    with pytest.raises(ValidationError, match="mean and std belong together"):
        ExternalCell.model_validate({**cell.model_dump(), "mean": (0.5,)})
    with pytest.raises(ValidationError, match="this robench knows version 1, not 2"):
        ExternalCell.model_validate({**cell.model_dump(), "version": 2})


def test_the_flags_of_ones_own_network_are_printed(
    robench: Command, finished_board: Path, tmp_path: Path
) -> None:
    (tmp_path / "nets.py").write_text(ROUNDED)
    done = robench(
        "submit", finished_board / "tiny.toml", "--model", f"{tmp_path / 'nets.py'}:build",
        "--name", "rounded", "--out", tmp_path / "submission",
    )  # fmt: skip
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "submission" / "leaderboard.csv")
    flags = table["flags"][0].split()
    assert flags
    for flag in flags:
        assert f"rounded, seed {table['seeds'][0]}: {flag}: " in done.out
    assert "nothing is put before the network" in done.out


@pytest.mark.parametrize(
    "option", ["pretrained=True", "checkpoint_path='x'", "num_classes=10**9", "num_classes=99999"]
)
def test_options_that_load_files_or_memory_are_refused(
    option: str, spec: Board, tmp_path: Path
) -> None:
    with pytest.raises(UserError):
        external_submission("x", f"timm:resnet18({option})", None, spec, tmp_path / "out")
    assert not (tmp_path / "out").exists()
