"""Columns of one proof have the same radii, and those of different proofs need not."""

from collections.abc import Hashable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench import Attack, Proof, ThreatModel, register_attack
from robench.board.attack_calls import build_attack
from robench.evaluation import Outcomes
from robench.leaderboard.audit.certificates import certificate_problems
from robench.leaderboard.published import PublishedCell
from robench.runs.records import EvaluatedColumn

NOTHING = {"lipschitz": None, "unproved": ""}
PROVED = {"lipschitz": 2.0, "unproved": ""}
WIDER = "certified(radius=0.08)"
OTHER, COLUMN = "other_proof(noise=0.1)", "certified(radius=0.1)"


@pytest.fixture(autouse=True)
def other_proof() -> None:
    @register_attack("other_proof")
    @dataclass(frozen=True)
    class OtherProof(Attack):
        """A certificate whose radii depend on an option.

        Attributes:
            noise: that option.
            radius: the radius in L2.
        """

        noise: float = 0.1
        radius: float = 0.1

        @property
        def proves(self) -> ThreatModel:
            return ThreatModel("l2", self.radius)

        def shared_work(self) -> Hashable:
            return self.noise

        def proof(self, model: nn.Module, images: Tensor, labels: Tensor) -> Proof:
            return Proof(torch.full((len(images),), self.noise, dtype=torch.float64))


def proved(radii: tuple[float, ...]) -> Outcomes:
    l2 = np.asarray(radii, np.float32)
    clean, none = np.ones(len(l2), bool), np.zeros(len(l2), np.int64)
    robust = l2.astype(np.float64) >= 0.1
    return Outcomes(clean, robust, robust, none, none, none, np.zeros_like(l2), l2)


def problems(
    says: dict[str, dict[str, Any]] | None = None, **radii: tuple[float, ...]
) -> list[str]:
    """Return what is wrong with radii, and with what each column says of its proof."""
    outcomes = {name: proved(own) for name, own in radii.items()}
    columns = {name: EvaluatedColumn.of(build_attack(name, {})) for name in radii}
    entries = {
        name: SimpleNamespace(column=name, **(PROVED if "certified" in name else NOTHING))
        for name in radii
    }
    for name, own in (says or {}).items():
        vars(entries[name]).update(own)
    clean = {"clean": proved((0.0,) * 2)}
    cell: Any = SimpleNamespace(
        file=SimpleNamespace(manifest=SimpleNamespace(outcomes=entries)), outcomes=outcomes | clean
    )
    columns["clean"] = EvaluatedColumn()
    return [*certificate_problems(cast(PublishedCell, cell), columns, {}, (1, 2, 2))]


def test_certificates_of_two_kinds_have_radii_of_their_own() -> None:
    assert problems(**{COLUMN: (0.3, 0.05), OTHER: (0.1, 0.1)}) == []


def test_one_kind_with_options_that_change_the_proof_has_several() -> None:
    assert problems(**{OTHER: (0.1, 0.1), "other_proof(noise=0.2)": (0.2, 0.2)}) == []


def test_columns_of_one_proof_have_the_same_radii() -> None:
    found = problems(**{OTHER: (0.1, 0.1), "other_proof(noise=0.1, radius=0.2)": (0.2, 0.2)})
    assert any(f"the certified radii are not those of {OTHER}" in text for text in found)


BOTH = {COLUMN: (0.3, 0.05), WIDER: (0.3, 0.05)}
NONE = {COLUMN: (0.0, 0.0), WIDER: (0.0, 0.0)}
UNPROVED = {"lipschitz": None, "unproved": "no bound is proved for a GroupNorm"}


@pytest.mark.parametrize(
    ("says", "radii", "message"),
    [
        ({}, BOTH, None),
        ({WIDER: {"lipschitz": 2.0 * (1 + 1e-12)}}, BOTH, None),
        ({WIDER: {"lipschitz": 0.001}}, BOTH, f"Lipschitz constant is not that of {COLUMN}"),
        ({WIDER: NOTHING}, BOTH, f"Lipschitz constant is not that of {COLUMN}"),
        ({COLUMN: UNPROVED, WIDER: UNPROVED}, NONE, None),
        ({WIDER: UNPROVED}, NONE, f"differs from {COLUMN}, which shares its proof, in what is"),
        ({COLUMN: NOTHING, WIDER: NOTHING}, NONE, "neither a Lipschitz constant nor a reason"),
        ({}, NONE, None),
        ({}, {OTHER: (0.0, 0.0)}, None),
    ],
    ids=["honest", "rounded", "constant", "none of two", "unproved", "one unproved", "zeroed",
         "no image right", "somebody else's that abstains"],
)  # fmt: skip
def test_columns_of_one_proof_say_the_same_of_it(
    says: dict[str, dict[str, Any]], radii: dict[str, tuple[float, ...]], message: str | None
) -> None:
    found = problems(says, **radii)
    assert bool(found) == (message is not None), found
    assert message is None or any(message in text for text in found)


@pytest.mark.parametrize(("largest", "fits"), [(2.0, True), (2.1, False), (1e6, False)])
def test_no_radius_is_larger_than_the_distance_of_two_images(largest: float, fits: bool) -> None:
    """A constant network has that of the farthest image, at which the evaluator cuts radii."""
    found = problems(None, **{COLUMN: (largest, 0.0)})
    assert any("but no image is farther away than 2" in text for text in found) is not fits
