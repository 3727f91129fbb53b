"""CIFAR-10-C's files: which image an index means, and what is wrong with other files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from robench.attack_tools.corruptions import CORRUPTIONS
from robench.data import DataSet, load_dataset
from robench.data.corrupted_files import CorruptedImages
from robench.errors import UserError

KINDS = (*CORRUPTIONS, "spatter")
EACH = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files whose pixels say what they are: (kind, severity, image)."""
    labels = np.tile(np.arange(EACH) % 10, 5)
    np.save(tmp_path / "labels.npy", labels.astype(np.uint8))
    for number, kind in enumerate(KINDS):
        images = np.zeros((5 * EACH, 4, 4, 3), np.uint8)
        images[..., 0] = number
        images[..., 1] = np.repeat(np.arange(1, 6), EACH)[:, None, None]
        images[..., 2] = np.tile(np.arange(EACH), 5)[:, None, None]
        np.save(tmp_path / f"{kind}.npy", images)
    return tmp_path


def told(found: DataSet, rows: list[int]) -> list[list[int]]:
    assert isinstance(found.test, CorruptedImages)
    taken = found.test.take(torch.tensor(rows))
    assert taken.labels.tolist() == [int(i) % 10 for i in taken.images[:, 2, 0, 0]]
    return [[int(value) for value in image[:, 0, 0]] for image in taken.images]


def test_all_of_it_leaves_out_what_does_not_count_in_the_mean(folder: Path) -> None:
    found = load_dataset("cifar10_c", folder)
    assert len(found.test) == 15 * 5 * EACH
    assert told(found, [0, EACH, 5 * EACH, 75 * EACH - 1]) == [
        [0, 1, 0], [0, 2, 0], [1, 1, 0], [14, 5, EACH - 1],
    ]  # fmt: skip


def test_a_mean_over_fewer_than_all_kinds_is_not_taken_for_the_mean(folder: Path) -> None:
    (folder / "snow.npy").unlink()
    with pytest.raises(UserError, match=r"has no snow\.npy"):
        load_dataset("cifar10_c", folder)


def test_one_kind_at_one_severity(folder: Path) -> None:
    found = load_dataset("cifar10_c(kind='spatter', severity=3)", folder)
    assert len(found.test) == EACH
    assert told(found, [7]) == [[15, 3, 7]]
    assert len(found.train) == 0


def test_reading_all_images_gives_what_taking_them_gives(folder: Path) -> None:
    found = load_dataset("cifar10_c(severity=2)", folder)
    assert isinstance(found.test, CorruptedImages)
    assert torch.equal(found.test.images, found.test.take(torch.arange(15 * EACH)).images)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("cifar10_c(kind='fogg')", "has no fogg.npy; did you mean 'fog'"),
        ("cifar10_c(severity=6)", "severity is 6; it goes from 1 to 5"),
    ],
)
def test_what_is_not_there(call: str, said: str, folder: Path) -> None:
    with pytest.raises(UserError, match=said):
        load_dataset(call, folder)


def test_a_folder_without_such_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no files of corrupted images, such as fog\.npy"):
        load_dataset("cifar10_c", tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("fog", np.zeros((5, 4, 4, 3), np.uint8), "has 5 images and labels.npy 100 labels"),
        ("fog", np.zeros((100, 4, 4), np.uint8), "it needs whole numbers of 4 dimensions"),
        ("labels", np.zeros(100, np.float32), "it needs whole numbers of 1 dimension"),
        ("fog", np.array([{}]), "is not an array of numbers"),
    ],
)
def test_files_of_another_form(name: str, array: np.ndarray, said: str, folder: Path) -> None:
    np.save(folder / f"{name}.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match=said):
        load_dataset("cifar10_c(kind='fog')", folder)
