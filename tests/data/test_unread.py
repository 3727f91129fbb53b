"""An attack reads the test images that it attacks, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robench.commands.attack import external_target
from robench.data import DataSet, Images, files, held_out, load_dataset, unread
from robench.data.measured import MeasuredDataSet
from robench.data.unread import FileImages, UnreadImages
from robench.errors import UserError
from robench.runs.attack_cell import evaluation_images

NET = """
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2))

def of_other_images():
    return nn.Sequential(nn.Flatten(), nn.Linear(7, 2))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with 8 training and 10 test images each."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("test", 10)):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pets" / part / name / f"{index}.png")
    return tmp_path / "pets"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts of the files that are decoded, in order."""
    seen: list[str] = []

    def recorded(path: Path) -> tuple[torch.Tensor, bool]:
        seen.append(path.parts[-3])
        return original(path)

    original = files.decode_and_inspect
    monkeypatch.setattr(files, "decode_and_inspect", recorded)
    monkeypatch.setattr(unread, "decode", lambda path: original(path)[0])
    return seen


def test_loading_a_folder_decodes_none_of_it(folder: Path, decoded: list[str]) -> None:
    data = load_dataset(f"image_folder:{folder}")
    assert (data.in_channels, data.image_size, data.num_classes) == (3, (8, 8), 2)
    assert (len(data.train), len(data.test)) == (16, 20)
    assert decoded == []


def test_an_attack_decodes_the_test_images_of_its_sample_alone(
    folder: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("net.py").write_text(NET)
    target = external_target("net.py:build", f"image_folder:{folder}", samples=6)
    assert len(target.sample) == 6
    assert decoded == ["test"] * 6


def test_a_network_of_other_images_is_refused_before_any_is_decoded(
    folder: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("net.py").write_text(NET)
    with pytest.raises(UserError, match="cannot take images of 3x8x8"):
        external_target("net.py:of_other_images", f"image_folder:{folder}")
    assert decoded == []


def test_wrong_weights_are_refused_before_the_images_are_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("net.py").write_text(NET)
    with pytest.raises(UserError, match="is not a complete file of torch"):
        external_target("net.py:build", "image_folder:nowhere", weights=Path("net.py"))


def test_a_sample_is_the_same_whether_all_images_were_read_before(folder: Path) -> None:
    data, whole = (load_dataset(f"image_folder:{folder}") for _ in range(2))
    assert whole.fingerprint
    assert torch.equal(evaluation_images(data, 5).images, evaluation_images(whole, 5).images)
    assert torch.equal(evaluation_images(data, 20).images, evaluation_images(whole, 20).images)


def test_training_reads_each_file_once(folder: Path, decoded: list[str]) -> None:
    data = load_dataset(f"image_folder:{folder}")
    train, val = held_out(data, 0.25, seed=0)
    assert (len(train), len(val)) == (12, 4)
    assert held_out(data, 0, seed=0)[1].images.shape == (0, 3, 8, 8)
    assert isinstance(data.train, Images)
    assert data.mean == pytest.approx(
        (data.train.images / 255.0).mean((0, 2, 3)).tolist(), abs=1e-4
    )
    assert decoded == ["train"] * 16


def test_the_fingerprint_is_that_of_the_images_in_memory(folder: Path) -> None:
    data = load_dataset(f"image_folder:{folder}")
    assert isinstance(data.train, Images)
    assert isinstance(data.test, Images)
    parts = [Images(part.images, part.labels) for part in (data.train, data.test)]
    plain = DataSet("pets", *parts, data.classes, data.mean, data.std)
    assert plain.fingerprint == data.fingerprint


def test_other_sizes_among_a_few_files_are_named(folder: Path) -> None:
    Image.new("RGB", (9, 8)).save(folder / "test" / "dog" / "9.png")
    data = load_dataset(f"image_folder:{folder}")
    with pytest.raises(UserError, match=r"cat/0\.png is 8x8 but .*dog/9\.png is 9x8"):
        data.test.take(torch.tensor([3, 19]))


def test_a_data_set_is_renamed_without_reading_it(folder: Path, decoded: list[str]) -> None:
    data = load_dataset(f"image_folder:{folder}")
    assert data.named("other").name == "other"
    assert data.name == "pets"
    assert decoded == []


def test_fields_are_replaced_as_in_any_dataclass(folder: Path) -> None:
    data = load_dataset(f"image_folder:{folder}")
    other = replace(data, name="other", mean=(0.5, 0.5, 0.5))
    assert isinstance(other, MeasuredDataSet)
    assert (other.name, other.mean, other.std) == ("other", (0.5, 0.5, 0.5), data.std)


def test_images_are_read_by_their_function_once() -> None:
    calls: list[int] = []

    def read() -> Images:
        calls.append(1)
        return Images(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.arange(3))

    images = UnreadImages(read)
    assert not calls
    assert len(images) == 3
    assert images.image_shape == (1, 2, 2)
    assert [labels.tolist() for _, labels in images.batches(2)] == [[0, 1], [2]]
    assert len(calls) == 1


def test_to_print_a_data_set_reads_none_of_it() -> None:
    def read() -> Images:
        raise AssertionError("it was read")

    few = Images(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.arange(3))
    data = MeasuredDataSet("mine", UnreadImages(read), few, ("a", "b", "c"))
    assert repr(data) == "MeasuredDataSet(name='mine', 3 test images)"
    counted = MeasuredDataSet("mine", few, few, ("a", "b", "c"))
    assert repr(counted) == "MeasuredDataSet(name='mine', 3 training and 3 test images)"


def test_labels_and_number_of_files_are_known_without_reading_them() -> None:
    images = FileImages([(Path("nowhere.png"), 1), (Path("nowhere-else.png"), 0)], channels=3)
    assert images.labels.tolist() == [1, 0]
    assert len(images) == 2


@pytest.mark.parametrize(("side", "expected"), [(32, 1), (64, 1), (128, 2), (224, 3), (1024, 16)])
def test_small_images_are_decoded_by_few_threads(
    side: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Threads only take the interpreter from one another: two take twice as long as one at 32x32.
    monkeypatch.setattr("joblib.cpu_count", lambda: 16)
    assert files.decoding_threads((3, side, side)) == expected
