"""The walk of a newcomer, in folders with spaces in their names.

A defense of one's own becomes a board, a page and a submission, which somebody else checks and
merges without having the defense. A network of one's own gets a table and flags, and is submitted.
"""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
import torch
from support import TINY_BOARD, Command, changed_board
from torch import nn

from robench import registry
from robench.leaderboard.published import Leaderboard
from robench.plugins import registrations_undone

BOARD = (
    TINY_BOARD.replace("epochs = 2", "epochs = 1")
    .replace('"fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"', '"fgsm", "pgd-2"')
    .replace("pgd-4", "pgd-2")
    .replace("samples = 60", "samples = 30")
    .replace('title = "tiny"', 'title = "tiny"\nauthors = "Ada Lovelace"')
    .replace('"batchnorm", "convnorm"', '"batchnorm", "vanilla"')
)
HELPERS = "def strength() -> float:\n    import constants\n    return constants.STRENGTH\n"


pytestmark = pytest.mark.usefixtures("few_queries")


@pytest.fixture
def mine(robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a new defense, which imports its neighbors, and a board."""
    folder = tmp_path / "my work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "tiny.toml").write_text(BOARD)
    assert robench("new", "defense", "my_norm").code == 0
    defense = folder / "defenses" / "my_norm.py"
    text = defense.read_text()
    defense.write_text(
        text.replace("import torch\n", "import helpers\nimport torch\n", 1).replace(
            "return centered /", "return helpers.strength() * centered /"
        )
    )
    (folder / "defenses" / "helpers.py").write_text(HELPERS)
    (folder / "defenses" / "constants.py").write_text("STRENGTH = 1.0\n")
    (folder / "defenses" / "unrelated.py").write_text("raise RuntimeError('executed')\n")
    return folder


def test_a_defense_of_one_s_own_is_run_published_checked_and_merged_by_somebody_else(
    robench: Command, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Own defense -> board.
    with registrations_undone():
        done = robench("run", "tiny.toml", "--plugin", "defenses/my_norm.py",
                       "--defenses", "my_norm,batchnorm", "--out", "r")  # fmt: skip
    assert done.code == 0, done.err
    board = changed_board(Path("r"))
    assert set(pd.read_csv(board / "leaderboard.csv")["defense"]) == {"my_norm", "batchnorm"}

    # Board -> page: its own recipe, commands that run, its author.
    page = robench("page", board)
    assert page.code == 0, page.err
    html = (board / "page.html").read_text()
    assert "tiny, changed: --defenses my_norm,batchnorm" in html
    assert "author = {Ada Lovelace}" in html
    commands = re.search(r'<code id="commands">(.*?)</code>', html, re.DOTALL)
    assert commands is not None
    # As printed, in the folder that holds the board; with the results so far, nothing is trained.
    monkeypatch.chdir("r")
    for line in commands[1].replace("&#39;", "'").splitlines():
        if line.startswith("robench "):
            words = shlex.split(line)[1:]
            again = [*words, "--out", "."] if words[0] == "run" else words
            with registrations_undone():
                done = robench(*again)
            assert done.code == 0, (line, done.out, done.err)
            assert ": training" not in done.out
    monkeypatch.chdir(mine)

    # Board -> submission, without naming the plugin or the store again.
    done = robench("submit", board, "--rows", "my_norm", "--out", "s")
    assert done.code == 0, done.err
    [folder] = Path("s/sources").iterdir()
    assert {path.name for path in folder.iterdir()} == {"my_norm.py", "helpers.py", "constants.py"}

    # Somebody else has a board of the same name, the submission, and not the defense.
    other = tmp_path / "somebody else"
    other.mkdir()
    (mine / "s").rename(other / "the submission")
    (other / "tiny.toml").write_text(BOARD)
    (mine / "defenses").rename(tmp_path / "gone")
    monkeypatch.chdir(other)
    unread = robench("check-submission", "the submission")
    assert unread.code == 3, unread.err
    assert "the code of the defense 'my_norm' was not run" in unread.out
    assert "--trust-code" in unread.out
    checked = robench("check-submission", "the submission", "--trust-code")
    assert checked.code == 0, checked.out
    assert checked.out.count("reproduced") == 3
    assert "Nothing wrong was found" in checked.out
    assert robench("run", "tiny.toml", "--out", "theirs").code == 0
    merged = robench("merge", "theirs/tiny", "the submission", "--out", "m", "--trust-code")
    assert merged.code == 0, merged.err
    found = Leaderboard.read("m")
    assert set(found.table["defense"]) == {"batchnorm", "vanilla", "my_norm"}
    assert [entry.entry for entry in found.sources] == ["defense my_norm"]

    # The merged board has the weights and the code: it is verified, paged and merged again.
    [row] = [cell for cell in found.cells if cell.row == "my_norm"]
    assert (Path("m/weights") / f"{row.file.cell.key}.safetensors").is_file()
    sound = robench("verify", "m", "--rows", "all", "--store", "theirs", "--trust-code")
    assert sound.code == 0, sound.out
    assert sound.out.count("reproduced") == 9
    assert robench("page", "m", "--trust-code").code == 0
    again = robench("merge", "m", "the submission", "--out", "twice", "--trust-code")
    assert again.code == 0, again.err
    assert Path("twice/leaderboard.csv").read_bytes() == Path("m/leaderboard.csv").read_bytes()
    assert robench("verify", "twice", "--rows", "0", "--trust-code").code == 0
    assert "my_norm" not in registry.defenses


NET = """
import torch
from torch import nn
from activations import relu


class Net(nn.Module):
    def __init__(self, levels):
        super().__init__()
        self.levels = levels
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), relu(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1), relu(), nn.Flatten(), nn.Linear(256, 10),
        )

    def forward(self, x):
        if self.levels:
            x = torch.round(x * self.levels) / self.levels
        return self.body(0.5 * x + 0.5)


def build():
    return Net(0)


def coarse():
    return Net(7)
"""


@pytest.fixture
def network(digits_net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the code and the weights of a network for images from -1 to 1."""
    folder = tmp_path / "my networks"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "nets.py").write_text(NET)
    (folder / "activations.py").write_text("from torch.nn import ReLU as relu\n")
    torch.save({"state_dict": digits_net.state_dict()}, folder / "weights.pt")
    (folder / "tiny.toml").write_text(BOARD.replace("checks = false", "checks = true"))
    return folder


HALF = ("--mean", "0.5", "--std", "0.5")


def test_a_network_of_one_s_own_gets_a_table_and_flags_and_is_submitted(
    robench: Command, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("--checkpoint", "weights.pt", "--data", "digits", "--samples", 100,
              "--attacks", "fgsm,pgd-20", "--eps", "20/255")  # fmt: skip

    # What is put before it is said, and makes the difference.
    lost = robench("attack", "--model", "nets.py:build", *common, "--no-checks",
                   "--out", "lost.csv")  # fmt: skip
    assert lost.code == 0, lost.err
    assert "nothing is put before the network" in lost.out
    done = robench("attack", "--model", "nets.py:build", *common, *HALF, "--out", "own.csv")
    assert done.code == 0, done.err
    assert "mean 0.5 and std 0.5" in done.out
    assert "checks at Linf 20/255 on 100 of 100 images: " in done.out
    assert "weights.pt" in done.out  # the weights are of a part of it, which is named
    figures = pd.read_csv("own.csv").set_index("attack")["accuracy"]
    assert figures["clean"] > pd.read_csv("lost.csv").set_index("attack")["accuracy"]["clean"]
    assert figures["clean"] > 0.95
    assert figures["pgd-20"] <= figures["fgsm"] < figures["clean"]

    # A network without a gradient is told from a robust one.
    blind = robench("attack", "--model", "nets.py:coarse", *common, *HALF)
    assert blind.code == 0, blind.err
    assert "'round' inside it has no gradient" in blind.err
    assert "no sign of robustness" in blind.err
    assert "  zero_gradients: On " in blind.out

    # A submission has its table and its flags, and one file builds its network.
    submit = ("submit", "tiny.toml", "--checkpoint", "weights.pt", *HALF)
    several = robench(*submit, "--model", "nets.py:coarse", "--name", "coarse", "--out", "s")
    assert several.code == 2
    assert "nets.py imports activations.py from beside it" in several.err
    (network / "nets.py").write_text(NET.replace("from activations", "from torch.nn").replace(
        "import relu", "import ReLU as relu"))  # fmt: skip
    done = robench(*submit, "--model", "nets.py:coarse", "--name", "coarse", "--out", "s")
    assert done.code == 0, done.err
    assert "zero_gradients" in done.out

    # Somebody else builds it again, with the same mean and std.
    other = tmp_path / "somebody else"
    other.mkdir()
    (network / "s").rename(other / "the submission")
    monkeypatch.chdir(other)
    checked = robench("check-submission", "the submission", "--trust-code")
    assert checked.code == 0, checked.out
    assert checked.out.count("reproduced") == 3
