"""Arrays, weights and images: valid files, and the readers of robench's commands."""

import io
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from campaigns.fuzzing import mutations
from campaigns.fuzzing.boards import BOARDS, Csv, Json, Sums, Toml
from campaigns.fuzzing.form import Change, Form
from robench.data.folder import load_folder
from robench.data.images import Images as LoadedImages
from robench.data.npz import load_npz
from robench.data.selection import read_selection
from robench.evaluation import Outcomes
from robench.leaderboard.submission.arrays import check_outcomes
from robench.models.checkpoint import Network, load_checkpoint, read_network, save_weights
from robench.models.third_party_weights import load_third_party_weights

# ruff: noqa: D102 - Form says what the methods of all formats do


class Npz(Form):
    """Outcomes, images to attack, and a list of indices."""

    change = staticmethod(mutations.change_archive)

    def make(self) -> list[Path]:
        outcomes, images = self.home / "outcomes.npz", self.home / "images.npz"
        shutil.copy(next(iter(sorted((BOARDS / "quick").glob("outcomes/*/fgsm*.npz")))), outcomes)
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
        np.savez_compressed(images, images=pixels, labels=np.arange(60) % 10)
        floats = self.home / "floats.npz"
        np.savez(floats, x=pixels / np.float32(255), y=np.arange(60) % 3, classes=list("abc"))
        indices = self.home / "indices.npy"
        np.save(indices, np.arange(60))
        return [outcomes, images, floats, indices]

    def change_of(self, path: Path) -> Change:
        return mutations.change_header if path.suffix == ".npy" else self.change

    def read(self, rng: random.Random) -> None:
        if self.changed.suffix == ".npy":
            read_selection(str(self.changed))
        elif self.changed.name != "outcomes.npz":
            _ = load_npz(self.changed).test.hash()
        elif rng.random() < 0.5:
            found = Outcomes.load(self.changed)
            _ = found.accuracy, found.median_l2
        else:
            check_outcomes(self.changed, "outcomes.npz")


def _network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))


class Safetensors(Form):
    """Checkpoints of robench, and weights of other networks."""

    change = staticmethod(mutations.change_tensors)

    def make(self) -> list[Path]:
        own, other = self.home / "own.safetensors", self.home / "other.safetensors"
        network = Network("resnet18", 4, "cifar", "batchnorm", 10, 1, (8, 8), (0.5,), (0.5,))
        save_weights(own, network.build(), network, seed=0, sources={})
        safetensors.torch.save_file(_network().state_dict(), other)
        return [own, other]

    def read(self, rng: random.Random) -> None:
        if self.changed.name == "other.safetensors":
            load_third_party_weights(self.changed, _network())
        elif rng.random() < 0.5:
            read_network(self.changed)
        else:
            load_checkpoint(self.changed)


class Torch(Form):
    """Files of ``torch.save``: of today, and as torch wrote them before 1.6."""

    change = staticmethod(mutations.change_archive)

    def make(self) -> list[Path]:
        state = {"state_dict": _network().state_dict(), "epoch": 3, "best": 0.5}
        paths = [self.home / "weights.pt", self.home / "old.pth"]
        for path, zipped in zip(paths, (True, False), strict=True):
            torch.save(state, path, _use_new_zipfile_serialization=zipped)
        return paths

    def change_of(self, path: Path) -> Change:
        return mutations.change_bytes if path.suffix == ".pth" else self.change

    def read(self, rng: random.Random) -> None:
        load_third_party_weights(self.changed, _network())


class Images(Form):
    """A folder of image files of all formats that are read."""

    def make(self) -> list[Path]:
        rng = np.random.default_rng(0)
        made = []
        for number, ending in enumerate(("png", "jpg", "bmp", "tiff", "webp", "ppm", "pgm")):
            mode = "L" if ending == "pgm" else "RGB"
            shape = (16, 16) if mode == "L" else (16, 16, 3)
            picture = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
            buffer = io.BytesIO()
            kinds = {"jpg": "JPEG", "ppm": "PPM", "pgm": "PPM"}
            picture.save(buffer, format=kinds.get(ending, ending.upper()))
            for name in "ab":
                path = self.home / "test" / name / f"{number}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(buffer.getvalue())
                made.append(path)
        return made

    def read(self, rng: random.Random) -> None:
        images = load_folder(self.home).test
        assert isinstance(images, LoadedImages)
        images.images.sum()


FORMATS: dict[str, Callable[[Path], Form]] = {
    "json": Json,
    "toml": Toml,
    "csv": Csv,
    "npz": Npz,
    "safetensors": Safetensors,
    "pt": Torch,
    "sums": Sums,
    "images": Images,
}
"""Name on the command line -> format."""
