"""A user's own code that raises is named with its file and line, by whichever command meets it."""

from pathlib import Path

import pytest
from support import TINY_BOARD, Command, Finished

OWN = """
from dataclasses import dataclass

from torch import nn

from robench import Attack, ConvDefense, register_attack, register_dataset, register_defense


def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


@register_attack("boom")
@dataclass(frozen=True)
class Boom(Attack):
    eps: float = 0.1

    def perturb(self, model, images, labels, rngs):
        raise KeyError("oops")


@register_attack("leaves")
@dataclass(frozen=True)
class Leaves(Attack):
    eps: float = 0.1

    def perturb(self, model, images, labels, rngs):
        raise SystemExit(0)


@register_attack("never_built")
@dataclass(frozen=True)
class NeverBuilt(Attack):
    eps: float = 0.1

    def __post_init__(self):
        raise TypeError("no good")


@register_dataset("nowhere")
def nowhere(data_dir):
    raise FileNotFoundError("no images")


@register_defense("broken")
@dataclass(frozen=True)
class Broken(ConvDefense):
    def replace_conv(self, conv):
        raise ZeroDivisionError


@register_defense("keeps")
@dataclass(frozen=True)
class Keeps(ConvDefense):
    def replace_conv(self, conv):
        self.seen = conv
        return conv
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def line(words: str) -> str:
    return f"own.py, line {OWN.splitlines().index(words) + 1}, raises"


def told(done: Finished, *parts: str) -> None:
    assert done.code == 2, (done.out, done.err)
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("robench: ")
    assert "Traceback" not in done.err
    for part in parts:
        assert part in last


@pytest.mark.parametrize(
    ("attack", "parts"),
    [
        ("boom", (line('        raise KeyError("oops")'), "KeyError: 'oops'")),
        ("leaves", (line("        raise SystemExit(0)"), "SystemExit: 0")),
        ("never_built", (line('        raise TypeError("no good")'), "TypeError: no good")),
    ],
)
def test_an_attack(
    robench: Command, own: Path, tmp_path: Path, attack: str, parts: list[str]
) -> None:
    network = ["--model", f"{own}:build", "--data", "digits", "--plugin", own, "--samples", 40]
    told(robench("attack", "--attacks", attack, *network), *parts)
    out = tmp_path / "images.svg"
    told(robench("show", "--attack", attack, "--out", out, *network), *parts)
    assert not out.exists()


def test_a_data_set_and_a_defense(robench: Command, own: Path, tmp_path: Path) -> None:
    board = tmp_path / "board.toml"
    board.write_text(TINY_BOARD.replace('"digits"', '"nowhere"'))
    out = ["--plugin", own, "--out", tmp_path / "out"]
    told(robench("run", board, *out), line('    raise FileNotFoundError("no images")'))
    board.write_text(TINY_BOARD)
    words = line("        raise ZeroDivisionError")
    told(robench("train", "broken", "--board", board, *out), words, "ZeroDivisionError")
    words = line("        self.seen = conv")  # and not a line of what the decorator writes
    told(robench("train", "keeps", "--board", board, *out), words, "FrozenInstanceError")
