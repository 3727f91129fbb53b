"""A figure of attacks: clean images, adversarial images and their magnified differences."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor
from torch.nn.functional import max_pool2d

from robench.errors import UserError
from robench.system.figures import save_figure

ENDINGS = (".svg", ".png", ".pdf")

FINEST = 64
"""Maximum number of blocks per side in which changes of few pixels are drawn: a single pixel of a
larger image would be too small to see."""

_FEW = 0.05
"""Fraction of changed values up to which a change counts as one of few pixels."""

_COLUMNS = 7
"""Number of columns that fit side by side; a gallery of fewer is drawn in several blocks."""
_CELL = 1.08
"""Width of an image, in inches."""
_TEXT = 6.5
_WRONG = "#b2182b"


@dataclass(frozen=True, eq=False)
class ImageColumn:
    """The n adversarial images of one attack, or the n clean images.

    Attributes:
        title: heading of the column.
        images: (n, C, H, W) float in [0, 1], C is 1 or 3.
        logits: (n, classes), the model's outputs for them.
        norm: the norm in which the size of the difference is given.
    """

    title: str
    images: Tensor
    logits: Tensor
    norm: Literal["linf", "l2"] = "linf"


@dataclass(frozen=True, eq=False)
class Gallery:
    """The content of a figure of attacks.

    Attributes:
        labels: (n,) int64, the true classes.
        clean: the clean images.
        attacks: the adversarial images, one column per attack.
        classes: names of the classes, by label.
        caption: what the figure is computed from.
    """

    labels: Tensor
    clean: ImageColumn
    attacks: tuple[ImageColumn, ...]
    classes: tuple[str, ...]
    caption: str

    def __len__(self) -> int:
        return len(self.labels)


def check_ending(path: Path) -> None:
    """Check that a file has a format that can be written.

    Raises:
        UserError: if the suffix is not one of :data:`ENDINGS`.
    """
    if path.suffix not in ENDINGS:
        raise UserError(f"{path} is not a supported image format: end it in .svg, .png or .pdf.")


def magnification(change: Tensor) -> float:
    """Return the factor that makes differences visible; at least 1, rounded to two digits.

    With it, all but the largest 5% of the changed values stay within four fifths of the way to
    black or white. Unchanged values do not count, so that attacks on few pixels are handled too.

    Args:
        change: (n, C, H, W), adversarial minus clean images.
    """
    sizes = change[change != 0].abs()
    if not len(sizes):
        return 1.0
    large = float(sizes.sort().values[math.ceil(0.95 * len(sizes)) - 1])
    return float(f"{max(1.0, 0.4 / large):.2g}")


def difference(clean: Tensor, adversarial: Tensor, times: float) -> Tensor:
    """Return images of a change: 0.5 is no change, brighter is an increase; (n, C, h, w) in [0, 1].

    If few values of a large image change, the result is smaller: each of its pixels shows the
    largest change of its block, see :data:`FINEST`.

    Args:
        clean: (n, C, H, W) in [0, 1].
        adversarial: (n, C, H, W) in [0, 1].
        times: magnification factor.
    """
    change = adversarial - clean
    block = _block(change)
    if block > 1:
        up, down = (max_pool2d(sign * change, block, ceil_mode=True) for sign in (1, -1))
        change = torch.where(up >= down, up, -down)
    return (0.5 + times * change).clamp(0, 1)


def predictions(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the predicted classes and their softmax probabilities for logits (n, classes).

    For logits that are not finite, the class is -1 (no prediction) and the probability 0.
    """
    confidence, predicted = logits.double().softmax(1).max(1)
    invalid = ~logits.isfinite().all(1)
    return predicted.masked_fill(invalid, -1), confidence.masked_fill(invalid, 0)


def draw_gallery(gallery: Gallery, path: Path) -> None:
    """Draw a gallery into a file whose suffix sets the format.

    There is one row per image: the clean image, then for each attack the adversarial image and the
    difference. Each has the prediction below it; a wrong one has a cross, bold letters and a dashed
    frame.

    Args:
        gallery: the gallery to draw.
        path: ``.svg``, ``.png`` or ``.pdf``.

    Raises:
        UserError: for another suffix, images that are neither gray nor of three colors, or a file
            that cannot be written.
    """
    check_ending(path)
    channels, height, width = gallery.clean.images.shape[1:]
    if channels not in (1, 3):
        raise UserError(f"images of {channels} channels cannot be drawn, only those of 1 or 3.")
    columns = 1 + 2 * len(gallery.attacks)
    blocks = min(max(1, _COLUMNS // columns), len(gallery))
    rows = math.ceil(len(gallery) / blocks)
    across = blocks * (columns + 0.25) * _CELL
    caption = textwrap.fill(f"{gallery.caption} {_legend(gallery)}", int(across * 21))
    deep = rows * (_CELL * height / width + 0.18) + 0.25 + 0.12 * (caption.count("\n") + 1)
    tight = ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.02, hspace=0, wspace=0)
    figure = Figure(figsize=(across, deep), dpi=200, layout=tight)
    parts = figure.subfigures(1, blocks, squeeze=False, wspace=0.02)[0]
    for number, part in enumerate(parts):
        axes = part.subplots(rows, columns, squeeze=False)
        mine = range(number * rows, min((number + 1) * rows, len(gallery)))
        _draw_block(gallery, axes, mine)
    figure.supxlabel(
        caption, fontsize=_TEXT, x=0.005, ha="left", color="0.25", linespacing=1.25,
        parse_math=False,
    )  # fmt: skip
    save_figure(figure, path)


def _draw_block(gallery: Gallery, axes: Sequence[Sequence[Axes]], samples: Sequence[int]) -> None:
    for line in axes[len(samples) :]:
        for empty in line:
            empty.set_axis_off()
    clean = gallery.clean
    for line, sample in zip(axes, samples, strict=False):
        _draw_image(line[0], gallery, clean, sample)
        line[0].set_ylabel(
            _short(gallery.classes[int(gallery.labels[sample])]), fontsize=_TEXT + 1, labelpad=3,
            parse_math=False,
        )  # fmt: skip
    _head(axes[0][0], clean.title)
    for index, column in enumerate(gallery.attacks):
        times = magnification(column.images - clean.images)
        pictures = difference(clean.images, column.images, times)
        seen, changed = 1 + 2 * index, 2 + 2 * index
        _head(axes[0][seen], column.title)
        _head(axes[0][changed], f"difference \N{MULTIPLICATION SIGN}{times:g}")
        for line, sample in zip(axes, samples, strict=False):
            _draw_image(line[seen], gallery, column, sample)
            _draw(line[changed], pictures[sample], _size(gallery, column, sample))


def _draw_image(axes: Axes, gallery: Gallery, column: ImageColumn, sample: int) -> None:
    (predicted,), (confidence,) = predictions(column.logits[sample : sample + 1])
    wrong = bool(predicted != gallery.labels[sample])
    text = "no answer"
    if predicted >= 0:
        text = f"{_short(gallery.classes[int(predicted)])}, {confidence:.0%}"
    _draw(axes, column.images[sample], f"{'✗' if wrong else '✓'} {text}")
    if not wrong:
        return
    axes.xaxis.label.set(color=_WRONG, fontweight="bold")
    for spine in axes.spines.values():
        spine.set(linewidth=1.8, linestyle=(0, (3, 1.5)), edgecolor=_WRONG, capstyle="butt")


def _draw(axes: Axes, picture: Tensor, below: str) -> None:
    pixels = picture.float().permute(1, 2, 0).clamp(0, 1).numpy()
    if pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    height, width = picture.shape[-2:]
    axes.imshow(
        pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=(0, width, height, 0)
    )
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(below, fontsize=_TEXT, labelpad=2, parse_math=False)
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, edgecolor="0.55")


def _head(axes: Axes, title: str) -> None:
    short = textwrap.shorten(title, 44, placeholder=" …") if " " in title else title[:44]
    axes.set_title(textwrap.fill(short, 22), fontsize=_TEXT + 0.5, pad=3, parse_math=False)


def _size(gallery: Gallery, column: ImageColumn, sample: int) -> str:
    predicted, _ = predictions(gallery.clean.logits[sample : sample + 1])
    if predicted != gallery.labels[sample]:
        return "not attacked"
    change = (column.images[sample] - gallery.clean.images[sample]).flatten()
    if column.norm == "l2":
        return f"L2 {float(change.norm()):.2g}"
    return f"L∞ {float(change.abs().max()):.2g}"


def _block(change: Tensor) -> int:
    few = float((change != 0).float().mean()) <= _FEW
    return math.ceil(max(change.shape[-2:]) / FINEST) if few else 1


def _legend(gallery: Gallery) -> str:
    block = max(_block(column.images - gallery.clean.images) for column in gallery.attacks)
    coarse = (
        f"; where few pixels are changed, each dot is the largest of {block} x {block}"
        if block > 1
        else ""
    )
    return (
        "At the left the true class, below each image the prediction and its probability; ✗ and a "
        "dashed frame: it is wrong. What is wrong on the clean image is not attacked. Differences "
        "are magnified as said above them, in one scale a column; mid-grey is no change"
        f"{coarse}."
    )


def _short(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= 13 else f"{name[:12]}…"
