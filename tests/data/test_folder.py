"""Image folders: your own images, and what may be wrong with them."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from robench.data import load_dataset
from robench.data.facts import facts_of
from robench.data.statistics import channel_statistics
from robench.data.stream import ImageStream
from robench.errors import RobenchWarning, UserError


def write(path: Path, value: int = 0, size: tuple[int, int] = (10, 8), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    color = (value, 10, 200) if mode == "RGB" else value
    Image.new(mode, size, color).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, three training and two test images each, 10 wide and 8 high."""
    root = tmp_path / "my-images"
    for part, count in (("train", 3), ("test", 2)):
        for label, name in enumerate(("cat", "dog")):
            for index in range(count):
                write(root / part / name / f"{index}.png", value=100 * label + index)
    return root


def test_a_folder_becomes_a_data_set_named_after_it(folder: Path) -> None:
    data = load_dataset(f"image_folder:{folder}")
    assert data.name == "my-images"
    assert data.classes == ("cat", "dog")
    assert data.train.images.shape == (6, 3, 8, 10)  # type: ignore[union-attr]
    assert data.image_size == (8, 10)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]  # type: ignore[union-attr]
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]  # type: ignore[union-attr]
    assert len(data.test) == 4


def test_a_folder_named_as_a_registered_data_set_gets_another_name(folder: Path) -> None:
    for name in ("cifar10", "emnist(split='letters')"):
        mine = folder.rename(folder.with_name(name))
        with pytest.warns(RobenchWarning, match="in tables it is called image_folder:"):
            data = load_dataset(str(mine))
        assert data.name == f"image_folder:{name}"
        assert facts_of(data.name) is None  # so that no audit compares it with the other images
        folder = mine


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_not_utf8_are_read(folder: Path) -> None:
    for part in ("train", "test"):
        os.rename(folder / part / "dog", os.fsencode(folder / part) + b"/dog\xe9")  # noqa: PTH104
    mine = Path(os.fsdecode(os.fsencode(folder) + b"\xe9"))
    folder.rename(mine)
    data = load_dataset(str(mine))
    assert data.name == "my-images\\xe9"
    assert data.classes == ("cat", "dog\\xe9")
    assert len(data.train) == 6
    assert len(data.fingerprint) == 64
    files = [(str(mine / "test" / data.classes[0] / "0.png"), 0)]
    assert len(ImageStream(tuple(files), mine, sizes=(1,)).hash()) == 64


def test_the_data_dir_may_name_it_too(folder: Path) -> None:
    assert load_dataset("image_folder", folder).fingerprint == (
        load_dataset(f"image_folder:{folder}").fingerprint
    )


@pytest.mark.parametrize(
    "names", [("Train", "Test"), ("training_set", "test_set"), ("training", "validation")]
)
def test_parts_under_other_names_are_not_taken_for_classes(
    names: tuple[str, str], folder: Path
) -> None:
    for old, new in zip(("train", "test"), names, strict=True):
        (folder / old).rename(folder / new)
    with pytest.raises(UserError, match=r"named as parts .* rename them 'train' and 'test'"):
        load_dataset(f"image_folder:{folder}")


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError()])
def test_a_machine_in_want_of_something_is_not_blamed_on_an_image(
    error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_dataset(f"image_folder:{folder}")

    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises((UserError, MemoryError)) as caught:
        _ = data.test.images  # type: ignore[union-attr]
    assert "not a complete image" not in str(caught.value)
    assert isinstance(caught.value, MemoryError) or "Too many open files" in str(caught.value)


def test_val_may_stand_in_for_test(folder: Path) -> None:
    (folder / "test").rename(folder / "val")
    assert len(load_dataset("image_folder", folder).test) == 4


def test_without_parts_a_fixed_fifth_of_each_class_is_the_test_part_and_that_is_said(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        for index in range(10):
            write(tmp_path / name / f"{index}.jpg", value=index)
    with pytest.warns(RobenchWarning, match=r"a fifth of its images \(4 of 20\).* into .*test\.$"):
        first, second = (load_dataset("image_folder", tmp_path) for _ in range(2))
    assert (len(first.train), len(first.test)) == (16, 4)
    assert first.test.labels.tolist() == [0, 0, 1, 1]  # type: ignore[union-attr]
    assert first.fingerprint == second.fingerprint


def test_what_the_notice_advises_attacks_all_images(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for index in range(10):
            write(tmp_path / "test" / name / f"{index}.jpg", value=index)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobenchWarning)
        assert len(load_dataset("image_folder", tmp_path).test) == 20


def test_the_fingerprint_changes_with_a_pixel(folder: Path) -> None:
    before = load_dataset("image_folder", folder).fingerprint
    write(folder / "test" / "cat" / "0.png", value=77)
    assert load_dataset("image_folder", folder).fingerprint != before


def test_grayscale_images_alone_have_one_channel(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        write(path, value=7, mode="L")
    data: Any = load_dataset("image_folder", folder)
    assert (data.in_channels, data.train.images.shape) == (1, (6, 1, 8, 10))
    assert data.test.images.unique().tolist() == [7]


def test_grayscale_training_images_become_rgb_if_test_images_are(folder: Path) -> None:
    for path in (folder / "train").rglob("*.png"):
        write(path, value=7, mode="L")
    data: Any = load_dataset("image_folder", folder)
    assert (data.in_channels, data.train.images.shape[1]) == (3, 3)
    assert data.train.images.unique().tolist() == [7]


@pytest.mark.parametrize("name", ["a.png", "b.jpg", "c.bmp", "d.webp", "e.tiff"])
def test_the_usual_formats_are_read(folder: Path, name: str) -> None:
    write(folder / "train" / "cat" / name, value=50)
    assert len(load_dataset("image_folder", folder).train) == 7


def test_a_tilde_is_the_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load_dataset(f"image_folder:~/{folder.name}").name == "my-images"


def test_grayscale_images_become_rgb_and_other_files_are_skipped(folder: Path) -> None:
    write(folder / "train" / "cat" / "0.png", value=5, mode="L")
    (folder / "train" / "cat" / "notes.txt").write_text("not an image")
    (folder / "train" / "cat" / ".hidden.png").write_text("not an image")
    (folder / "train" / ".cache").mkdir()
    with pytest.warns(RobenchWarning, match="2 files were skipped"):
        data = load_dataset("image_folder", folder)
    assert data.train.images[0, :, 0, 0].tolist() == [5, 5, 5]  # type: ignore[union-attr]
    assert len(data.train) == 6


def test_statistics_are_those_of_the_pixels() -> None:
    pixels = torch.randint(0, 256, (50, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    mean, std = channel_statistics(pixels.to(torch.uint8))
    scaled = pixels.numpy() / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 2, 3)), atol=1e-4)
    np.testing.assert_allclose(std, scaled.std((0, 2, 3)), atol=1e-4)


def refuse(folder: Path, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        assert load_dataset("image_folder", folder).fingerprint  # which reads every image


def test_no_such_folder(tmp_path: Path) -> None:
    refuse(tmp_path / "none", r"no image folder .*none found; name one with --data-dir or --data")


@pytest.mark.parametrize("name", ["image_folder", "image_folder:"])
def test_no_folder_named(name: str) -> None:
    with pytest.raises(UserError, match="say where the images are"):
        load_dataset(name)


def test_one_class(tmp_path: Path) -> None:
    write(tmp_path / "train" / "cat" / "0.png")
    write(tmp_path / "test" / "cat" / "0.png")
    refuse(tmp_path, r"has only the class 'cat'; .*at least two classes")


def test_no_class(tmp_path: Path) -> None:
    write(tmp_path / "0.png")
    refuse(tmp_path, "has no class folders")


def test_a_class_without_images(folder: Path) -> None:
    (folder / "train" / "bird").mkdir()
    refuse(folder, r"class folder .*bird has no images")


def test_a_class_that_is_missing_in_the_test_part(folder: Path) -> None:
    write(folder / "train" / "bird" / "0.png")
    refuse(folder, r"'bird' is not in both")


def test_no_test_part(folder: Path) -> None:
    (folder / "test").rename(folder / "other")
    refuse(folder, "no 'test' folder")


def test_a_class_too_small_to_hold_out_a_fifth(tmp_path: Path) -> None:
    for name, count in (("cat", 5), ("dog", 2)):
        for index in range(count):
            write(tmp_path / name / f"{index}.png")
    refuse(tmp_path, r"class folder .*dog has too few images to hold out a fifth")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n broken"])
def test_a_damaged_image_is_named(folder: Path, content: bytes) -> None:
    (folder / "train" / "dog" / "1.png").write_bytes(content)
    refuse(folder, r"dog/1\.png is not a complete image .*; fix or remove it")


def test_a_truncated_image_is_named(folder: Path) -> None:
    path = folder / "train" / "dog" / "1.png"
    noise = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-60])
    refuse(folder, r"dog/1\.png is not a complete image")


def test_an_image_that_claims_an_absurd_size_is_named(folder: Path) -> None:
    header = b"BM" + bytes(8) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    size = 2 * (100_000).to_bytes(4, "little")
    path = folder / "train" / "dog" / "1.bmp"
    path.write_bytes(header + size + b"\x01\x00\x18\x00" + bytes(24))
    refuse(folder, r"dog/1\.bmp is not a complete image .*exceeds limit")


def test_sixteen_bits_per_channel_are_refused_because_they_would_be_clipped(folder: Path) -> None:
    deep = np.full((8, 10), 40_000, dtype=np.uint16)
    Image.fromarray(deep).save(folder / "train" / "dog" / "1.png")
    refuse(folder, r"dog/1\.png has more than 8 bits per channel")


def test_images_of_two_sizes_are_named(folder: Path) -> None:
    write(folder / "train" / "dog" / "1.png", size=(12, 8))
    refuse(folder, r"0\.png is 10x8 but .*1\.png is 12x8; resize")


def test_parts_of_two_sizes(folder: Path) -> None:
    for path in (folder / "test").rglob("*.png"):
        write(path, size=(12, 8))
    refuse(folder, "training images .* are 10x8 but test images are 12x8")
