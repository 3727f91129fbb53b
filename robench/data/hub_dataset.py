"""Data sets of images on the Hugging Face hub: ``hf:ORG/NAME@REVISION``."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import platformdirs
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from robench.data.augment import Augmentation
from robench.data.dataset import DataSet
from robench.data.hub_columns import Columns, columns_of
from robench.data.hub_layout import CARD, PARQUET, Layout, layout_of, listed
from robench.data.images import Images
from robench.data.measured import MeasuredDataSet
from robench.data.notices import notify
from robench.data.parquet_images import ParquetImages
from robench.data.unread import UnreadImages
from robench.errors import UserError, did_you_mean, shortened
from robench.expressions import Expression
from robench.system.files import write_text
from robench.system.hub import HubName, files_of, first_file, pinned
from robench.system.json_files import read_json

TEST_NAMES = ("test", "validation", "valid", "val")
TRAIN = "train"
_FORMAT = 1
"""Part of the name of a kept list of files; raised when what is in it changes."""


def load_hub_dataset(repository: str, options: Mapping[str, str]) -> DataSet:
    """Load a data set of the hub; its training images are fetched when they are first used.

    Args:
        repository: ``ORG/NAME`` or ``ORG/NAME@REVISION``.
        options: those of :func:`robench.datasets.hf.hf` that are set: ``image``, ``label``,
            ``config``, ``train``, ``test``.

    Returns:
        The data set. Its name has the commit that it was read from, and the options.

    Raises:
        UserError: if the repository, a split or a column is missing or not the only one, or the
            hub cannot be reached.
    """
    asked = HubName.read(f"hf:{repository}", "dataset")
    name = pinned(asked)
    files = _files(name)
    card = fetched(name, [CARD])[0] if CARD in files else None
    layout = layout_of(asked, files, card, options.get("config", ""))
    train, test = _splits(asked, layout, options.get("train", ""), options.get("test", ""))
    parts = _Parts(name, layout, _columns(asked, name, layout, test, options))
    test_images = parts.images(test)
    return MeasuredDataSet(
        name=str(Expression(str(name), options)),
        train=parts.unread(train, test_images),
        test=test_images,
        classes=parts.columns.classes,
        augmentation=Augmentation(crop_padding=min(test_images.image_shape[1:]) // 8, flip=True),
    )


class _Parts:
    """Makes images of splits.

    Args:
        name: the repository at a commit.
        layout: its splits.
        columns: the columns to read.
    """

    def __init__(self, name: HubName, layout: Layout, columns: Columns) -> None:
        self._name, self._layout, self.columns = name, layout, columns

    def images(self, split: str, channels: int | None = None) -> ParquetImages:
        """Fetch the files of a split, and return its images."""
        files = fetched(self._name, self._layout.splits[split])
        words = f"the split '{shortened(split)}' of hf:{self._name.repo}"
        return ParquetImages(files, self.columns, words, channels)

    def unread(self, split: str, test: Images) -> Images:
        """Return the images of the training split, which is fetched when they are first used."""
        if not split:
            return test.take(test.labels.new_zeros(0))

        def read() -> Images:
            images = self.images(split, test.image_shape[0])
            if images.image_shape != test.image_shape:
                sizes = [f"{i.image_shape[2]}x{i.image_shape[1]}" for i in (images, test)]
                raise UserError(
                    f"training images of hf:{self._name.repo} are {sizes[0]} but test images are "
                    f"{sizes[1]}; images of one size are needed."
                )
            return images

        return UnreadImages(read)


def fetched(name: HubName, files: Sequence[str]) -> list[Path]:
    """Fetch files of a repository, or find them in the client's cache.

    Raises:
        UserError: if one is missing, or the hub cannot be reached.
    """
    found = []
    for file in files:
        fetched = first_file(name, (file,))
        if fetched is None:
            raise UserError(f"{name} has no {file}.")
        found.append(fetched.path)
    return found


def _splits(name: HubName, layout: Layout, train: str, test: str) -> tuple[str, str]:
    """Return the splits of training and test images; that of training is empty if there is none."""
    there = list(layout.splits)
    for asked in filter(None, (train, test)):
        if asked not in there:
            raise UserError(f"{name} has no split '{asked}'; {did_you_mean(asked, there)}")
    if not test:
        test = next((split for split in TEST_NAMES if split in there and split != train), "")
        if not test:
            raise UserError(
                f"{name} has no split 'test' or 'validation', but {listed(there)}; name the split "
                f"to attack as (test='SPLIT') after the name."
            )
        if test != TEST_NAMES[0]:
            notify(f"{name} has no split 'test': its split '{test}' is the test part.")
    if train == test:
        raise UserError(f"the split '{test}' of {name} cannot be both the training and test part.")
    if not train and TRAIN in there and test != TRAIN:
        train = TRAIN
    return train, test


def _columns(
    asked: HubName, name: HubName, layout: Layout, test: str, options: Mapping[str, str]
) -> Columns:
    features = layout.features
    if features is None:  # the first file says what is in it
        (file,) = fetched(name, layout.splits[test][:1])
        try:
            features = Features.from_arrow_schema(pq.read_schema(file))
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{file.name}, of {asked}, is not a Parquet file that the package datasets reads "
                f"({shortened(error, 200)})."
            ) from error
    return columns_of(asked, features, options.get("image", ""), options.get("label", ""))


def _files(name: HubName) -> list[str]:
    """Return the Parquet files of a commit and its card, which never change: asked for once."""
    kept = kept_file(name)
    with suppress(UserError, OSError):
        known = read_json(kept)
        if isinstance(known, list) and all(isinstance(file, str) for file in known):
            return known
    files = [file for file in files_of(name) if file == CARD or file.endswith(PARQUET)]
    with suppress(UserError, OSError):  # it is kept where it can be
        write_text(kept, json.dumps(files))
    return files


def kept_file(name: HubName) -> Path:
    """Return where the list of a commit's files is kept, in the user's folder for caches."""
    key = sha256(str(name).encode()).hexdigest()[:16]
    return platformdirs.user_cache_path("robench") / f"hub-{_FORMAT}-{key}.json"
