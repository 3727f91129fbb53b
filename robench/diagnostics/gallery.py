"""A picture of attacks: the image, what an attack made of it, and the difference, magnified."""

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
"""Changes of few pixels are drawn in at most so many blocks a side: a single pixel of a larger
image would be too small to see."""

_FEW = 0.05
"""Share of the values up to which a change is one of few pixels."""

_COLUMNS = 7
"""So many fit side by side; fewer columns are drawn in several blocks."""
_CELL = 1.08
"""Width of an image, in inches."""
_TEXT = 6.5
_WRONG = "#b2182b"


@dataclass(frozen=True, eq=False)
class ImageColumn:
    """What one attack made of n images, or the n clean images.

    Attributes:
        title: the heading.
        images: (n, C, H, W) float in [0, 1], C is 1 or 3.
        logits: (n, classes), the network's answers to them.
        norm: in which the size of the difference is told.
    """

    title: str
    images: Tensor
    logits: Tensor
    norm: Literal["linf", "l2"] = "linf"


@dataclass(frozen=True, eq=False)
class Gallery:
    """All that is drawn.

    Attributes:
        labels: (n,) int64, the true classes.
        clean: the images as they are.
        attacks: what became of them.
        classes: names of the classes, by label.
        caption: what the picture stands on.
    """

    labels: Tensor
    clean: ImageColumn
    attacks: tuple[ImageColumn, ...]
    classes: tuple[str, ...]
    caption: str

    def __len__(self) -> int:
        return len(self.labels)


def check_ending(path: Path) -> None:
    """Refuse a file whose format cannot be written.

    Raises:
        UserError: where the ending is not one of :data:`ENDINGS`.
    """
    if path.suffix not in ENDINGS:
        raise UserError(f"{path} is no name of a picture: end it in .svg, .png or .pdf.")


def magnification(change: Tensor) -> float:
    """Return by how much differences are multiplied to be seen; at least 1, to two digits.

    All but the largest twentieth of the changed values then stay within four fifths of the way to
    black or white. Values that are not changed do not count, so that an attack on few pixels is not
    drowned.

    Args:
        change: (n, C, H, W), adversarial minus clean images.
    """
    sizes = change[change != 0].abs()
    if not len(sizes):
        return 1.0
    large = float(sizes.sort().values[math.ceil(0.95 * len(sizes)) - 1])
    return float(f"{max(1.0, 0.4 / large):.2g}")


def difference(clean: Tensor, adversarial: Tensor, times: float) -> Tensor:
    """Return the picture of a change: 0.5 is none, brighter is more; (n, C, h, w) in [0, 1].

    Where few values of a large image change, the picture comes out smaller: each pixel of it shows
    the largest change of its block, see :data:`FINEST`.

    Args:
        clean: (n, C, H, W) in [0, 1].
        adversarial: likewise.
        times: by how much it is magnified.
    """
    change = adversarial - clean
    block = _block(change)
    if block > 1:
        up, down = (max_pool2d(sign * change, block, ceil_mode=True) for sign in (1, -1))
        change = torch.where(up >= down, up, -down)
    return (0.5 + times * change).clamp(0, 1)


def predictions(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the class and its softmax probability for logits (n, classes).

    Where logits are not finite the class is -1: the network says nothing.
    """
    confidence, named = logits.double().softmax(1).max(1)
    broken = ~logits.isfinite().all(1)
    return named.masked_fill(broken, -1), confidence.masked_fill(broken, 0)


def draw_gallery(gallery: Gallery, path: Path) -> None:
    """Draw a gallery into a file whose ending says its format.

    A row an image: clean, then for each attack its image and the difference. What the network says
    is below each; a wrong prediction has a cross, bold letters and a dashed frame.

    Args:
        gallery: what to draw.
        path: ``.svg``, ``.png`` or ``.pdf``.

    Raises:
        UserError: for another ending, images that are neither grey nor of three colours, or a file
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
    (named,), (confidence,) = predictions(column.logits[sample : sample + 1])
    wrong = bool(named != gallery.labels[sample])
    said = f"{_short(gallery.classes[int(named)])}, {confidence:.0%}" if named >= 0 else "no answer"
    _draw(axes, column.images[sample], f"{'✗' if wrong else '✓'} {said}")
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
    named, _ = predictions(gallery.clean.logits[sample : sample + 1])
    if named != gallery.labels[sample]:
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
