"""Weights that do not fit are told by their names, and by how many there are."""

from pathlib import Path

import pytest
import torch
from torch import nn

from robench.errors import UserError
from robench.models.third_party_weights import load_third_party_weights


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def changed(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**network().state_dict(), **changes}


def renamed(before: str, after: str) -> dict[str, torch.Tensor]:
    return {name.replace(before, after): v for name, v in network().state_dict().items()}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (renamed("3.", "fc."), "does not fit: '3.weight' is missing, and 1 more; the file has "
         "'fc.weight' of its shape instead (6 of its 8 values fit)."),
        (changed(**{"3.weight": torch.zeros(5, 16), "3.bias": torch.zeros(5)}),
         "does not fit: '3.weight' has shape (5, 16) where (2, 16) is needed, and 1 more (6 of its "
         "8 values fit)."),
        (changed(extra=torch.zeros(1)),
         "does not fit: it also has 'extra', for which the model has no place."),
        ({"a": torch.zeros(3), "b": torch.zeros(3)}, "holds the weights of another model: "
         "'0.weight' is missing, and 7 more (0 of its 8 values fit)."),
    ],
)  # fmt: skip
def test_what_differs_is_named_and_counted(
    values: dict[str, torch.Tensor],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(values, "net.pt")
    with pytest.raises(UserError) as raised:
        load_third_party_weights(Path("net.pt"), network())
    assert str(raised.value) == f"net.pt {sentence}"
