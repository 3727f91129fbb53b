"""How images are passed to a model: batches of which sizes it sees."""

import pytest
import torch
from torch import Tensor, nn

from robench.evaluation.forward import OCTAVE, PLAIN, QUANTUM, Forward


class Sizes(nn.Module):
    """Remembers the sizes of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        return images.flatten(1)


def size_of(forward: Forward, count: int) -> int:
    model = Sizes()
    images = torch.rand(count, 1, 2, 1)
    assert torch.equal(forward(model, images), images.flatten(1))
    return model.seen[0]


def test_the_plain_way_pads_nothing() -> None:
    assert [size_of(PLAIN, count) for count in (0, 1, 7, 100)] == [0, 1, 7, 100]


@pytest.mark.parametrize("count", [1, QUANTUM - 1, QUANTUM, QUANTUM + 1, 200])
def test_batches_are_padded_to_the_next_multiple(count: int) -> None:
    size = size_of(Forward(multiple=QUANTUM), count)
    assert size % QUANTUM == 0
    assert count <= size < count + QUANTUM


def test_few_sizes_are_few_and_at_most_a_quarter_too_large() -> None:
    forward = Forward(multiple=QUANTUM, few_sizes=True)
    sizes = {count: size_of(forward, count) for count in range(1, 1025)}
    assert all(
        count <= size <= 1.25 * count or size <= 4 * QUANTUM for count, size in sizes.items()
    )
    assert all(size % QUANTUM == 0 for size in sizes.values())
    assert len(set(sizes.values())) == 4 + OCTAVE * 4
    assert size_of(forward, 0) == 0
