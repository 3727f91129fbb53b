"""Data sets that come with installed packages."""

from typing import Any

import pytest

from robench.data import load_dataset


@pytest.mark.parametrize(
    ("name", "train", "test", "size"),
    [("mnist5k", 4000, 1000, (28, 28)), ("digits", 1438, 359, (8, 8))],
)
def test_embedded_data_sets_are_real_and_always_the_same(
    name: str, train: int, test: int, size: tuple[int, int]
) -> None:
    data: Any = load_dataset(name)
    assert (len(data.train), len(data.test), data.image_size) == (train, test, size)
    assert (data.num_classes, data.in_channels) == (10, 1)
    assert data.train.images.max() == 255
    assert data.test.labels.bincount().min() >= test // 10 - 2
    assert data.fingerprint == load_dataset(name).fingerprint
    pixels = data.train.images.float() / 255
    assert pixels.mean().item() == pytest.approx(data.mean[0], abs=0.01)
    assert pixels.std().item() == pytest.approx(data.std[0], abs=0.01)


def test_train_and_test_of_mnist5k_share_no_image() -> None:
    data: Any = load_dataset("mnist5k")
    images = {tuple(image.flatten().tolist()) for image in data.train.images}
    shared = sum(tuple(image.flatten().tolist()) in images for image in data.test.images)
    assert shared == 0
