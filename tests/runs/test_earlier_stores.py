"""A store made by an earlier commit is read: no network is trained or attacked again.

``store_of_16505f1`` has two cells and the leaderboard that commit 16505f1 computed from them,
before modules moved: identities must not depend on where code is. Its checks are of version 1, so
that they are made again, by those of today; the earlier reports stay where they are.
"""

import hashlib
import shutil
from pathlib import Path

import pandas as pd
import pytest
from support import Command, few_queries, finished

from robench.leaderboard.columns import kind_of
from robench.leaderboard.published import Leaderboard
from robench.system.json_files import read_json

EARLIER = Path(__file__).parent / "store_of_16505f1"
MEASURED_AGAIN = ("parameters", "multiply_adds", "training_memory_mib")
"""Columns that every run measures again, with counters of torch."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy of it in which its board was run again, and what that printed."""
    store = tmp_path_factory.mktemp("earlier") / "earlier"
    shutil.copytree(EARLIER, store)
    with few_queries():
        done = finished("run", store, "--out", store)
    assert done.code == 0, done.err
    return store, done.out


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_cells_outcomes_and_spectra_are_found_again(
    robench: Command, found: tuple[Path, str]
) -> None:
    before = hashes(EARLIER / "cells")
    store, said = found
    for state in ("training", "attacking", "measuring"):
        assert f": {state}" not in said, said
    assert said.count(": stored") == said.count(": checking") == 2
    after = hashes(store / "cells")
    kept = {name for name in before if not name.endswith("manifest.json")}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    # What was known stays in each manifest; the hash of the new report is added.
    for path in (EARLIER / "cells").glob("*/manifest.json"):
        known, now = (read_json(folder / "cells" / path.parent.name / path.name)
                      for folder in (EARLIER, store))  # fmt: skip
        assert now.pop("reports").items() >= known.pop("reports", {}).items()
        assert now.items() >= known.items()
    again = robench("run", store, "--out", store)
    assert ": checking" not in again.out
    assert hashes(store / "cells") == after


def test_the_leaderboard_is_the_one_that_was_published(found: tuple[Path, str]) -> None:
    store, _ = found
    earlier = pd.read_csv(EARLIER / "leaderboard.csv")
    now = pd.read_csv(store / "earlier" / "leaderboard.csv")
    assert list(now.columns) == list(earlier.columns)
    # Seconds are from the store, too: they are not measured again.
    assert "train_seconds_per_epoch" in [c for c in now.columns if kind_of(c) == "timing"]
    kept = [column for column in now.columns if column not in MEASURED_AGAIN]
    pd.testing.assert_frame_equal(now[kept], earlier[kept])


@pytest.mark.usefixtures("few_queries")  # as they were checked here
def test_its_networks_are_loaded_and_give_the_same_predictions(
    robench: Command, found: tuple[Path, str]
) -> None:
    store, _ = found
    assert len(Leaderboard.read(store / "earlier").cells) == 2
    done = robench("verify", store / "earlier", "--store", store, "--rows", "all")
    assert done.code == 0, done.out
    assert "not reproduced" not in done.out
    assert done.out.count("reproduced") >= 16  # two rows of eight columns each
