"""Images and labels from a file of numpy."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Command

from robench.data import load_dataset
from robench.errors import RobenchWarning, UserError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def saved(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "mine.npz", **arrays)
    return str(folder / "mine.npz")


def read(folder: Path, **arrays: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobenchWarning)
        return load_dataset(saved(folder, **arrays))


def test_a_file_is_a_data_set_named_after_it_that_is_attacked_only(tmp_path: Path) -> None:
    data = read(tmp_path, images=PIXELS, labels=LABELS)
    assert (data.name, len(data.train), len(data.test)) == ("mine.npz", 0, 6)
    assert (data.in_channels, data.image_size, data.num_classes) == (3, (4, 5), 3)
    assert np.array_equal(data.test.images.permute(0, 2, 3, 1), PIXELS)
    assert np.array_equal(data.test.labels, LABELS)
    with pytest.raises(UserError, match=r"mine\.npz has no training images"):
        assert data.std


def test_a_data_set_without_training_images_can_be_printed(tmp_path: Path) -> None:
    data = read(tmp_path, images=PIXELS, labels=LABELS)
    assert repr(data) == "MeasuredDataSet(name='mine.npz', 0 training and 6 test images)"


@pytest.mark.parametrize(
    "images",
    [
        PIXELS.transpose(0, 3, 1, 2),
        PIXELS / 255,
        (PIXELS / 255).astype(np.float32),
        (PIXELS / 255).astype(np.float16),
        (PIXELS / 255).astype(">f4"),
        np.asfortranarray(PIXELS),
    ],
)
def test_layouts_and_kinds_of_numbers(tmp_path: Path, images: np.ndarray) -> None:
    data = read(tmp_path, images=images, labels=LABELS)
    assert np.array_equal(data.test.images.permute(0, 2, 3, 1), PIXELS)


@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 4, 5, 1), (6, 1, 4, 5)])
def test_grayscale_images_have_one_channel(tmp_path: Path, shape: tuple[int, ...]) -> None:
    gray = PIXELS[..., :1]
    assert np.array_equal(
        read(tmp_path, images=gray.reshape(shape), labels=LABELS).test.images.numpy(),
        gray.transpose(0, 3, 1, 2),
    )


@pytest.mark.parametrize(
    "names", [("x", "y"), ("x_test", "y_test"), ("test_images", "test_labels")]
)
def test_names_of_the_arrays(tmp_path: Path, names: tuple[str, str]) -> None:
    arrays = dict(zip(names, (PIXELS, LABELS), strict=True))
    data = read(tmp_path, x_train=PIXELS[:1], y_train=LABELS[:1], **arrays)
    assert len(data.test) == 6


def test_two_pairs_of_images_and_labels_are_refused_with_their_names(tmp_path: Path) -> None:
    two = r"'images' and 'labels' and also 'x_test' and 'y_test'; save a file that has only the"
    with pytest.raises(UserError, match=two):
        read(tmp_path, images=PIXELS, labels=LABELS, x_test=PIXELS[:2], y_test=LABELS[:2])
    assert len(read(tmp_path, images=PIXELS, labels=LABELS, x_test=PIXELS[:2]).test) == 6


@pytest.mark.parametrize("labels", [LABELS[:, None], LABELS.astype(np.uint8), LABELS.astype(">i4")])
def test_labels_of_any_integers(tmp_path: Path, labels: np.ndarray) -> None:
    assert read(tmp_path, images=PIXELS, labels=labels).test.labels.tolist() == LABELS.tolist()


def test_floats_that_are_not_of_8_bits_are_rounded_and_that_is_said(tmp_path: Path) -> None:
    name = saved(tmp_path, images=RNG.random((6, 4, 4)), labels=LABELS)
    with pytest.warns(RobenchWarning, match="'images' of .* is rounded to 8 bits"):
        load_dataset(name)


def test_classes_may_be_named(tmp_path: Path) -> None:
    data = read(tmp_path, images=PIXELS, labels=LABELS, classes=np.array(["a", "b", "c", "d"]))
    assert (data.classes, data.num_classes) == (("a", "b", "c", "d"), 4)
    assert [n for n in range(6) if data.accepts(n)] == [4]


def test_names_of_classes_may_be_bytes(tmp_path: Path) -> None:
    names = np.array([b"a", b"b", b"c", b"d\xc3\xa9"])
    data = read(tmp_path, images=PIXELS, labels=LABELS, classes=names)
    assert data.classes == ("a", "b", "c", "d\N{LATIN SMALL LETTER E WITH ACUTE}")


def test_without_names_a_network_may_have_more_classes_than_occur(tmp_path: Path) -> None:
    data = read(tmp_path, images=PIXELS, labels=LABELS)
    assert [n for n in range(6) if data.accepts(n)] == [3, 4, 5]


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"pictures": PIXELS}, r"has the arrays \(none\), but no images and labels: name them 'im"),
        ({"images": PIXELS}, "has the arrays images, but no images and labels"),
        ({"images": PIXELS.astype(int), "labels": LABELS}, "is int64; save uint8 in 0-255"),
        ({"images": PIXELS.astype(float), "labels": LABELS}, "floats from 0 to 255; save images"),
        ({"images": PIXELS / 255 - 0.5, "labels": LABELS}, "floats from -0.5"),
        ({"images": np.full((6, 4, 4), np.nan), "labels": LABELS}, "floats from nan"),
        ({"images": PIXELS[0, 0], "labels": LABELS}, "has the shape 5x3; images are"),
        ({"images": PIXELS[..., :2], "labels": LABELS}, "where no axis of an image could be"),
        ({"images": PIXELS[:, :3], "labels": LABELS}, "either the first or the last axis"),
        ({"images": PIXELS, "labels": LABELS[:4]}, "has 6 images and 4 labels"),
        ({"images": PIXELS[:0], "labels": LABELS[:0]}, "has 0 images and 0 labels"),
        ({"images": PIXELS, "labels": LABELS - 1}, "has the label -1"),
        ({"images": PIXELS, "labels": LABELS / 1}, "is float64 of shape 6; labels are"),
        ({"images": PIXELS, "labels": np.eye(6, dtype=int)}, "is int64 of shape 6x6"),
        ({"images": PIXELS, "labels": LABELS, "classes": np.array(["a"])}, "names of 1 classes"),
        ({"images": np.array([{}] * 6), "labels": LABELS}, "holds Python objects"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read(tmp_path, **arrays)


class Trap:
    """Executed when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path("trapped").touch, ())


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut", pickle.dumps(Trap())])
def test_damaged_files_are_refused_and_nothing_in_them_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.npz (is not a complete file|holds Python objects)"):
        load_dataset("mine.npz")
    assert not Path("trapped").exists()


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", PIXELS)
    (tmp_path / "mine.npy").rename(tmp_path / "mine.npz")
    with pytest.raises(UserError, match=r"is not a complete file of numpy\.savez"):
        load_dataset(str(tmp_path / "mine.npz"))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file of images found at .*none\.npz"):
        load_dataset(str(tmp_path / "none.npz"))


def test_a_network_is_attacked_on_it_and_the_title_says_so(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, images=PIXELS, labels=LABELS)
    Path("net.py").write_text(
        "from torch import nn\n"
        "def build(): return nn.Sequential(nn.Flatten(), nn.Linear(60, 10))\n"
        "def two(): return nn.Sequential(nn.Flatten(), nn.Linear(60, 2))\n"
    )
    arguments = ("--data", "mine.npz", "--samples", 5)
    done = robench(
        "attack", "--no-checks", "--model", "net.py:build", *arguments, "--attacks", "fgsm"
    )
    assert done.code == 0, done.err
    assert "net.py:build; mine.npz, 5 test images" in done.out
    done = robench("show", "--model", "net.py:build", *arguments, "--attack", "fgsm")
    assert done.code == 0, done.err
    done = robench("attack", "--model", "net.py:two", *arguments)
    assert done.code == 2
    assert "returns (1, 2) for one image, but mine.npz has 3 classes" in done.err
