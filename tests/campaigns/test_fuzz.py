"""A small campaign of each format, and that it finds what it looks for."""

import mmap
import random
import time
from pathlib import Path

import pytest

from campaigns import fuzz
from campaigns.fuzzing import worker
from campaigns.fuzzing.form import Form
from campaigns.fuzzing.formats import FORMATS
from campaigns.fuzzing.worker import Trial, Workers


@pytest.mark.parametrize(
    ("name", "trials"),
    [("toml", 40), ("safetensors", 40), ("pt", 40), ("images", 40), ("sums", 10), ("csv", 5)],
)
def test_changed_files_are_read_or_refused_in_a_sentence(name: str, trials: int) -> None:
    assert fuzz.run([name], trials, seed=0).examples == []


def test_a_trial_is_always_the_same_file(tmp_path: Path) -> None:
    contents = []
    for folder in ("a", "b"):
        form = FORMATS["toml"](tmp_path / folder)
        form.write(random.Random("toml 0 7"))
        contents.append(form.changed.read_bytes())
    assert contents[0] == contents[1]


class Broken(Form):
    """A reader with faults of its own."""

    fault = "none"

    def make(self) -> list[Path]:
        path = self.home / "a"
        path.write_text("valid")
        return [path]

    def warm_up(self) -> None:
        pass

    def read(self, rng: random.Random) -> None:
        if self.fault == "raises":
            raise KeyError("x")
        if self.fault == "computes":
            while True:
                pass
        if self.fault == "waits":
            time.sleep(60)
        if self.fault == "writes":
            (self.home.parent / "written").write_text("x")
        if self.fault == "grows":
            # Memory that the process has freed and kept, as after attacks, would not make it grow.
            grown = mmap.mmap(-1, 3 * 2**29)
            for page in range(0, len(grown), mmap.PAGESIZE):
                grown[page] = 1
        if self.fault == "dies":
            import os

            os._exit(3)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("raises", "KeyError"),
        ("computes", "took more than 1 seconds"),
        ("waits", "took more than 2 seconds"),
        ("writes", "wrote"),
        ("grows", "took more than 1 GiB"),
        ("dies", "exit code 3"),
    ],
)
def test_the_faults_that_it_looks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, found: str
) -> None:
    # Short only where that is looked for: on a busy machine anything may take seconds.
    monkeypatch.setattr(worker, "SECONDS", 1 if fault == "computes" else 60)
    monkeypatch.setattr(worker, "WAIT", 2 if fault == "waits" else 60)
    form = Broken(tmp_path / "home")
    form.fault = fault
    with Workers(form, tmp_path) as workers:
        assert found in str(workers.run(Trial("broken", 0, 0)))
        form.fault = "none"
        assert workers.run(Trial("broken", 0, 1)) is None
