"""Torch computes with the recorded number of threads, and with its own again afterwards."""

import pytest
import torch

from robench.system.threads import threads


def test_the_recorded_number_is_used_within_the_block_only() -> None:
    before = torch.get_num_threads()
    with threads(str(before + 1)):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("count", [None, "", "0", "-1", "2.5", "many", "٣", "257", "9" * 5000])
def test_what_is_no_number_of_threads_changes_nothing(count: str | None) -> None:
    before = torch.get_num_threads()
    with threads(count):
        assert torch.get_num_threads() == before


def test_an_error_within_the_block_leaves_the_number_as_it_was() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), threads(str(before + 1)):
        raise KeyError
    assert torch.get_num_threads() == before
