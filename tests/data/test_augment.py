"""Augmentation: each image gets its own crop window and flip."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from robench.data import Augmentation, augment


def batch(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 2, height, width)
    return torch.randint(1, 256, shape, generator=generator).to(torch.uint8)


def windows(image: Tensor, padding: int, flip: bool) -> list[Tensor]:
    """Return everything that augmentation may make of one image."""
    height, width = image.shape[-2:]
    padded = F.pad(image, (padding,) * 4)
    crops = [
        padded[:, top : top + height, left : left + width]
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    ]
    return crops + [crop.flip(-1) for crop in crops if flip]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2), st.booleans())
def test_every_image_is_a_window_of_its_padded_self(
    count: int, height: int, width: int, padding: int, flip: bool
) -> None:
    images = batch(count, height, width)
    generator = torch.Generator().manual_seed(1)
    augmented = augment(images, Augmentation(padding, flip), generator)
    assert augmented.dtype == torch.uint8
    assert augmented.shape == images.shape
    for image, result in zip(images, augmented, strict=True):
        assert any(torch.equal(result, window) for window in windows(image, padding, flip))


def test_all_windows_and_both_directions_occur() -> None:
    image = batch(1, 4, 4)
    images = image.expand(2000, -1, -1, -1)
    augmented = augment(images, Augmentation(1, flip=True), torch.Generator().manual_seed(0))
    expected = windows(image[0], 1, flip=True)
    counts = [(augmented == window).flatten(1).all(1).sum().item() for window in expected]
    assert len(expected) == 18
    assert min(counts) > 50  # 111 each on average


def test_images_of_a_batch_differ_from_one_another() -> None:
    images = batch(1, 8, 8).expand(16, -1, -1, -1)
    augmented = augment(images, Augmentation(4), torch.Generator().manual_seed(0))
    assert len(augmented.flatten(1).unique(dim=0)) > 8


def test_no_augmentation_leaves_images_as_they_are() -> None:
    images = batch(3, 4, 5)
    assert torch.equal(augment(images, Augmentation(), torch.Generator()), images)
