"""Random numbers of a block of code that change nobody else's."""

import re
from pathlib import Path

import pytest
import torch

from robench.system.random_state import own_random_state

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]


def test_a_block_has_the_numbers_of_its_seed_and_leaves_the_state_as_it_was() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with own_random_state(CPU, 5):
        assert torch.equal(torch.rand(3), wanted)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_it_goes_on_with_the_state_that_there_is() -> None:
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    with own_random_state(CPU):
        assert torch.equal(torch.rand(3), wanted)
    assert torch.equal(torch.rand(3), wanted)


def test_no_gpu_is_seeded_or_asked_for_a_block_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise AssertionError(given)

    for name in ("manual_seed", "manual_seed_all", "get_rng_state", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, fail)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with own_random_state(CPU, 5):
        torch.rand(3)


def test_nothing_of_the_suite_seeds_all_gpus() -> None:
    folders = (ROOT / "robench", ROOT / "attacks", ROOT / "defenses")
    files = [file for folder in folders for file in folder.rglob("*.py")]
    code = {file: re.sub(r"``[^`]*``|#.*", "", file.read_text(encoding="utf-8")) for file in files}
    assert not [file for file, text in code.items() if "torch.manual_seed" in text]
