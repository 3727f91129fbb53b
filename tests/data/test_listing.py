"""Class folders are read as torchvision's ImageFolder reads them; what is not read is said."""

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from robench.data import load_dataset
from robench.data.decode import decode
from robench.data.listing import list_images, walk
from robench.errors import RobenchWarning, UserError


def write(path: Path, value: int = 0, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (value, 0, 0)).save(path, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with folders in them, and files of other kinds."""
    for value, name in enumerate(
        ("b/1.png", "b/10.png", "b/2.PNG", "b/-x/1.png", "b/x/y/3.bmp", "b/x.d/1.webp", "a/z/1.tif")
    ):
        write(tmp_path / name, value)
    return tmp_path


def quiet(folder: Path) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobenchWarning)
        return list_images(folder)


def test_nested_folders_are_read_in_torchvision_s_order(folder: Path) -> None:
    theirs = ImageFolder(str(folder))
    classes, files = quiet(folder)
    assert list(classes) == theirs.classes
    assert [(str(path), label) for path, label in files] == theirs.samples
    assert len(files) == 7


def test_flat_folders_keep_the_order_of_their_names(tmp_path: Path) -> None:
    names = ["10.png", "2.png", "B.png", "a b.png", "a-b.png", "ä.png"]
    for name in names:
        write(tmp_path / "one" / name)
        write(tmp_path / "two" / name)
    _, files = quiet(tmp_path)
    assert [path.name for path, _ in files] == 2 * sorted(names)


def test_nested_images_become_part_of_the_data_set(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            for file in ("0.png", "more/0.png", "more/1.png"):
                write(tmp_path / part / name / file)
    data: Any = load_dataset(f"image_folder:{tmp_path}")
    assert (len(data.train), len(data.test)) == (6, 6)
    assert len(ImageFolder(str(tmp_path / "test"))) == 6


def test_what_is_skipped_is_counted_and_said_once(folder: Path) -> None:
    for name in (
        "a/1.gif",
        "b/x/2.gif",
        "b/3.jfif",
        "b/notes",
        "b/.c.png",
        "b/.hid/1.png",
        "r.png",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    (folder / ".cache").mkdir()
    with pytest.warns(RobenchWarning) as said:
        _, files = list_images(folder)
    assert len(files) == 7
    (sentence,) = (str(warning.message) for warning in said)
    assert sentence.startswith(f"7 files were skipped in {folder} (2 .gif, 1 .jfif, 2 hidden, ")
    assert "1 outside class folders, 1 without ending)" in sentence


def test_a_class_of_skipped_files_alone_has_no_images(folder: Path) -> None:
    (folder / "c").mkdir()
    (folder / "c" / "1.gif").write_text("")
    with pytest.raises(UserError, match=r"c has no images \(\.jpg, .*\.webp\); fill or remove it"):
        list_images(folder)


def test_links_to_folders_are_followed_but_not_back_to_a_folder_above(tmp_path: Path) -> None:
    root, other = tmp_path / "set", tmp_path / "other"
    for name in ("a/1.png", "b/1.png"):
        write(root / name)
    write(other / "2.png")
    (root / "a" / "elsewhere").symlink_to(other)
    (root / "a" / "self").symlink_to(".")
    (root / "a" / "root").symlink_to("..")
    (other / "back").symlink_to(root / "a")
    with pytest.warns(RobenchWarning, match=r"3 files were .* \(3 link to a folder above it\)"):
        _, files = list_images(root)
    assert [path.relative_to(root).as_posix() for path, _ in files] == [
        "a/1.png", "a/elsewhere/2.png", "b/1.png",
    ]  # fmt: skip
    assert len(list(walk(root))) == 4


def test_numbers_that_sort_otherwise_as_text_are_said_once(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number in range(1, 12):
            write(tmp_path / part / str(number) / "0.png")
    with pytest.warns(
        RobenchWarning, match="label 0 is '1', 1 is '10', 2 is '11', .* zeros"
    ) as said:
        data = load_dataset(f"image_folder:{tmp_path}")
    assert len(said) == 1
    assert list(data.classes) == ImageFolder(str(tmp_path / "test")).classes


@pytest.mark.parametrize("names", [("0", "1", "9"), ("01", "02", "10"), ("1", "2b", "11")])
def test_other_names_are_not_remarkable(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        write(tmp_path / "test" / name / "0.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobenchWarning)
        load_dataset(f"image_folder:{tmp_path}")


@pytest.fixture
def turned(tmp_path: Path) -> Iterator[Path]:
    """Two classes of two images; one JPEG is stored on its side and says so in its EXIF data."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for index in range(2):
            exif = Image.Exif()
            exif[0x0112] = 6 if (name, index) == ("dog", 1) else 1
            (tmp_path / "test" / name).mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "test" / name / f"{index}.jpg", exif=exif)
    return tmp_path


def test_exif_rotation_is_ignored_as_by_torchvision_and_said(turned: Path) -> None:
    data: Any = load_dataset(f"image_folder:{turned}")
    with pytest.warns(RobenchWarning, match=r"1 of 4 image files .* the first is .*dog/1\.jpg"):
        images = data.test.images
    theirs = [np.asarray(image) for image, _ in ImageFolder(str(turned / "test"))]
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), np.stack(theirs))


def test_exif_rotation_is_said_of_a_stream_too(turned: Path) -> None:
    (turned / "test").rename(turned / "val")
    data: Any = load_dataset("imagenet", turned)
    with pytest.warns(RobenchWarning, match="1 of 4 image files"):
        data.test.to_images(4, 0)


def test_decoding_in_threads_leaves_the_filters_of_warnings_alone(turned: Path) -> None:
    files = sorted((turned / "test").rglob("*.jpg")) * 50
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, files))
    assert warnings.filters == before


def test_a_tiff_file_is_turned_by_pillow_itself(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("cat", "dog"):
        for index in range(2):
            write(tmp_path / "test" / name / f"{index}.tif", index, exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobenchWarning)
        data: Any = load_dataset(f"image_folder:{tmp_path}")
        shape = data.test.images.shape
    theirs, _ = ImageFolder(str(tmp_path / "test"))[0]
    assert tuple(shape[2:]) == (theirs.height, theirs.width)
