"""The files of a published board, and the readers of robench's commands."""

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from campaigns.fuzzing import mutations
from campaigns.fuzzing.form import Form
from robench.board.loading import is_gan_board, read_board
from robench.data.selection import read_selection
from robench.gan.board import read_gan_board
from robench.leaderboard.audit import audit, tables
from robench.leaderboard.audit.tables import table_problems
from robench.leaderboard.bundle import Bundle
from robench.leaderboard.derived import derived_tables
from robench.leaderboard.export import to_markdown
from robench.leaderboard.merge import merge_boards
from robench.leaderboard.page.write import render
from robench.leaderboard.publish import publish
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission.documents import check_contents, check_document
from robench.leaderboard.submission.write import _reduced
from robench.leaderboard.table import compare_rows, leaderboard
from robench.leaderboard.usable import usable_table

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"


# ruff: noqa: D102 - Form says what the methods of all formats do


class OfBoard(Form):
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


class Json(OfBoard):
    """``board.json`` and manifests, also as ``check-submission`` reads them."""

    change = staticmethod(mutations.change_json)
    patterns = ("board.json", "manifests/*.json")

    def read(self, rng: random.Random) -> None:
        if rng.random() < 0.3:
            check_document(self.changed, self.changed.name)
            check_contents(Leaderboard.read(self.home / "small"))
            return
        super().read(rng)


class Csv(OfBoard):
    """The tables of a board, and lists of indices.

    What ``verify`` compares the tables with is computed from files that are not changed; it is
    computed once, except in one trial of twenty.
    """

    change = staticmethod(mutations.change_csv)
    patterns = ("*.csv",)

    def make(self) -> list[Path]:
        indices = self.home / "indices.csv"
        indices.write_text("index,name\n1,a\n2,b\n30,c\n")
        made = [*super().make(), indices]
        self.board = Leaderboard.read(self.home / "small")
        return made

    def warm_up(self) -> None:
        comparison = compare_rows(self.board.result)
        table = leaderboard(self.board.result, comparison)
        derived = derived_tables(self.board.result, table)
        self.evidence: dict[str, Any] = {
            "compare_rows": lambda result: comparison,
            "leaderboard": lambda result, comparison: table,
            "derived_tables": lambda result, table: derived,
        }
        super().warm_up()

    def read(self, rng: random.Random) -> None:
        if self.changed.name == "indices.csv":
            read_selection(str(self.changed))
            return
        board = replace(self.board)  # without the tables that it has read
        match rng.randrange(20):
            case 0:
                super().read(rng)
            case 1 | 2 | 3 | 4:
                render(board)
            case 5 | 6 | 7 | 8 | 9:
                to_markdown(usable_table(board), board.board)
            case _:
                with mock.patch.multiple(tables, **self.evidence):
                    table_problems(board)


class Sums(OfBoard):
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
        if is_gan_board(self.changed):
            read_gan_board(self.changed)
        else:
            read_board(self.changed)
