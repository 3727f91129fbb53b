"""EMNIST: handwritten letters and digits.

The images are those of torchvision, and of the files: mirrored at the diagonal, so that a letter
lies on its side. Networks trained on torchvision's EMNIST are attacked on what they were trained
on; ``upright=True`` turns the images for networks that were trained on upright ones.

The labels of ``letters`` are 1 to 26 in the files, and torchvision adds a class 0 without images;
here they are 0 to 25.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from robench import Augmentation, DataSet, register_dataset
from robench.data.torchvision_arrays import download, from_arrays

Split = Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"]


@register_dataset("emnist", reference="arXiv:1702.05373")
def emnist(data_dir: Path, split: Split = "balanced", upright: bool = False) -> DataSet:
    """Handwritten letters and digits, 28x28; six splits, such as emnist(split='letters').

    Args:
        data_dir: where its files are, or are downloaded to.
        split: which of the six data sets of EMNIST.
        upright: turn the images upright; torchvision's, and those of the files, lie on their side.
    """
    from torchvision.datasets import EMNIST

    first = 1 if split == "letters" else 0

    def part(folder: Path, train: bool) -> Any:
        read = EMNIST(folder, split=split, train=train, download=True)
        pixels = read.data.transpose(1, 2) if upright else read.data
        return SimpleNamespace(
            data=pixels, targets=read.targets - first, classes=read.classes[first:]
        )

    files = f"its emnist-{split}-*-ubyte files, in EMNIST/raw,"
    parts = download("emnist", files, data_dir, part)
    classes = tuple(parts[1].classes)
    return from_arrays("emnist", parts, classes, None, None, Augmentation(crop_padding=2))
