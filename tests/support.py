"""What several tests share: a tiny board on scikit-learn's digits, and the command line."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch import Tensor, nn

from robench.checks import searches
from robench.data import Images
from robench.system.provenance import file_hash

needs_bf16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="oneDNN has no bf16 convolutions on this processor",
)

TINY_BOARD = """
title = "tiny"
defenses = ["batchnorm", "convnorm"]
seeds = [0]

[data]
name = "digits"

[model]
name = "resnet8"
width = 4

[training]
epochs = 2
schedule = "one-cycle"
replays = 2
eps = 0.1
step_size = 0.1

[evaluation]
attacks = ["fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"]
samples = 60
rank_by = "pgd-4"
checks = false

[evaluation.defaults]
eps = 0.1
step_size = 0.05
"""


TWO_ATTACKS = TINY_BOARD.replace(
    '["fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"]', '["fgsm", "pgd-4"]'
)
"""The same board with fewer columns."""


def made_files(out: Path) -> dict[str, str]:
    """Return path in the store -> hash, of what a run must make the same to the bit."""
    store = out / "cells"
    found = [*store.glob("*/weights.safetensors"), *store.glob("*/outcomes/*.npz")]
    return {str(file.relative_to(store)): file_hash(file) for file in found}


@dataclass(frozen=True)
class Finished:
    """What a command left: exit code and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Finished]


def exit_code(*arguments: object) -> int:
    """Run the command line in this process and return its exit code."""
    from robench.cli import main

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(sys, "argv", ["robench", *map(str, arguments)])
        changed.setenv("COLUMNS", "200")
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def finished(*arguments: object) -> Finished:
    """Run the command line in this process, for fixtures of a module; tests have ``robench``."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = exit_code(*arguments)
    return Finished(code, out.getvalue(), err.getvalue())


def begun(root: Path, *arguments: str, threads: int = 1) -> "subprocess.Popen[str]":
    """Begin ``robench run`` in a folder, as a process that Ctrl-C can be sent to with its group."""
    return subprocess.Popen(
        [sys.executable, "-m", "robench", "run", *arguments],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )


def changed_board(out: Path, name: str = "tiny") -> Path:
    """Return the folder of the only run in ``out`` that changed a board."""
    [folder] = out.glob(f"{name}-changed-*")
    return folder


@contextmanager
def few_queries() -> Iterator[None]:
    """Let the checks' stronger searches end early: there is more to find than they find here.

    Reports agree only if both were made so; tests have a fixture of the same name.
    """
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(searches, "QUERIES", 50)
        changed.setattr(searches, "MOST", 16)
        yield


@contextmanager
def shared_folder(name: str, factory: pytest.TempPathFactory) -> Iterator[tuple[Path, bool]]:
    """Yield a folder that all of xdist's workers share, and whether it is still to be filled.

    Others wait meanwhile: what takes long to train is trained once per session, not per worker.
    """
    base = factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{root}.lock"):
        filled = root.with_suffix(".filled")
        yield root, not filled.exists()
        filled.touch()


def dense(layer: nn.Module, channels: int, height: int, width: int | None = None) -> Tensor:
    """Return the matrix of a layer without its constant, by its answers to unit vectors; float64.

    Args:
        layer: images (B, channels, height, width) to any shape; width is the height if left out.
    """
    width = height if width is None else width
    basis = torch.eye(channels * height * width, dtype=torch.float64)
    images = basis.view(-1, channels, height, width)
    with torch.no_grad():
        matrix: Tensor = (layer(images) - layer(torch.zeros_like(images[:1]))).flatten(1).T
    return matrix


def stripes(count: int, seed: int = 0) -> Images:
    """Noisy images with a bright left half (class 0) or a bright right half (class 1)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 100, (count, 1, 8, 8), generator=generator)
    for index, label in enumerate(labels):
        images[index, :, :, 4 * label : 4 * label + 4] += 150
    return Images(images.to(torch.uint8), labels)
