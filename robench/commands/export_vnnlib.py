"""``robench export --format vnnlib``: a published network as instances for verifiers."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from robench.attack_tools.threat_models import check_radius
from robench.commands.load import open_network
from robench.data import DataSet
from robench.errors import UserError
from robench.expressions import typed_number
from robench.leaderboard.named import PublishedNetwork
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.vnnlib import write_instances
from robench.models.onnx_file import check_onnx, onnx_file
from robench.runs.attack_cell import evaluation_images
from robench.system.staging import check_empty


@dataclass(frozen=True)
class Instances:
    """What was written.

    Attributes:
        written: number of instances.
        images: number of images that they are of.
        eps: radius of their boxes.
    """

    written: int
    images: int
    eps: float

    @property
    def sentence(self) -> str:
        """The instances in words."""
        left = self.images - self.written
        note = f"; {left} of {self.images} images are misclassified and left out" if left else ""
        return f"{self.written} instances of Linf radius {self.eps:g}{note}"


def radius_of(text: str) -> float:
    """Read a radius in Linf, such as ``8/255``.

    Raises:
        UserError: if it is not a number in [0, 1].
    """
    value = typed_number(text)
    if not isinstance(value, int | float):
        raise UserError(f"'{text}' is not a radius: give a number such as 8/255.")
    check_radius("eps", value, "linf")
    return float(value)


def export_vnnlib(
    network: PublishedNetwork,
    dataset: DataSet,
    folder: Path,
    *,
    eps: float | None = None,
    samples: int = 100,
    timeout: int = 300,
) -> Instances:
    """Write a published network as ONNX, and VNN-LIB instances of the images of its board.

    Misclassified images are left out: a verifier has nothing to find there.

    Args:
        network: the network.
        dataset: the data set of its board.
        folder: the folder to make; new or empty.
        eps: radius of the boxes; by default that of the board, if it is one in Linf.
        samples: how many of the images that the board evaluates, all if there are fewer.
        timeout: time limit of each instance, in seconds.

    Raises:
        UserError: if a package is missing, the board has no radius in Linf, a layer cannot be
            exported, no image is classified correctly, or the folder cannot be written.
    """
    check_onnx()
    check_empty(folder)
    eps = _radius(network.board, eps, math.prod(dataset.test.image_shape))
    model, board = open_network(network), network.board
    sample = evaluation_images(dataset, min(samples, board.board.evaluation.samples))
    images, labels = sample.images.float() / 255, sample.labels
    with torch.no_grad():
        logits = model(images)
    correct = (logits.argmax(1) == labels).nonzero().flatten()
    row = f"'{network.cell.row}', seed {network.cell.seed}, of {board.name}"
    if not len(correct):
        raise UserError(f"{row} classifies none of {len(labels)} images: nothing is to be proved.")
    write_instances(
        folder,
        onnx_file(model, sample.image_shape),
        images[correct],
        labels[correct],
        names=[f"image_{index}" for index in correct.tolist()],
        classes=logits.shape[1],
        eps=eps,
        timeout=timeout,
        title=row,
    )
    return Instances(len(correct), len(labels), eps)


def _radius(board: Leaderboard, eps: float | None, pixels: int) -> float:
    if eps is not None:
        check_radius("eps", eps, "linf")
        return eps
    column = board.columns.get(board.board.evaluation.main_column)
    norm, radius = (column and column.threat_model) or (None, 0.0)
    if norm == "linf":
        return radius
    boxes = "VNN-LIB has boxes, which are balls in Linf"
    if norm is None:
        raise UserError(f"{boxes}, and {board.name} has none: give their radius with --eps.")
    largest = math.floor(1e6 * radius / math.sqrt(pixels)) / 1e6  # rounded, it is no larger
    raise UserError(
        f"{boxes}, and the ball of {board.name} is one in {norm} of radius {radius:.4g}: give the "
        f"radius of the boxes with --eps; the largest box within that ball has --eps {largest:g}."
    )
