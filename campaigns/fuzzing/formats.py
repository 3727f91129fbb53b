"""The formats: valid files, how they are changed, and the readers of robench's commands."""

import io
import os
import random
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from campaigns.fuzzing import mutations
from robench.board.loading import read_board
from robench.data.folder import load_folder
from robench.data.images import Images as LoadedImages
from robench.data.npz import load_npz
from robench.data.selection import read_selection
from robench.evaluation import Outcomes
from robench.leaderboard.audit import audit
from robench.leaderboard.bundle import Bundle
from robench.leaderboard.export import to_markdown
from robench.leaderboard.merge import merge_boards
from robench.leaderboard.page.write import render
from robench.leaderboard.publish import publish
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission.arrays import check_outcomes
from robench.leaderboard.submission.documents import check_contents, check_document
from robench.leaderboard.submission.write import _reduced
from robench.leaderboard.usable import usable_table
from robench.models.checkpoint import Network, load_checkpoint, read_network, save_weights
from robench.models.third_party_weights import load_third_party_weights

Change = Callable[[random.Random, bytes], bytes]

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"


# ruff: noqa: D102 - Form says what the methods of all formats do


class Form(ABC):
    """A format of files.

    Args:
        home: the folder to make valid files in; each trial changes one of them.
    """

    change: Change = staticmethod(mutations.change_bytes)
    """Changes what the bytes mean; any bytes are changed in a third of the trials."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True)
        self.files = self.make()
        self.valid = {path: path.read_bytes() for path in self.files}
        self.changed = self.files[0]

    @abstractmethod
    def make(self) -> list[Path]:
        """Write the valid files, and return those that are changed."""

    @abstractmethod
    def read(self, rng: random.Random) -> None:
        """Read the files as a command does; which one is drawn if there are several."""

    def warm_up(self) -> None:
        """Read the valid files, so that what is loaded once is not charged to a trial."""
        for path, content in self.valid.items():  # as a process that died has left them
            path.write_bytes(content)
        for number in range(max(8, len(self.files))):
            self.changed = self.files[number % len(self.files)]
            self.read(random.Random(number))
        self.changed = self.files[0]

    def write(self, rng: random.Random) -> None:
        """Change one file; the one that was changed before is made valid again."""
        self.changed.write_bytes(self.valid[self.changed])
        self.changed = rng.choice(self.files)
        by_meaning = self.change_of(self.changed)
        change = mutations.change_bytes if rng.random() < 0.34 else by_meaning
        self.changed.write_bytes(change(rng, self.valid[self.changed]))

    def change_of(self, path: Path) -> Change:
        """Return what changes the meaning of a file."""
        return self.change


class _OfBoard(Form):
    """Files of a published board: read as ``verify``, ``page``, ``export`` and ``merge`` do."""

    patterns: tuple[str, ...]

    def make(self) -> list[Path]:
        whole = Leaderboard.read(BOARDS / "quick")
        rows = whole.board.titles[:2]
        publish(_reduced(whole.result, rows, whole.dataset), self.home / "small", Bundle())
        shutil.copytree(self.home / "small", self.home / "other")
        found = [p for pattern in self.patterns for p in (self.home / "small").glob(pattern)]
        return sorted(found)

    def read(self, rng: random.Random) -> None:
        folder = self.home / "small"
        board = Leaderboard.read(folder)
        match rng.randrange(4):
            case 0:
                audit(board)
            case 1:
                render(board)
            case 2:
                to_markdown(usable_table(board), board.board)
            case _:
                merge_boards([board, Leaderboard.read(self.home / "other")])


class Json(_OfBoard):
    """``board.json`` and manifests, also as ``check-submission`` reads them."""

    change = staticmethod(mutations.change_json)
    patterns = ("board.json", "manifests/*.json")

    def read(self, rng: random.Random) -> None:
        if rng.random() < 0.3:
            check_document(self.changed, self.changed.name)
            check_contents(Leaderboard.read(self.home / "small"))
            return
        super().read(rng)


class Csv(_OfBoard):
    """The tables of a board, and lists of indices."""

    change = staticmethod(mutations.change_csv)
    patterns = ("*.csv",)

    def make(self) -> list[Path]:
        indices = self.home / "indices.csv"
        indices.write_text("index,name\n1,a\n2,b\n30,c\n")
        return [*super().make(), indices]

    def read(self, rng: random.Random) -> None:
        if self.changed.name == "indices.csv":
            read_selection(str(self.changed))
            return
        super().read(rng)


class Sums(_OfBoard):
    """``SHA256SUMS``, beside pipes, devices and links that lead out of the folder."""

    change = staticmethod(mutations.change_sums)
    patterns = ("SHA256SUMS",)

    def make(self) -> list[Path]:
        made = super().make()
        folder = self.home / "small"
        for name in ("pipe", "manifests/pipe.json"):
            os.mkfifo(folder / name)
        (folder / "zero").symlink_to("/dev/zero")
        (folder / "link").symlink_to("/etc/hostname")
        return made


class Toml(Form):
    """``board.toml``, as ``run`` and ``verify`` read it."""

    change = staticmethod(mutations.change_toml)

    def make(self) -> list[Path]:
        made = []
        for source in sorted(BOARDS.glob("*/board.toml")):
            target = self.home / source.parent.name / "board.toml"
            target.parent.mkdir()
            shutil.copy(source, target)
            made.append(target)
        return made

    def read(self, rng: random.Random) -> None:
        read_board(self.changed)


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
