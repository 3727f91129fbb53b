"""Images in memory and their batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robench.data import Augmentation, Images


def numbered(count: int) -> Images:
    pixels = torch.arange(count).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    return Images(pixels.contiguous(), torch.arange(count))


@given(st.integers(1, 40), st.integers(1, 12))
def test_an_unshuffled_pass_yields_everything_in_order(count: int, size: int) -> None:
    pairs = list(numbered(count).batches(size))
    assert torch.cat([labels for _, labels in pairs]).tolist() == list(range(count))
    pixels = torch.cat([images for images, _ in pairs])
    assert pixels.dtype == torch.float32
    torch.testing.assert_close(pixels[:, 0, 0, 0] * 255, torch.arange(count).float())


@given(st.integers(2, 40), st.integers(2, 12))
def test_a_shuffled_pass_yields_everything_but_a_last_single_sample(count: int, size: int) -> None:
    images = numbered(count)
    pairs = list(images.batches(size, generator=torch.Generator().manual_seed(0)))
    labels = torch.cat([labels for _, labels in pairs]).tolist()
    assert len(set(labels)) == len(labels) == count - (count % size == 1)
    assert len(pairs) == images.batch_count(size)
    assert all(len(batch) > 1 for batch, _ in pairs)


def test_the_same_seed_gives_the_same_batches_and_another_seed_others() -> None:
    def one_pass(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        augmentation = Augmentation(crop_padding=1, flip=True)
        batches = numbered(30).batches(8, generator=generator, augmentation=augmentation)
        return torch.cat([images for images, _ in batches])

    assert torch.equal(one_pass(1), one_pass(1))
    assert not torch.equal(one_pass(1), one_pass(2))


@pytest.mark.parametrize("skip", [0, 1, 3, 9])
def test_a_pass_without_its_first_batches_is_the_rest_of_the_whole_one(skip: int) -> None:
    def one_pass(skip: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        augmentation = Augmentation(crop_padding=1, flip=True)
        generator = torch.Generator().manual_seed(5)
        return list(
            numbered(30).batches(8, generator=generator, augmentation=augmentation, skip=skip)
        )

    rest = one_pass(0)[skip:]
    for (images, labels), (other, others) in zip(rest, one_pass(skip), strict=True):
        assert torch.equal(images, other)
        assert torch.equal(labels, others)


def test_images_and_labels_stay_together_when_shuffled() -> None:
    for images, labels in numbered(20).batches(6, generator=torch.Generator().manual_seed(0)):
        torch.testing.assert_close(images[:, 0, 0, 0] * 255, labels.float())


def test_the_hash_changes_with_pixels_and_labels() -> None:
    base = numbered(5)
    pixels = base.images.clone()
    pixels[0, 0, 0, 0] += 1
    hashes = {
        base.hash(),
        Images(pixels, base.labels).hash(),
        Images(base.images, base.labels.flip(0)).hash(),
        Images(base.images.view(5, 1, 1, 4), base.labels).hash(),
    }
    assert len(hashes) == 4
    assert base.hash() == numbered(5).hash()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 1, 4, 4), torch.zeros(2).long()),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), torch.zeros(2).long()),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2)),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(3).long()),
    ],
)
def test_other_shapes_and_dtypes_are_refused(images: torch.Tensor, labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"not uint8|not int64|2 images but 3 labels"):
        Images(images, labels)
