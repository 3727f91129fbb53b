"""A board that noise alone ranks, so that there is much for others to find."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from published_board import BOARD
from torch.nn.functional import cross_entropy

from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.rerun import RerunOptions, find_weights
from robench.leaderboard.rerun.network import opened_network
from robench.leaderboard.rerun.run import board_images

ROW, OTHER = "batchnorm", "convnorm"
"""The row that is challenged, and the one that is not."""

WEAK = BOARD.replace('"fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"', '"noise"')
WEAK = WEAK.replace('"pgd-4"', '"noise"').replace("check_samples = 20", "checks = false")


@dataclass(frozen=True)
class Weak:
    """The board, and adversarial images of its evaluation's images against one row."""

    folder: Path
    images: np.ndarray
    labels: np.ndarray
    clean: np.ndarray

    def file(self, name: str = "found.npz", **changed: np.ndarray) -> Path:
        """Write a file of images beside the board."""
        path = self.folder.parent / name
        arrays = {"images": self.images, "indices": np.arange(len(self.images)), **changed}
        if path.suffix == ".npz":
            np.savez(path, **arrays)
        else:
            safetensors.numpy.save_file(arrays, path)
        return path


def attacked(root: Path, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return what 20 steps of PGD find against the first row, in the ball of the board."""
    board, options = Leaderboard.read(root / "weak"), RerunOptions()
    cell = next(cell for cell in board.cells if cell.row == ROW)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    found = x.clone()
    weights, dataset = find_weights(board.folder, cell, []), board_images(board, None, None)
    with opened_network(board, cell, weights, dataset, options) as (model, _):
        assert model is not None
        model.eval()
        for _ in range(20):
            at = found.clone().requires_grad_()
            cross_entropy(model(at), y, reduction="sum").backward()
            assert at.grad is not None
            found = x + (found + 0.02 * at.grad.sign() - x).clamp(-0.1, 0.1)
            found = found.clamp(0, 1)
    return found.numpy()


def cell_of(folder: Path, row: str = ROW) -> PublishedCell:
    return next(cell for cell in Leaderboard.read(folder).cells if cell.row == row)


def only_challenge(folder: Path) -> Path:
    [path] = folder.glob("challenges/*/*.npz")
    return path
