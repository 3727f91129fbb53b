"""The files of a published board of GANs: their names and forms."""

import re
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from robench.board.limits import FolderName
from robench.board.specs import Spec
from robench.errors import UserError
from robench.gan.board import GanBoard
from robench.gan.folder import PICTURES, WEIGHTS, GanManifest
from robench.gan.measured import Measured
from robench.gan.spec import GanCell
from robench.gan.symptoms import LogRow
from robench.leaderboard.evidence import SourceEntry, file_name
from robench.leaderboard.safe_csv import read_safe_csv

METRICS, CURVES, PAPER = "metrics.csv", "curves.csv", "paper.csv"

MANIFEST = re.compile(r"manifests/[^/]+\.json")

KIND = "gan"
"""What ``board.json`` says of a board of GANs, and not of others."""


class GanBoardFile(Spec):
    """``board.json``: what the GANs have in common."""

    schema_version: Literal[1] = 1
    kind: Literal["gan"] = "gan"
    name: FolderName
    extractor: str = Field(pattern=r"^[a-z0-9_]{1,60}$")
    board: GanBoard
    sources: tuple[SourceEntry, ...] = ()


class Diverged(Spec):
    """Why a training ended without finite weights, and the code of it."""

    reason: str = Field(max_length=2000)
    version: str = Field(max_length=200)


class GanCellFile(Spec):
    """``manifests/*.json``: a GAN, the row that it belongs to, and what was measured."""

    schema_version: Literal[1] = 1
    row: str
    cell: GanCell
    discriminator_parameters: int = Field(ge=1)
    manifest: GanManifest | None = None
    diverged: Diverged | None = None
    measured: tuple[Measured, ...] = Field((), max_length=2000)

    @model_validator(mode="after")
    def _trained_or_diverged(self) -> Self:
        if (self.manifest is None) is (self.diverged is None):
            raise ValueError("a GAN has a manifest or the reason why it diverged, not both")
        return self


@dataclass(frozen=True)
class GanEvidence:
    """A GAN of a board, with what tables are computed from.

    Attributes:
        name: the name of its manifest without ``.json``, which that of its samples shares.
        file: the manifest.
        log: the rows of its log; empty if training diverged.
    """

    name: str
    file: GanCellFile
    log: tuple[LogRow, ...]

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self.file.cell.seed

    @property
    def version(self) -> str:
        """The code that trained it."""
        file = self.file
        return file.manifest.version if file.manifest else getattr(file.diverged, "version", "")

    def files(self, board: GanBoard) -> dict[str, str]:
        """Return the files that the folder has of a trained GAN, and the hash of each.

        Args:
            board: its board.
        """
        if self.file.manifest is None:
            return {}
        hashes, key = self.file.manifest.hashes, self.file.cell.key
        which = self.which(board)
        found = {log_name(key): hashes.get("training.csv", ""),
                 samples_name(self.name): hashes.get(PICTURES[which], "")}  # fmt: skip
        if board.publish_weights:
            found[weights_name(key, which)] = hashes.get(WEIGHTS[which], "")
        return found

    def which(self, board: GanBoard) -> str:
        """Return which weights of the generator the row measures."""
        return next((row.weights for row in board.rows if row.title == self.file.row), "last")


def log_name(key: str) -> str:
    """Return the name of a GAN's log in the folder."""
    return f"logs/{key}.csv"


def samples_name(name: str) -> str:
    """Return the name of a GAN's grid of samples."""
    return f"samples/{name}.png"


def weights_name(key: str, which: str) -> str:
    """Return the name of a generator's weights."""
    return f"weights/{key}{'-ema' if which == 'ema' else ''}.safetensors"


def stems(board: GanBoard) -> dict[tuple[str, int], str]:
    """Return (row, seed) -> the name of a manifest without its ending, for all GANs of a board."""
    taken: set[str] = set()
    return {
        (title, seed): file_name(title, seed, taken).removesuffix(".json")
        for title in board.titles
        for seed in board.seeds
    }


def read_log(text: str, where: str) -> tuple[LogRow, ...]:
    """Return the rows of a log.

    Raises:
        UserError: if it is not a log.
    """
    table = read_safe_csv(text, (), where)
    names = list(LogRow.__dataclass_fields__)
    if list(table.columns) != names:
        raise UserError(f"{where} is not a log: its columns are not {', '.join(names)}.")
    try:
        rows = table.astype(float).astype({"step": int}).to_dict("records") if len(table) else []
    except ValueError:
        raise UserError(f"{where} is damaged: a step is missing.") from None
    return tuple(LogRow(**{str(key): value for key, value in row.items()}) for row in rows)
