"""CIFAR-10-C: the test images of CIFAR-10 under fifteen corruptions at five severities."""

from pathlib import Path

import torch

from robench import DataSet, UserError, register_dataset
from robench.attack_tools.corruptions import CORRUPTIONS, SEVERITIES
from robench.data.augment import CROP_AND_FLIP
from robench.data.corrupted_files import CorruptedImages
from robench.data.images import Images
from robench.data.statistics import MEAN_STD

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@register_dataset("cifar10_c", reference="arXiv:1903.12261")
def cifar10_c(data_dir: Path, kind: str = "", severity: int = 0) -> DataSet:
    """The released files of CIFAR-10-C, to attack a network on: clean accuracy is that on them.

    Without ``kind`` and ``severity`` it holds all fifteen corruptions at all five severities,
    750,000 images, and the accuracy is the mean over them. It has no training part.

    Args:
        data_dir: the folder of the files, or the one that has it as CIFAR-10-C.
        kind: one corruption, the name of its file, such as fog; all fifteen by default.
        severity: one severity, from 1 to 5; all of them by default.

    Raises:
        UserError: if files are missing or of another form, or the severity is out of range.
    """
    if severity not in (0, *SEVERITIES):
        raise UserError(f"severity is {severity}; it goes from 1 to 5; 0 is all of them.")
    here = data_dir / "CIFAR-10-C" if (data_dir / "CIFAR-10-C").is_dir() else data_dir
    kinds = [kind] if kind else list(CORRUPTIONS)  # the release has four more, which do not count
    test = CorruptedImages(here, kinds, [severity] if severity else SEVERITIES)
    mean, std = MEAN_STD["cifar10"]
    none = Images(torch.zeros(0, *test.image_shape, dtype=torch.uint8), torch.zeros(0).long())
    return DataSet("cifar10_c", none, test, CLASSES, mean, std, CROP_AND_FLIP)
