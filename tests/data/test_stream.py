"""Images streamed from disk: what must not depend on workers, location or other files."""

import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robench.data import Augmentation, ImageStream
from robench.errors import UserError

SIZE = 16


def stream_of(root: Path, workers: int = 0) -> ImageStream:
    files = tuple((str(path), int(path.parent.name)) for path in sorted(root.rglob("*.png")))
    return ImageStream(files, root, size=SIZE, workers=workers)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes of four images of noise."""
    rng = np.random.default_rng(0)
    for label in range(3):
        (tmp_path / "all" / str(label)).mkdir(parents=True)
        for index in range(4):
            pixels = rng.integers(0, 256, (20, 24 + index, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "all" / str(label) / f"{index}.png")
    return tmp_path / "all"


def shuffled(stream: ImageStream, seed: int, flip: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    batches = stream.batches(5, generator=generator, augmentation=Augmentation(flip=flip))
    return torch.cat([images for images, _ in batches])


def test_the_seed_decides_order_and_crops(root: Path) -> None:
    stream = stream_of(root)
    assert torch.equal(shuffled(stream, 1), shuffled(stream, 1))
    assert not torch.equal(shuffled(stream, 1), shuffled(stream, 2))


def test_a_pass_without_its_first_batches_is_the_rest_and_reads_nothing_of_them(root: Path) -> None:
    stream = stream_of(root)
    order = torch.randperm(12, generator=_after_one_draw(1)).tolist()
    whole = shuffled(stream, 1)
    for position in order[:5]:
        Path(stream.files[position][0]).write_bytes(b"damaged")
    batches = stream.batches(5, generator=torch.Generator().manual_seed(1), skip=1)
    assert torch.equal(torch.cat([images for images, _ in batches]), whole[5:])


def _after_one_draw(seed: int) -> torch.Generator:
    """Return the generator that draws a pass's order: it has drawn the seed of the crops."""
    generator = torch.Generator().manual_seed(seed)
    torch.randint(2**31, (), generator=generator)
    return generator


def test_flips_mirror_some_crops_and_leave_the_others(root: Path) -> None:
    plain, flipped = (shuffled(stream_of(root), 1, flip) for flip in (False, True))
    same = (plain == flipped).flatten(1).all(1)
    mirrored = (plain == flipped.flip(-1)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert same.any()
    assert mirrored.any()


def test_an_unshuffled_pass_is_in_order_and_whole(root: Path) -> None:
    pairs = list(stream_of(root).batches(11))
    assert [len(labels) for _, labels in pairs] == [11, 1]
    assert torch.cat([labels for _, labels in pairs]).tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_a_shuffled_pass_drops_a_last_single_sample(root: Path) -> None:
    stream = stream_of(root)
    pairs = list(stream.batches(11, generator=torch.Generator().manual_seed(0)))
    assert [len(labels) for _, labels in pairs] == [11]
    assert stream.batch_count(11) == 1
    assert stream.batch_count(12) == 1
    assert stream.batch_count(5) == 3


@pytest.mark.parametrize("workers", [0, 1])
def test_a_pass_leaves_the_global_random_numbers_alone(root: Path, workers: int) -> None:
    before = torch.get_rng_state()
    shuffled(stream_of(root, workers), 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_grayscale_files_are_streamed_as_rgb(root: Path) -> None:
    Image.new("L", (30, 20), 9).save(root / "0" / "0.png")
    images, _ = next(stream_of(root).batches(2))
    assert images.shape == (2, 3, SIZE, SIZE)
    assert images[0].mul(255).round().unique().tolist() == [9]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_named_in_one_sentence(root: Path, workers: int) -> None:
    (root / "1" / "2.png").write_bytes(b"not an image")
    with pytest.raises(UserError) as refusal:
        list(stream_of(root, workers).batches(4))
    message = str(refusal.value)
    assert message.startswith(f"{root / '1' / '2.png'} is not a complete image")
    assert "\n" not in message


def test_workers_are_gone_as_soon_as_a_file_is_refused(root: Path) -> None:
    (root / "1" / "2.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match="not a complete image"):
        list(stream_of(root, workers=2).batches(4))
    assert multiprocessing.active_children() == []


def test_a_damaged_file_of_a_sample_is_named(root: Path) -> None:
    (root / "1" / "2.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"2\.png is not a complete image"):
        stream_of(root).to_images(12, seed=0)


def test_the_hash_is_that_of_names_sizes_and_labels_wherever_they_are(root: Path) -> None:
    before = stream_of(root).hash()
    moved = Path(shutil.copytree(root, root.parent / "elsewhere"))
    assert stream_of(moved).hash() == before
    with (moved / "0" / "0.png").open("ab") as file:
        file.write(b"more")
    assert stream_of(moved).hash() != before
    (root / "0" / "0.png").rename(root / "1" / "9.png")
    assert stream_of(root).hash() != before


def test_samples_are_balanced_and_the_first_of_a_larger_one_are_the_smaller(root: Path) -> None:
    stream = stream_of(root)
    large, small = stream.to_images(9, seed=3), stream.to_images(6, seed=3)
    assert small.labels.bincount().tolist() == [2, 2, 2]
    assert torch.equal(large.images[:6], small.images)
    assert len(stream.to_images(0, seed=3)) == 0


def test_a_large_sample_is_in_a_file_and_the_same(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = stream_of(root)
    held = stream.to_images(7, seed=0)
    monkeypatch.setattr("robench.data.stream.IN_MEMORY", 6 * 3 * SIZE**2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    with pytest.raises(UserError, match=r"7 images take 0\.0 GiB in .*scratch: No such file"):
        stream.to_images(7, seed=0)
    (tmp_path / "scratch").mkdir()
    mapped = stream.to_images(7, seed=0)
    assert torch.equal(mapped.images, held.images)
    assert torch.equal(mapped.labels, held.labels)
    assert not [*(tmp_path / "scratch").iterdir()]
    few = stream.to_images(6, seed=0)
    assert torch.equal(few.images, held.images[:6])


def test_more_samples_than_images_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match="13 images are requested but there are only 12"):
        stream_of(root).to_images(13, seed=0)
