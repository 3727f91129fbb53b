"""Torch computes with the wanted number of threads, and with its own again afterwards."""

import pytest
import torch

from robench.system.threads import computing_with, recorded_threads


def test_the_number_holds_within_the_block_only() -> None:
    before = torch.get_num_threads()
    with computing_with(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_an_error_within_the_block_leaves_the_number_as_it_was() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), computing_with(before + 1):
        raise KeyError
    assert torch.get_num_threads() == before


def test_the_number_of_an_environment_is_read() -> None:
    assert recorded_threads({"threads": "16"}) == 16


@pytest.mark.parametrize("count", ["", "0", "-1", "2.5", "many", "٣", "257", "9" * 5000])
def test_what_is_no_number_of_threads_is_none(count: str) -> None:
    assert recorded_threads({"threads": count}) is None
    assert recorded_threads({}) is None
