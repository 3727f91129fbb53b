"""Rows of a state are read and written one batch at a time."""

from dataclasses import dataclass, replace

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from robench.attack_tools.sample_state import contiguous, read_rows, write_rows


@dataclass(frozen=True)
class State:
    """Two columns of different shapes and dtypes."""

    x: Tensor
    taken: Tensor


def state(count: int = 6) -> State:
    return State(torch.arange(2.0 * count).view(count, 2), torch.arange(count))


@given(st.permutations(range(6)), st.integers(0, 6))
def test_what_is_written_to_rows_is_read_from_them_and_other_rows_stay(
    order: list[int], size: int
) -> None:
    table, rows = state(), torch.tensor(order[:size], dtype=torch.int64)
    now = read_rows(table, rows)
    assert torch.equal(now.x, state().x[rows])
    assert torch.equal(now.taken, rows)
    write_rows(table, rows, State(now.x + 100, now.taken + 100))
    touched = torch.zeros(6, dtype=torch.int64)
    touched[rows] = 100
    assert torch.equal(table.x, state().x + touched[:, None])
    assert torch.equal(table.taken, state().taken + touched)


def test_rows_may_be_written_from_what_was_read() -> None:
    table, rows = state(), torch.tensor([2, 3, 4])
    now = read_rows(table, rows)  # shares memory with the table
    write_rows(table, rows, replace(now, taken=-now.taken))
    assert torch.equal(table.x, state().x)
    assert table.taken.tolist() == [0, 1, -2, -3, -4, 5]


@given(st.lists(st.integers(0, 9), unique=True))
def test_a_slice_selects_what_the_rows_select(numbers: list[int]) -> None:
    rows, values = torch.tensor(numbers, dtype=torch.int64), torch.arange(10)
    assert torch.equal(values[contiguous(rows)], values[rows])


def test_neighbors_in_order_are_not_copied() -> None:
    assert contiguous(torch.tensor([3, 4, 5])) == slice(3, 6)
    assert isinstance(contiguous(torch.tensor([3, 5, 4])), Tensor)
    assert isinstance(contiguous(torch.tensor([3, 5])), Tensor)
    whole = state()
    assert read_rows(whole, torch.arange(6)).x.data_ptr() == whole.x.data_ptr()
