"""The JSON Schema of board.toml."""

import json
import tomllib
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support import TINY_BOARD, Command

from robench.board.shipped import all_shipped_boards
from robench.commands.schema import file_schema

SHIPPED = {name: path.read_text() for name, path in all_shipped_boards().items()}
BOARDS = SHIPPED | {"tiny": TINY_BOARD}


def faults(text: str) -> list[str]:
    found = Draft202012Validator(file_schema()).iter_errors(tomllib.loads(text))
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(file_schema())


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


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("latent = 128", "latent = 0"), "gan.latent"),
        (("lr = 2e-4", "rate = 2e-4"), "gan"),
        (('weights = "ema"', 'weights = "mean"'), "arms.0.weights"),
        (('weights = "ema"', "gan = {step = 1}"), "arms.0.gan"),
        (("samples = 5000,", "samples = 1,"), "measure.protocols.1.samples"),
        (("[measure]", "[evaluation]\n[measure]"), ""),
    ],
)
def test_what_a_board_of_gans_has_wrong_is_marked_where_it_is(
    change: tuple[str, str], where: str
) -> None:
    board = SHIPPED["paper-table3"]
    assert change[0] in board
    found = faults(board.replace(*change, 1))
    assert any(fault.startswith(f"{where}:") for fault in found)


def test_radii_may_be_written_as_levels() -> None:
    assert faults(TINY_BOARD.replace("eps = 0.1", 'eps = "8/255"', 1)) == []


def test_a_board_that_extends_another_needs_no_title() -> None:
    assert faults('extends = "quick"\nseeds = [1, 2]') == []


def test_every_table_is_documented() -> None:
    parts: dict[str, Any] = file_schema()["$defs"]
    assert {"Board", "GanBoard", "GanSpec", "MeasureSpec"} <= parts.keys()
    assert all(part["description"] for part in parts.values())


def test_the_command_prints_it(robench: Command) -> None:
    assert json.loads(robench("schema").out) == file_schema()
