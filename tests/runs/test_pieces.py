"""Pieces of work: what one process does for a cell."""

import warnings
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from robench.errors import RobenchWarning
from robench.evaluation import evaluate
from robench.evaluation.evaluate import LEFT_OUT
from robench.runs.pieces import Piece, perform


@dataclass(frozen=True)
class Evaluating:
    """Evaluate a network with a hook, which rules shortcuts out."""

    def perform(self, ctx: Any) -> None:
        model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        model[1].register_forward_hook(lambda layer, inputs, output: 2 * output)
        images = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
        evaluate(model, images, [0, 1, 0], ["fgsm(eps=0.1)"])


def test_a_warning_names_the_row_that_it_is_about() -> None:
    first = Piece("mine, seed 0", "attacking", Evaluating(), threads=1)
    ctx: Any = SimpleNamespace(device=torch.device("cpu"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for piece in (first, replace(first, name="mine, seed 1")):
            perform(piece, ctx)
    said = [str(w.message) for w in caught if issubclass(w.category, RobenchWarning)]
    assert [text.partition(LEFT_OUT)[0] for text in said] == ["mine, seed 0: ", "mine, seed 1: "]
