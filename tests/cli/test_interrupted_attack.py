"""``robench attack`` killed by a batch system or the kernel: the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from support import Command, Finished
from torch import nn

from robench.cli import _interrupted
from robench.data import Images, load_dataset

MODEL = """
import os, time
from torch import nn

class Slow(nn.Module):
    def forward(self, x):
        time.sleep(float(os.environ.get("SECONDS_PER_CALL", 0)))
        return x

def build():
    return nn.Sequential(Slow(), nn.Flatten(), nn.Linear(64, 10))
"""

PLUGIN = """
from robench import Defense, register_defense
from robench.evaluation import partial

partial.SAVE_SECONDS, partial.SHARE = 0.0, 1.0


@register_defense("unused")
class Unused(Defense):
    '''Makes this file a plugin.'''
"""

COMMAND = (
    "attack", "--model", "net.py:build", "--checkpoint", "net.pt", "--data", "digits",
    "--samples", "40", "--attacks", "pgd-6(eps=0.1),simba(max_steps=12)", "--plugin", "often.py",
    "--no-checks", "--without", "folding,bf16", "--batch-size", "16", "--device", "cpu", "--out",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, its weights, and a plugin that saves after each step."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(MODEL)
    (tmp_path / "often.py").write_text(PLUGIN)
    train = load_dataset("digits").train
    assert isinstance(train, Images)
    pixels = train.images.flatten(1).double() / 255
    targets = nn.functional.one_hot(train.labels, 10).double()
    weight = torch.linalg.lstsq(pixels, targets, driver="gelsd").solution.T.float()
    model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(64, 10))
    model.load_state_dict({"2.weight": weight, "2.bias": torch.zeros(10)})
    torch.save(model.state_dict(), tmp_path / "net.pt")
    return tmp_path


def interrupted(out: Path, sign: signal.Signals, groups: int) -> Finished:
    """Run the command slowly in another process, and end it in the group with this number."""
    process = subprocess.Popen(
        [sys.executable, "-m", "robench", *COMMAND, str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "SECONDS_PER_CALL": "0.05", "OMP_NUM_THREADS": "1"},
    )
    deadline = time.time() + 120
    while kept_groups(out) < groups and time.time() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(sign)
    printed, errors = process.communicate(timeout=60)
    return Finished(process.returncode, printed.decode(), errors.decode())


def kept_groups(out: Path) -> int:
    """Return how many groups of attacks have something in the file."""
    files = [*out.parent.glob(f"{out.stem}.*.partial.npz")]
    if not files:
        return 0
    with np.load(files[0]) as kept:
        return sum(name.endswith("/numbers") for name in kept.files)


def test_terminated_and_killed_it_ends_with_the_same_table(
    folder: Path, robench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole, out = Path("tables/whole.csv"), Path("tables/mine.csv")
    first = interrupted(out, signal.SIGTERM, 1)
    assert first.code == 143
    assert first.err == "robench: interrupted; the same command goes on where it stood.\n"
    second = interrupted(out, signal.SIGKILL, 2)
    assert second.code == -signal.SIGKILL
    assert kept_groups(out) == 2
    last = robench(*COMMAND, out)
    assert (last.code, last.err) == (0, "")
    assert robench(*COMMAND, whole).code == 0
    assert out.read_bytes() == whole.read_bytes()
    left = {path.name for path in out.parent.iterdir()}
    assert left == {f"{n}{e}" for n in ("whole", "mine")
                    for e in (".csv", ".queries.csv", ".queries.svg")}  # fmt: skip


def test_another_request_keeps_its_progress_in_another_file(folder: Path, robench: Command) -> None:
    out = Path("tables/mine.csv")
    interrupted(out, signal.SIGTERM, 1)
    [kept] = out.parent.glob("*.partial.npz")
    assert robench(*COMMAND[:-1], "--attacks", "fgsm", "--out", out).code == 0
    assert [*out.parent.glob("*.partial.npz")] == [kept]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "quick"], "interrupted; the same command goes on where it stood."),
        (["attack", "x", "--out=a.csv"], "interrupted; the same command goes on where it stood."),
        (["attack", "x"], "interrupted; with --out FILE.csv, the same command would go on"),
        (["verify", "quick"], "interrupted."),
        ([], "interrupted."),
    ],
)
def test_what_is_said_is_what_is_kept(arguments: list[str], sentence: str) -> None:
    assert _interrupted(arguments).startswith(sentence)
