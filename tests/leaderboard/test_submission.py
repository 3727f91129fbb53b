"""Submissions: written, checked from their weights, and merged into a board."""

from pathlib import Path

import pytest
import torch
from published_board import Published
from submitted import NETWORK, copied, only, sum_up
from torch import nn

from robench.board.board import Board
from robench.board.loading import read_board
from robench.errors import UserError
from robench.leaderboard.audit import audit
from robench.leaderboard.export import to_latex, to_markdown
from robench.leaderboard.merge import copy_networks, merge_boards
from robench.leaderboard.page import write_page
from robench.leaderboard.publish import write_leaderboard
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import REPRODUCED, rerun
from robench.leaderboard.submission import (
    check_submission,
    external_submission,
    write_submission,
)
from robench.leaderboard.table import compare_rows, leaderboard
from robench.runs.run import run_board


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
    assert done.figures.empty
    assert "model/their_net.py was not run" in done.notes[0]
    assert not (folder / "model" / "ran.txt").exists()
    trusted = check_submission(folder, trust_code=True)
    assert (folder / "model" / "ran.txt").exists()
    assert trusted.sound
    assert len(trusted.figures) == 5
    assert (trusted.figures["verdict"] == REPRODUCED).all()


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
    result = merge_boards([Leaderboard.read(published.folder), Leaderboard.read(own)])
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
    copied_files = copy_networks([merged, Leaderboard.read(own)], tmp_path / "tiny")
    assert {path.parent.name for path in copied_files} == {"weights", "model"}
    again = rerun(merged, ["their net"], trust_code=True)
    assert again.sound
    assert (again.figures["verdict"] == REPRODUCED).all()
    with pytest.raises(UserError, match="'their net' is a third-party network"):
        run_board(merged.board, out=tmp_path / "runs")


def test_a_library_s_network_is_built_without_trust(spec: Board, tmp_path: Path) -> None:
    from torchvision.models import shufflenet_v2_x0_5

    torch.manual_seed(0)
    torch.save(shufflenet_v2_x0_5(num_classes=10).state_dict(), tmp_path / "weights.pt")
    evaluation = spec.evaluation.model_copy(update={"attacks": ("fgsm",), "rank_by": ""})
    board = spec.model_copy(update={"evaluation": evaluation})
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


@pytest.mark.parametrize(
    "option", ["pretrained=True", "checkpoint_path='x'", "num_classes=10**9", "num_classes=99999"]
)
def test_options_that_load_files_or_memory_are_refused(
    option: str, spec: Board, tmp_path: Path
) -> None:
    with pytest.raises(UserError):
        external_submission("x", f"timm:resnet18({option})", None, spec, tmp_path / "out")
    assert not (tmp_path / "out").exists()
