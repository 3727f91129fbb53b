"""Exactly the test images of somebody's table, by their indices."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support import Command

from robench.data import DataSet, Images, load_dataset
from robench.data.selection import read_selection
from robench.errors import RobenchWarning, UserError


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("first:3", [0, 1, 2]),
        ("range:4:7", [4, 5, 6]),
        ("range 4:7", [4, 5, 6]),
    ],
)
def test_the_first_and_a_range(text: str, indices: list[int]) -> None:
    assert read_selection(text).indices.tolist() == indices


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("i.txt", "7\n\n2  # the second\n# no index\n5\n"),
        ("i.csv", "label,index\n1,7\n0,2\n1,5\n"),
        ("i.json", "[7, 2, 5]"),
        ("marked.txt", "\ufeff7\n2\n5\n"),  # as some editors begin a file
        ("marked.csv", "\ufeffindex\n7\n2\n5\n"),
        ("marked.json", "\ufeff[7, 2, 5]"),
    ],
)
def test_files_keep_their_order(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read_selection(str(tmp_path / name)).indices.tolist() == [7, 2, 5]


def test_an_array_of_numpy(tmp_path: Path) -> None:
    np.save(tmp_path / "i.npy", np.array([7, 2, 5], dtype=np.uint16))
    assert read_selection(str(tmp_path / "i.npy")).indices.tolist() == [7, 2, 5]


def test_exactly_these_images_are_taken_in_this_order(tmp_path: Path) -> None:
    digits = load_dataset("digits")
    assert isinstance(digits.test, Images)
    (tmp_path / "i.txt").write_text("7\n2\n5\n")
    taken = read_selection(str(tmp_path / "i.txt")).take(digits)
    assert torch.equal(taken.images, digits.test.images[[7, 2, 5]])
    assert torch.equal(taken.labels, digits.test.labels[[7, 2, 5]])


def test_images_of_one_class_alone_are_said_since_folders_are_sorted_by_class() -> None:
    images = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    part = Images(images, torch.tensor([0, 0, 0, 1, 1, 1]))
    data = DataSet("sorted", part, part, ("a", "b"), (0.5,), (0.5,))
    with pytest.warns(RobenchWarning, match="first:3 have the label 0: .* sorted by class"):
        assert len(read_selection("first:3").take(data)) == 3


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("1\n2\n1\n", "has the index 1 2 times; give it once"),
        ("1\n-2\n", "'-2' is not an index"),
        ("1\n2.5\n", r"'2\.5' is not an index"),
        ("one\n", "'one' is not an index"),
        ("99999999999\n", "is not an index"),
        ("\n", "has no index"),
    ],
)
def test_other_indices_are_refused(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "i.txt").write_text(content)
    with pytest.raises(UserError, match=sentence):
        read_selection(str(tmp_path / "i.txt"))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("i.json", "{}", "it is not a list"),
        ("i.json", "[1", "cannot be read as a list of indices"),
        ("i.json", "[true]", "'True' is not an index"),
        ("i.json", "[" * 100_000, "cannot be read"),
        ("i.csv", "number\n1\n", "it has no column 'index'"),
        ("i.npy", "no array", "cannot be read"),
        ("i.pdf", "1", "or the name of an existing file of indices"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=sentence):
        read_selection(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("first", "first:1000, range:A:B"),
        ("none.txt", "first:1000, range:A:B"),
        ("", "first:1000, range:A:B"),
        ("first:0", r"has no images: .*; write first:1 for one image\.$"),
        ("range:5:5", r"has no images: .*; write range:5:6 for one image\.$"),
        ("range:7:5", "has no images"),
        ("first:9999999999", r"has too many images; the last number is 2147483648 or less\.$"),
    ],
)
def test_other_words_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read_selection(text)


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    return (
        "attack",
        "--no-checks",
        "--model",
        "net.py:build",
        "--data",
        "digits",
        "--attacks",
        "fgsm",
    )


def test_indices_are_in_the_title_and_in_a_file_that_is_read_again(
    robench: Command, net: tuple[str, ...]
) -> None:
    done = robench(*net, "--indices", "range:10:30", "--out", "one.csv")
    assert done.code == 0, done.err
    assert "digits, 20 test images (range:10:30)" in done.out
    table = pd.read_csv("one.images.csv")
    digits = load_dataset("digits")
    assert isinstance(digits.test, Images)
    assert table["index"].tolist() == list(range(10, 30))
    assert table["label"].tolist() == digits.test.labels[10:30].tolist()
    assert robench(*net, "--indices", "one.images.csv", "--out", "two.csv").code == 0
    assert Path("one.csv").read_text() == Path("two.csv").read_text()


def test_more_images_than_there_are_is_a_notice(robench: Command, net: tuple[str, ...]) -> None:
    done = robench(*net, "--samples", 99999)
    assert "digits has 359 test images, not 99999; all are used." in done.err
    assert "all are used" not in robench(*net).err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("first:1000",), "has the index 999, but digits has 359 test images, 0 to 358"),
        (("first:5", "--samples", 5), "leave out --samples"),
        (("nowhere.txt",), "or the name of an existing file"),
    ],
)
def test_mistakes_are_one_sentence(
    robench: Command, net: tuple[str, ...], arguments: tuple[object, ...], sentence: str
) -> None:
    done = robench(*net, "--indices", *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1
