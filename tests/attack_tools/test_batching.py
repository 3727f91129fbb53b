"""Batches stay full, finished samples leave, and running out of memory loses nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from robench.attack_tools.batching import run_batched
from robench.attack_tools.victims import BareModel
from robench.errors import UserError


class Model(BareModel):
    """A model with a batch size, which is never called."""

    def __init__(self, batch_size: int) -> None:
        super().__init__(lambda images: images)
        self.batch_size: int | None = batch_size
        self.reported: list[int] = []

    def report(self, finished: int) -> None:
        self.reported.append(finished)


@given(st.lists(st.integers(1, 6), max_size=20), st.integers(1, 8))
def test_every_sample_gets_the_steps_it_needs_in_full_batches(need: list[int], size: int) -> None:
    left = torch.tensor(need, dtype=torch.int64)
    batches: list[int] = []

    def advance(rows: Tensor) -> Tensor:
        assert len(rows.unique()) == len(rows)
        batches.append(len(rows))
        left[rows] -= 1
        return left[rows] == 0

    model = Model(size)
    run_batched(model, torch.arange(len(need)), advance)
    assert (left == 0).all()
    assert sum(batches) == sum(need)
    # A batch is only less than full when all that is left is in it.
    assert batches == sorted(batches, reverse=True)
    assert model.reported == sorted(model.reported)
    assert not need or model.reported[-1] == len(need)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_out_of_memory_halves_the_batch_with_a_warning_and_loses_nothing(error: Exception) -> None:
    steps = torch.zeros(10, dtype=torch.int64)

    def advance(rows: Tensor) -> Tensor:
        if len(rows) > 3:
            raise error
        steps[rows] += 1
        return steps[rows] == 2

    model = Model(8)
    sentence = "out of memory with 4 images at a time: continuing with 2"
    with pytest.warns(UserWarning, match=sentence):
        run_batched(model, torch.arange(10), advance)
    assert model.batch_size == 2
    assert (steps == 2).all()


def test_no_memory_for_one_image_is_reported_in_a_sentence() -> None:
    def advance(rows: Tensor) -> Tensor:
        raise MemoryError

    with (
        pytest.warns(UserWarning, match="continuing with 1"),
        pytest.raises(UserError, match=r"out of memory with 1 image\(s\) at a time"),
    ):
        run_batched(Model(2), torch.arange(3), advance)


def test_other_errors_pass() -> None:
    def advance(rows: Tensor) -> Tensor:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        run_batched(Model(2), torch.arange(3), advance)


def test_a_plain_function_gets_all_samples_at_once() -> None:
    seen: list[int] = []

    def advance(rows: Tensor) -> Tensor:
        seen.append(len(rows))
        return torch.ones(len(rows), dtype=torch.bool)

    run_batched(lambda x: x, torch.arange(7), advance)
    assert seen == [7]
