"""MNIST and its relatives, from small files in their format, which torchvision reads itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.datasets import EMNIST

from robench.data import load_dataset
from robench.errors import UserError

CLASSES = {"balanced": 47, "byclass": 62, "bymerge": 47, "letters": 26, "digits": 10, "mnist": 10}


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write an array as torchvision's MNIST reads it: magic number, sizes, bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes())


def write_part(folder: Path, prefix: str, count: int, classes: int, first: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28))
    write_idx(folder / f"{prefix}-images-idx3-ubyte", pixels)
    write_idx(folder / f"{prefix}-labels-idx1-ubyte", first + np.arange(count) % classes)
    return pixels


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("kmnist", "KMNIST")])
def test_mnist_and_kmnist(tmp_path: Path, name: str, folder: str) -> None:
    write_part(tmp_path / folder / "raw", "train", 30, 10)
    pixels = write_part(tmp_path / folder / "raw", "t10k", 20, 10)
    data: Any = load_dataset(name, tmp_path)
    assert (data.num_classes, data.in_channels, data.image_size) == (10, 1, (28, 28))
    assert (len(data.train), len(data.test)) == (30, 20)
    assert np.array_equal(data.test.images[:, 0].numpy(), pixels)
    assert len(data.mean) == len(data.std) == 1
    assert data.fingerprint == load_dataset(name, tmp_path).fingerprint


def test_the_mean_of_kmnist_is_measured(tmp_path: Path) -> None:
    pixels = write_part(tmp_path / "KMNIST" / "raw", "train", 30, 10)
    write_part(tmp_path / "KMNIST" / "raw", "t10k", 20, 10)
    data = load_dataset("kmnist", tmp_path)
    assert data.mean[0] == pytest.approx((pixels / 255).mean(), abs=1e-4)
    assert data.std[0] == pytest.approx((pixels / 255).std(), abs=1e-4)


@pytest.mark.parametrize(("split", "classes"), CLASSES.items())
def test_every_split_of_emnist_counts_its_classes_from_0(
    tmp_path: Path, split: str, classes: int
) -> None:
    first = int(split == "letters")
    for part, count in (("train", 80), ("test", 70)):
        write_part(tmp_path / "EMNIST" / "raw", f"emnist-{split}-{part}", count, classes, first)
    data: Any = load_dataset(f"emnist(split='{split}')", tmp_path)
    assert data.num_classes == classes
    assert data.test.labels.unique().tolist() == list(range(classes))
    assert data.train.labels.unique().tolist() == list(range(classes))
    assert data.name == f"emnist(split='{split}')"
    theirs = EMNIST(tmp_path, split=split, train=False)
    assert data.classes[data.test.labels[5]] == theirs.classes[theirs.targets[5]]
    assert torch.equal(data.test.images[:, 0], theirs.data)


def test_emnist_is_balanced_by_default_and_stands_upright_if_asked(tmp_path: Path) -> None:
    write_part(tmp_path / "EMNIST" / "raw", "emnist-balanced-train", 60, 47)
    pixels = write_part(tmp_path / "EMNIST" / "raw", "emnist-balanced-test", 50, 47)
    as_stored: Any = load_dataset("emnist", tmp_path)
    upright: Any = load_dataset("emnist(upright=true)", tmp_path)
    assert np.array_equal(as_stored.test.images[:, 0].numpy(), pixels)
    assert np.array_equal(upright.test.images[:, 0].numpy(), pixels.transpose(0, 2, 1))
    assert as_stored.mean == upright.mean
    assert as_stored.fingerprint != upright.fingerprint


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="split = 'capitals'"):
        load_dataset("emnist(split='capitals')", tmp_path)
