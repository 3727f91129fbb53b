"""Data sets are loaded by name, with or without options."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from robench.data import DataSet, Images, load_dataset
from robench.data.dataset import held_out
from robench.data.load import absolute_name, can_load, entry_of
from robench.entries import Entry
from robench.errors import RobenchWarning, UserError
from robench.registry import datasets


@pytest.fixture
def shades() -> Iterator[str]:
    """A data set with options."""

    @datasets.register("shades")
    def shades(data_dir: Path, split: int = 1, bright: float = 0.5, grey: bool = True) -> DataSet:
        """One image per class, of one shade."""
        channels = 1 if grey else 3
        pixels = torch.full((split, channels, 2, 2), round(255 * bright), dtype=torch.uint8)
        part = Images(pixels, torch.zeros(split, dtype=torch.int64))
        return DataSet("shades", part, part, ("only",), (0.5,) * channels, (0.5,) * channels)

    yield "shades"
    del datasets._entries["shades"]


def test_options_are_written_as_an_expression_and_converted(shades: str) -> None:
    data = load_dataset("shades(split=2, bright=51/255, grey=false)")
    assert isinstance(data.train, Images)
    assert data.train.images.shape == (2, 3, 2, 2)
    assert (data.train.images == 51).all()


def test_a_name_without_options_stays_what_the_data_set_calls_itself(shades: str) -> None:
    assert load_dataset("shades").name == "shades"
    assert load_dataset("shades()").name == "shades"


def test_options_are_part_of_the_name_in_one_spelling(shades: str) -> None:
    one, other = (
        load_dataset(text) for text in ("shades(split=2,grey=True)", "shades( grey=true, split=2 )")
    )
    assert one.name == other.name == "shades(grey=True, split=2)"
    assert load_dataset(one.name).fingerprint == one.fingerprint


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("shades(splt=2)", r"data set 'shades' has no option 'splt'; did you mean 'split'\?$"),
        ("shades(split='two')", "data set 'shades.*: split = 'two': write a whole number"),
        ("shades(split=1.5)", "split = 1.5: write a whole number"),
        ("shades(data_dir='x')", "data set 'shades' has no option 'data_dir'"),
        ("shades(2)", "must be given by name"),
        ("digits(split=2)", r"data set 'digits' has no option 'split'; there are none\.$"),
        ("image_folder()", "say where the images are"),
    ],
)
def test_a_wrong_option_is_reported_with_the_nearest(shades: str, name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_dataset(name)


def test_what_can_be_loaded_is_known_without_loading_it(shades: str) -> None:
    assert can_load("shades(split=10**9)") is False  # not a literal
    assert can_load("shades(split=1000000000)")
    assert can_load("digits")
    assert not can_load("shades(splt=2)")
    assert not can_load("a folder of mine")


def test_a_registered_function_that_does_not_return_a_data_set_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Entry[Any]("mnist5k", lambda _: {}, "", "", "mine.py")
    monkeypatch.setattr(datasets, "get", lambda _: wrong)
    with pytest.raises(UserError, match=r"'mnist5k' of mine\.py is a dict; .* robench\.DataSet"):
        load_dataset("mnist5k")


@pytest.mark.parametrize(
    ("classes", "label", "sentence"),
    [
        (("a", "b"), 2, "has test images with the label 2, but it names 2 classes"),
        (("a", "b"), -1, "has test images with the label -1"),
        ((), -1, "the label -1, but labels are counted from 0"),
    ],
)
def test_a_label_without_a_class_is_refused(
    monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...], label: int, sentence: str
) -> None:
    pixels = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    part = Images(pixels, torch.tensor([0, 1, label]))
    data = DataSet("mine", part.take(torch.arange(2)), part, classes, (0.5,), (0.5,))
    monkeypatch.setattr(datasets, "get", lambda _: Entry[Any]("mine", lambda _: data, "", "", ""))
    with pytest.raises(UserError, match=sentence):
        load_dataset("mnist5k")
    swapped = DataSet("mine", data.test, data.train, ("a", "b"), (0.5,), (0.5,))
    with pytest.raises(UserError, match=f"has training images with the label {label}"):
        held_out(swapped, 0.5, 0)


def test_images_of_a_wrong_form_are_those_of_a_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def floats(data_dir: Path) -> Images:
        return Images(torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64))

    monkeypatch.setattr(datasets, "get", lambda _: Entry[Any]("mine", floats, "", "", "mine.py"))
    said = r"^the data set 'mnist5k' of mine\.py: images are torch\.float32 .* \(N, C, H, W\)\.$"
    with pytest.raises(UserError, match=said):
        load_dataset("mnist5k")


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("digits", "digits"),
        ("emnist(split='letters')", "emnist"),
        ("image_folder", "image_folder"),
        ("image_folder:a/b", None),
        ("hf:me/images", None),
        ("./digits", None),
        ("/data/digits", None),
        ("my/digits", None),
        ("a folder/digits here", None),
        ("some images", None),
        ("digits.npz", None),
        (".", None),
    ],
)
def test_the_entry_of_a_name_is_none_for_folders_files_and_the_hub(
    name: str, entry: str | None
) -> None:
    assert entry_of(name) == entry


def test_a_function_that_does_not_take_the_folder_says_that_it_must(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Entry[Any]("mnist5k", lambda: None, "", "", "mine.py")
    monkeypatch.setattr(datasets, "get", lambda _: wrong)
    with pytest.raises(UserError, match=r"'mnist5k' cannot be called .* must take data_dir first"):
        load_dataset("mnist5k")


def test_an_unknown_name_is_reported_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"did you mean 'cifar10'\?"):
        load_dataset("cifar-10")
    with pytest.raises(UserError, match="did you mean 'cifar10' or 'cifar100'"):
        load_dataset("cifar1")
    with pytest.raises(UserError, match=r"no data set is named 'aaa"):
        load_dataset("a" * 300)  # longer than the name of a folder may be


@pytest.fixture
def folder_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images that is named like the registered data set ``digits``."""
    monkeypatch.chdir(tmp_path)
    for part in ("train", "test"):
        for label in "0123456789":
            (tmp_path / "digits" / part / label).mkdir(parents=True)
            for index in range(3):
                path = tmp_path / "digits" / part / label / f"{index}.png"
                Image.new("L", (8, 8), 20 * int(label) + index).save(path)
    return tmp_path / "digits"


def test_a_bare_name_is_the_registered_data_set_and_a_folder_of_it_is_mentioned(
    folder_of_the_same_name: Path,
) -> None:
    with pytest.warns(RobenchWarning, match=r"'digits' is the registered .*, write \./digits\."):
        assert len(load_dataset("digits").test) == 359


@pytest.mark.parametrize(
    "form", ["./digits", "image_folder:digits", "{absolute}", "../{up}/digits"]
)
def test_a_path_is_the_folder(folder_of_the_same_name: Path, form: str) -> None:
    parent = folder_of_the_same_name.parent
    name = form.format(absolute=folder_of_the_same_name, up=parent.name)
    assert len(load_dataset(name).test) == 30


def test_the_folder_of_downloads_is_not_mentioned(folder_of_the_same_name: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobenchWarning)
        load_dataset("digits", "digits")


def test_a_folder_with_an_unregistered_bare_name_says_how_to_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pets").mkdir()
    with pytest.raises(UserError, match=r"no data set is named 'pets'; .* write \./pets\."):
        load_dataset("pets")


@pytest.mark.parametrize("name", ["arrays.npy", "./data.pt", "image_folder:data.pt", "my data.mat"])
def test_a_file_of_another_kind_says_that_arrays_go_into_an_npz(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name.removeprefix("image_folder:")).touch()
    said = r"the file .* is not a folder of images; .* an \.npz that has the arrays 'images'"
    with pytest.raises(UserError, match=said):
        load_dataset(name)


def test_a_slash_in_an_option_makes_no_path(shades: str) -> None:
    assert load_dataset("shades(bright=51/255)").name == "shades(bright=0.2)"


@pytest.mark.parametrize(
    ("name", "absolute"),
    [
        ("digits", "digits"),
        ("shades(split=2)", "shades(split=2)"),
        ("hf:org/name", "hf:org/name"),
        ("image_folder", "image_folder"),
        ("./images", "image_folder:{}/images"),
        ("image_folder:images", "image_folder:{}/images"),
        ("set.npz", "{}/set.npz"),
        ("/data/set.npz", "/data/set.npz"),
    ],
)
def test_an_absolute_name_says_the_same_in_any_folder(name: str, absolute: str) -> None:
    assert absolute_name(name) == absolute.format(Path.cwd())
