"""Data sets from your own image files, with one folder per class."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch

from robench.data.augment import Augmentation
from robench.data.dataset import DataSet
from robench.data.decode import is_color
from robench.data.files import ImageFile
from robench.data.images import Images
from robench.data.listing import list_images, notify_numbers, readable
from robench.data.measured import MeasuredDataSet
from robench.data.notices import notify
from robench.data.sampling import split_indices
from robench.data.unread import FileImages
from robench.errors import UserError
from robench.registry import datasets
from robench.system.files import is_file

TEST_NAMES = ("test", "val", "valid", "validation")


def load_folder(path: Path) -> DataSet:
    """List ``path/train/<class>/**`` and ``path/test/<class>/**``; images are read when used.

    ``val`` may stand in for ``test``. Without ``train``, the data set can only be attacked. If the
    class folders are directly in ``path``, a fixed fifth of each class is the test part, which a
    notice says. Images have one channel if all files are grayscale, else three, and must have the
    same size; mean and std are those of the training part. Reading a part raises a UserError for a
    damaged image or differing sizes.

    Raises:
        UserError: for a file, a missing folder, fewer than two classes, differing classes, too few
            images to hold some out, or parts of differing sizes.
    """
    if is_file(path):
        raise UserError(no_folder_but_file(path))
    if not path.is_dir():
        raise UserError(
            f"no image folder {path} found; name one with --data-dir or --data image_folder:DIR."
        )
    classes, train_files, test_files = _parts(path)
    notify_numbers(path, classes)
    # The test part comes first: unless all of it is grayscale, no training file is opened.
    channels = 3 if any(is_color(file) for file, _ in [*test_files, *train_files]) else 1
    test = FileImages(test_files, channels)
    train: Images = Images(torch.zeros(0, *test.image_shape, dtype=torch.uint8), test.labels[:0])
    if train_files:
        train = FileImages(train_files, channels)
        if train.image_shape != test.image_shape:
            sizes = [f"{i.image_shape[2]}x{i.image_shape[1]}" for i in (train, test)]
            raise UserError(
                f"training images in {path} are {sizes[0]} but test images are {sizes[1]}; "
                f"resize them to one size."
            )
    return MeasuredDataSet(
        name=_name_of(path),
        train=train,
        test=test,
        classes=tuple(map(readable, classes)),
        augmentation=Augmentation(crop_padding=min(test.image_shape[1:]) // 8, flip=True),
    )


def no_folder_but_file(path: str | Path) -> str:
    """Return what to do with the images in a file that is neither a folder nor an ``.npz``."""
    return (
        f"the file {path} is not a folder of images; of files, robench reads an .npz that has the "
        f"arrays 'images' and 'labels': save yours as one with numpy.savez."
    )


def _name_of(path: Path) -> str:
    """Return the name of a folder in tables: never that of a registered data set, of other images.

    The audit compares what is published under such a name with what is known of that data set.
    """
    name = readable(path.resolve().name)
    if name.partition("(")[0] not in datasets:
        return name
    other = f"image_folder:{name}"
    notify(
        f"the folder {path} is named as the registered data set '{name}' is: in tables it is "
        f"called {other}."
    )
    return other


Parts = tuple[tuple[str, ...], Sequence[ImageFile], Sequence[ImageFile]]
"""Class names, training files and test files."""


def _parts(path: Path) -> Parts:
    test_folder = next((path / n for n in TEST_NAMES if (path / n).is_dir()), None)
    if not (path / "train").is_dir():
        if test_folder is not None and _has_parts_only(path, test_folder):
            classes, files = list_images(test_folder)
            return classes, [], files
        return _split(path)
    if test_folder is None:
        raise UserError(f"{path} has 'train' but no 'test' folder; add {path / 'test'}.")
    classes, train_files = list_images(path / "train")
    test_classes, test_files = list_images(test_folder)
    if classes != test_classes:
        odd = sorted(set(classes) ^ set(test_classes))[0]
        raise UserError(
            f"the class '{odd}' is not in both {path / 'train'} and {test_folder}; "
            f"both need the same classes."
        )
    return classes, train_files, test_files


def _has_parts_only(path: Path, test_folder: Path) -> bool:
    """Return whether the folders in ``path`` are parts, not classes that have such names."""
    folders = [p.name for p in path.iterdir() if p.is_dir() and p.name[0] != "."]
    return set(folders) <= set(TEST_NAMES) and any(p.is_dir() for p in test_folder.iterdir())


_PART = re.compile(r"(train|test|val)(ing|id|idation)?([ _-]?(set|data|images?|part))?", re.I)
"""Names of parts, in which other data sets have their classes."""


def _split(path: Path) -> Parts:
    """Split class folders into a training and a test part, and say so.

    Raises:
        UserError: if a class has too few images to hold some out, or the folders are parts.
    """
    names = sorted(p.name for p in path.iterdir() if p.is_dir() and p.name[0] != ".")
    trains = any(name.lower().startswith("train") for name in names)
    if trains and len(names) > 1 and all(map(_PART.fullmatch, names)):
        raise UserError(
            f"the folders in {path} are named as parts of a data set, and not as classes: "
            f"{', '.join(names)}; rename them 'train' and 'test'."
        )
    classes, files = list_images(path)
    labels = torch.tensor([label for _, label in files])
    kept, held = split_indices(labels, 0.2, seed=0)
    for label, name in enumerate(classes):
        if not (labels[held] == label).any():
            raise UserError(
                f"the class folder {path / name} has too few images to hold out a fifth for "
                f"testing; add some, or make folders {path / 'train'} and {path / 'test'}."
            )
    notify(
        f"{path} has no train and test folders: a fifth of its images ({len(held)} of "
        f"{len(files)}), drawn with a fixed seed, is the test set, and the others are the training "
        f"set; to attack all of them, move the class folders into {path / 'test'}."
    )
    return classes, [files[i] for i in kept], [files[i] for i in held]
