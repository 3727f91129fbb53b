"""A board of GANs with ``--jobs 2``: the same bits, whatever fails or interrupts it."""

import subprocess
from pathlib import Path

import pytest
from gan_boards import BOARD, classifier, folder_of_images
from support import Command, Finished, begun

from robench.gan.folder import GanFolder
from robench.gan.training import GanTrainer
from robench.system.provenance import file_hash

PLUGIN = """
import os, signal
from dataclasses import dataclass
from robench import Defense, register_defense

@register_defense("broken")
@dataclass(frozen=True)
class Broken(Defense):
    def before_training(self, model, steps):
        raise ZeroDivisionError("a bug")

@register_defense("killed")
@dataclass(frozen=True)
class Killed(Defense):
    def before_training(self, model, steps):
        os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.usefixtures("only_the_suite")  # plugins of other tests would travel, too


@pytest.fixture(scope="module", autouse=True)
def _library() -> None:
    pytest.importorskip("torch_fidelity")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a board, images, a plugin, and a network of features."""
    root = tmp_path_factory.mktemp("gans")
    folder_of_images(root / "images")
    features = classifier(root / "features.safetensors")
    text = BOARD.replace('"efficientnet_lite0"', f'"{features}"')
    (root / "tiny.toml").write_text(text)
    (root / "plugin.py").write_text(PLUGIN)
    return root


def started(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    return begun(root, "tiny.toml", "--data-dir", "images", *arguments, threads=2)


@pytest.fixture(scope="module")
def ran(root: Path) -> Finished:
    """What was said of four rows that were run side by side, of which two failed."""
    rows = "broken,killed,spectral_norm,averaged, -1"
    process = started(root, "--jobs=2", "--seeds=1", "--plugin=plugin.py", "--defenses", rows)
    out, err = process.communicate(timeout=240)
    return Finished(process.returncode, out, err)


def made(out: Path) -> dict[str, str]:
    """Return path in the store -> hash, of weights and grids; and what was measured."""
    store = out / "gans"
    files = [*store.glob("*/*.safetensors"), *store.glob("*/snapshots/*"), *store.glob("*/*.png")]
    found = {str(file.relative_to(store)): file_hash(file) for file in files}
    for file in store.glob("*/metrics/*.json"):
        found[str(file.relative_to(store))] = file.read_text()
    return found


def test_one_gan_that_fails_stops_no_other_and_each_is_said_at_the_end(
    root: Path, ran: Finished
) -> None:
    assert ran.code == 2, ran.err
    line = PLUGIN.partition("raise")[0].count("\n") + 1
    assert f"broken, seed 1: ZeroDivisionError in line {line} of plugin.py: a bug" in ran.err
    assert "killed, seed 1: the system killed its process" in ran.err
    assert "the same command goes on from there.\n" in ran.err
    assert "Traceback" not in ran.err
    assert "leaked" not in ran.err
    assert "averaged, -1, seed 1: stored" in ran.out
    folders = [GanFolder(path) for path in root.glob("runs/gans/*")]
    assert sum(folder.manifest.exists() for folder in folders) == 2
    assert not [*root.glob("runs/gans/*/.lease")]


def test_one_after_the_other_gives_the_same_bits(
    root: Path, ran: Finished, robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    alone = robench("run", "tiny.toml", "--data-dir", "images", "--seeds", 1, "--jobs", 1,
                    "--out", tmp_path)  # fmt: skip
    assert alone.code == 0, alone.err
    found = made(tmp_path)
    # Per GAN two networks, an average, two grids and a snapshot; and two measurements.
    assert len(found) == 2 * 6 + 2 * 2
    assert made(root / "runs") == found


def test_after_an_interruption_the_store_is_whole_and_the_same_command_goes_on(
    root: Path, robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    run = ("run", "tiny.toml", "--data-dir", "images", "--jobs=1", "--out", tmp_path)

    def interrupted(trainer: GanTrainer, number: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(GanTrainer, "step", interrupted)
        assert robench(*run).code == 130
    [path] = tmp_path.glob("gans/*")
    assert {file.name for file in path.iterdir()} == {".lock", "spec.json"}
    assert robench(*run).code == 0
    assert GanFolder(path).manifest.exists()
