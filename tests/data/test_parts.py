"""A data set without training images can be attacked, and no network is trained on it."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from support import Command

import robench as package
from robench.data import DataSet, Images, load_dataset
from robench.errors import UserError


def write(folder: Path, part: str, count: int = 4, size: int = 8) -> None:
    for label, name in enumerate(("cat", "dog")):
        (folder / part / name).mkdir(parents=True)
        for index in range(count):
            color = (100 * label, index, 0)
            Image.new("RGB", (size, size), color).save(folder / part / name / f"{index}.png")


@pytest.mark.parametrize("part", ["test", "val", "validation"])
def test_a_folder_with_a_test_part_alone_has_no_training_images(tmp_path: Path, part: str) -> None:
    write(tmp_path, part)
    data = load_dataset(f"image_folder:{tmp_path}")
    assert (len(data.train), len(data.test), data.classes) == (0, 8, ("cat", "dog"))
    assert len(data.fingerprint) == 64
    with pytest.raises(UserError, match=r"has no training images: .* attacked on it, but not"):
        assert data.mean


def test_classes_named_like_parts_are_classes(tmp_path: Path) -> None:
    for name in ("test", "val"):
        (tmp_path / name).mkdir()
        for index in range(5):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{index}.png")
    data = load_dataset(f"image_folder:{tmp_path}")
    assert (data.classes, len(data.train), len(data.test)) == (("test", "val"), 8, 2)


def test_imagenet_s_validation_part_alone_can_be_attacked(tmp_path: Path) -> None:
    write(tmp_path, "val")
    data = load_dataset("imagenet", tmp_path)
    assert (len(data.train), len(data.test)) == (0, 8)
    with pytest.raises(UserError, match="imagenet has no training images"):
        package.train("batchnorm", data)


def test_it_is_attacked_from_the_command_line(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "pets", "val")
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(
        "from torch import nn\ndef build(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 2))\n"
    )
    done = robench(
        "attack", "--no-checks", "--model", "net.py:build", "--data", "./pets", "--attacks", "fgsm"
    )
    assert done.code == 0, done.err
    assert "pets, 8 test images" in done.out


def test_a_board_is_not_trained_on_it(robench: Command, tiny_board: Path, tmp_path: Path) -> None:
    write(tmp_path / "pets", "test")
    done = robench("run", tiny_board, "--set", f"data.name=image_folder:{tmp_path / 'pets'}",
                   "--set", "evaluation.samples=4", "--out", tmp_path / "out")  # fmt: skip
    assert done.code == 2
    assert done.err.startswith("robench: pets has no training images")
    assert not (tmp_path / "out").exists()


def without_training(count: int) -> DataSet:
    digits = load_dataset("digits")
    assert isinstance(digits.train, Images)
    few = digits.train.take(torch.arange(count))
    return DataSet("few", few, digits.test, digits.classes, digits.mean, digits.std)


def test_training_on_no_image_is_refused() -> None:
    with pytest.raises(UserError, match="few has no training images"):
        package.train("batchnorm", without_training(0), width=4, epochs=1)


def test_training_on_images_that_make_no_batch_is_refused() -> None:
    with pytest.raises(UserError, match=r"1 training image\(s\) make no batch"):
        package.train("batchnorm", without_training(1), width=4, epochs=1, validation=0)
