"""The JSON Schema of board.toml."""

import json
import tomllib
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support import TINY_BOARD, Command

from robench.board.schema import board_schema
from robench.board.shipped import shipped_boards

BOARDS = {name: path.read_text() for name, path in shipped_boards().items()} | {"tiny": TINY_BOARD}


def faults(text: str) -> list[str]:
    found = Draft202012Validator(board_schema()).iter_errors(tomllib.loads(text))
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(board_schema())


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_keeps_to_it(name: str) -> None:
    assert faults(BOARDS[name]) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("width = 4", "width = 0"), "model.width"),
        (("epochs = 2", "epoch = 2"), "training"),
        (("eps = 0.1", 'eps = "8"'), "training.eps"),
        (("eps = 0.1", "eps = 8"), "training.eps"),
        (('schedule = "one-cycle"', 'schedule = "cosine"'), "training.schedule"),
        (('title = "tiny"', ""), ""),
        (("checks = false", 'checks = "no"'), "evaluation.checks"),
        (
            ('name = "digits"', 'name = "digits"\nlabel_noise_mode = "some"'),
            "data.label_noise_mode",
        ),
        (("[data]", '[[arms]]\ndefense = "vanilla"\ntraining = {epoch = 2}\n[data]'), "arms.0"),
    ],
)
def test_what_a_run_refuses_is_marked_where_it_is(change: tuple[str, str], where: str) -> None:
    assert change[0] in TINY_BOARD
    assert any(fault.startswith(where) for fault in faults(TINY_BOARD.replace(*change, 1)))


def test_radii_may_be_written_as_levels() -> None:
    assert faults(TINY_BOARD.replace("eps = 0.1", 'eps = "8/255"', 1)) == []


def test_a_board_that_extends_another_needs_no_title() -> None:
    assert faults('extends = "quick"\nseeds = [1, 2]') == []


def test_every_table_is_documented() -> None:
    parts: dict[str, Any] = board_schema()["$defs"]
    assert all(part["description"] for part in parts.values())


def test_the_command_prints_it(robench: Command) -> None:
    assert json.loads(robench("schema").out) == board_schema()
