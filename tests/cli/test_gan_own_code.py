"""A board of GANs with a defense of the user's own: its code is published, and run if trusted."""

import json
from pathlib import Path

import pytest
from gan_boards import BOARD, classifier, folder_of_images
from support import Command

from robench.leaderboard.evidence import read_sums, write_sums
from robench.plugins import registrations_undone

PLUGIN = """
import os
from dataclasses import dataclass
from robench import Defense, register_defense
from beside import SIGN

open(SIGN, "w").close()

@register_defense("mine")
@dataclass(frozen=True)
class Mine(Defense):
    pass
"""


@pytest.fixture
def ran(robench: Command, tmp_path: Path) -> Path:
    """A folder in which a board with a defense of a plugin was run."""
    pytest.importorskip("torch_fidelity")
    folder_of_images(tmp_path / "images")
    features = classifier(tmp_path / "features.safetensors")
    text = BOARD.replace('"efficientnet_lite0"', f'"{features}"').replace("spectral_norm", "mine")
    (tmp_path / "tiny.toml").write_text(text)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "beside.py").write_text(f"SIGN = {str(tmp_path / 'executed')!r}\n")
    with registrations_undone():
        done = robench("run", tmp_path / "tiny.toml", "--plugin", tmp_path / "plugin.py", "--quiet",
                       "--data-dir", tmp_path / "images", "--seeds", 1, "--defenses", "mine",
                       "--jobs", 1, "--out", tmp_path / "runs")  # fmt: skip
    assert done.code == 0, done.err
    (tmp_path / "executed").unlink()
    (board,) = tmp_path.glob("runs/tiny-changed-*")
    return board


def test_its_code_is_published_and_run_only_if_trusted(
    robench: Command, ran: Path, tmp_path: Path
) -> None:
    (source,) = json.loads((ran / "board.json").read_text())["sources"]
    assert source["entry"] == "defense mine"
    assert (ran / "sources" / source["file"]).read_text() == PLUGIN
    assert (ran / "sources" / source["file"]).with_name("beside.py").exists()

    verify = ("verify", ran, "--data-dir", tmp_path / "images", "--store", tmp_path / "runs")
    done = robench(*verify)
    assert done.code == 0, done.out + done.err
    assert "the code of the defense 'mine' was not run" in done.out
    assert "the size of the discriminator of 'mine'" in done.out
    assert not (tmp_path / "executed").exists()
    done = robench(*verify, "--trust-code")
    assert done.code == 0, done.out + done.err
    assert "was not run" not in done.out
    assert "the size of the discriminator" not in done.out
    assert (tmp_path / "executed").exists()

    assert robench("page", ran).code == 0
    assert f"--plugin {ran.name}/sources/{source['file']}" in (ran / "page.html").read_text()


def test_other_code_than_that_of_the_training_is_found(
    robench: Command, ran: Path, tmp_path: Path
) -> None:
    (path,) = ran.glob("sources/*/plugin.py")
    path.write_text(PLUGIN.replace("pass", "x: int = 1"))
    write_sums(ran, [ran / name for name in read_sums(ran)])
    done = robench("verify", ran, "--data-dir", tmp_path / "images")
    assert done.code == 1
    assert "code of the defense 'mine' in sources/ is not that which 'mine', seed 1" in done.out
    refused = robench("verify", ran, "--trust-code")
    assert refused.code == 2
    assert "Nothing was executed" in refused.err
    assert not (tmp_path / "executed").exists()
