"""``robench.load``: the network of a published row in one line."""

import re
import shutil
from pathlib import Path

import pytest
import torch

import robench
from robench.models.checkpoint import load_checkpoint

QUICK = Path(robench.__file__).resolve().parents[1] / "leaderboards" / "quick"


@pytest.mark.parametrize("name", ["quick/convnorm", "quick/convnorm/0", f"{QUICK}/convnorm"])
def test_a_row_of_a_board_by_name_or_folder(name: str) -> None:
    [cell] = [c for c in robench.Leaderboard.read(QUICK).cells if c.row == "convnorm"]
    plain, _, _ = load_checkpoint(QUICK / "weights" / f"{cell.file.cell.key}.safetensors")
    model, images = robench.load(name), torch.rand(3, 1, 28, 28)
    assert not model.training
    assert torch.equal(model(images), plain(images))


def test_a_path_may_be_one() -> None:
    assert isinstance(robench.load(QUICK / "vanilla"), torch.nn.Module)
    with pytest.raises(robench.UserError, match="no data set"):
        robench.load_dataset(Path("mnist5"))


def test_a_title_may_have_commas_and_spaces() -> None:
    assert robench.load("quick/batchnorm, trained normally")(torch.rand(1, 1, 28, 28)).shape == (
        1,
        10,
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("quik/convnorm", "no leaderboard 'quik' found: .*; did you mean 'quick'"),
        ("quick/convnom", "quick has no row 'convnom'; did you mean 'convnorm'"),
        ("quick/convnorm/7", "'convnorm' of quick has no seed 7; it has 0."),
        ("quick", "names no row: write quick/ROW"),
        ("convnorm", "no leaderboard 'convnorm' found"),
    ],
)
def test_a_wrong_name_gets_the_nearest(name: str, sentence: str) -> None:
    with pytest.raises(robench.UserError, match=sentence):
        robench.load(name)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder as a run leaves it: the leaderboard without weights, which are in its cells."""
    shutil.copytree(QUICK, tmp_path / "mine", ignore=shutil.ignore_patterns("weights"))
    for path in (QUICK / "weights").iterdir():
        (tmp_path / "cells" / path.stem).mkdir(parents=True)
        shutil.copy(path, tmp_path / "cells" / path.stem / "weights.safetensors")
    return tmp_path


def test_a_row_in_a_run_store(store: Path) -> None:
    images = torch.rand(2, 1, 28, 28)
    logits = robench.load("mine/vanilla", store=store)(images)
    assert torch.equal(logits, robench.load("quick/vanilla")(images))
    with pytest.raises(robench.UserError, match="did you mean 'mine'"):
        robench.load("min/vanilla", store=store)


def test_weights_that_are_missing_or_changed_are_said(store: Path) -> None:
    missing, *others = sorted((store / "cells").iterdir())
    shutil.rmtree(missing)
    for path in others:
        content = bytearray((path / "weights.safetensors").read_bytes())
        content[-1] ^= 1
        (path / "weights.safetensors").write_bytes(bytes(content))
    said: list[re.Match[str] | None] = []
    for cell in robench.Leaderboard.read(store / "mine").cells:
        with pytest.raises(robench.UserError) as caught:
            robench.load(f"mine/{cell.row}", store=store)
        said += [re.search("are not here|is not the file that the", str(caught.value))]
    found = sorted(match[0] for match in said if match)
    assert found == ["are not here", *["is not the file that the"] * 4]
