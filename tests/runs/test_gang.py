"""Processes that train together: what is said of those that ended without an answer."""

from dataclasses import replace
from pathlib import Path

import pytest
from test_cell import cell, ctx

from robench.plugins import load_plugin, registrations_undone
from robench.runs.gang import _first_error, do_together
from robench.runs.pieces import Piece, Training
from robench.runs.remote_work import Answer, sign_in
from robench.runs.setup import Setup

SAID = """[W1127 socket.cpp:752] could not connect
Traceback (most recent call last):
  File "gang.py", line 1, in <module>
torch.OutOfMemoryError: CUDA out of memory.
E1127 failed (exitcode: 1) local_rank: 0
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
"""


def test_the_first_error_that_was_printed_and_not_torchruns_summary() -> None:
    assert _first_error(SAID) == " (torch.OutOfMemoryError: CUDA out of memory.)"
    assert _first_error("") == ""


IN_RANK_1 = """
import os
if os.environ.get("RANK") == "1":
    raise ValueError("only here")
"""

IN_TRAINING = """
import os, time
from dataclasses import dataclass
from robench import Defense, register_defense

@register_defense("broken")
@dataclass(frozen=True)
class Broken(Defense):
    def apply(self, model):
        return model
    def before_training(self, model, steps):
        time.sleep(3.0 * (os.environ["RANK"] == "0"))  # the other process meets it first
        raise ZeroDivisionError("a bug")
"""

KILLED = (
    IN_TRAINING[: IN_TRAINING.index("        time")]
    + """
        if os.environ["RANK"] == "1":
            os.kill(os.getpid(), 9)
"""
)


def answer_with(text: str, root: Path, defense: str) -> Answer:
    """Return the answer of two processes with a plugin."""
    plugin, context = root / "plugin.py", ctx(root / "cells")
    plugin.write_text(text)
    with registrations_undone():
        load_plugin(plugin)
        setup = replace(Setup.of(context, "digits", None), plugins=(plugin,), processes=2)
    network = cell(defense=defense)
    context.store.open(network)
    with sign_in(context.store.root) as sign:
        return do_together(setup, Piece("a", "training", Training(network), 1), sign)


@pytest.mark.usefixtures("only_the_suite")
def test_an_error_that_only_another_process_meets_is_final_and_no_lost_machine(
    tmp_path: Path,
) -> None:
    failure = answer_with(IN_RANK_1, tmp_path, "batchnorm").failure
    assert failure is not None
    assert "raises in line 4: ValueError: only here" in str(failure.error())


@pytest.mark.usefixtures("only_the_suite")
def test_an_error_that_another_process_meets_first_is_final(tmp_path: Path) -> None:
    failure = answer_with(IN_TRAINING, tmp_path, "broken").failure
    assert failure is not None
    assert "ZeroDivisionError" in str(failure.error())
    assert "a bug" in str(failure.error())


@pytest.mark.usefixtures("only_the_suite")
def test_a_process_that_is_killed_is_lost_and_no_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="its processes ended with"):
        answer_with(KILLED, tmp_path, "broken")
