"""An audit builds networks to count their costs, but none that fills the memory."""

import pytest

from robench.board.cells import Cell
from robench.board.specs import DataSpec, ModelSpec, TrainingSpec
from robench.data.facts import DataFacts
from robench.leaderboard.audit import networks
from robench.models.checkpoint import Network


@pytest.mark.parametrize(("width", "built"), [(4, True), (255, False)])
def test_a_network_of_700_mib_is_not_built(
    monkeypatch: pytest.MonkeyPatch, width: int, built: bool
) -> None:
    cell = Cell(
        defense="vanilla",
        data=DataSpec(name="digits"),
        data_hash="0" * 64,
        model=ModelSpec(width=width),
        training=TrainingSpec(),
        seed=0,
    )
    asked: list[Network] = []
    networks._measured.cache_clear()  # another test may have built it
    build = Network.build
    monkeypatch.setattr(Network, "build", lambda self: asked.append(self) or build(self))
    found = networks.counted(networks.network_for(cell, DataFacts((1, 8, 8), 10), 10), cell)
    assert (found is not None) == bool(asked) == built
