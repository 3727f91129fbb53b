"""Certified accuracy: the radii of ``robench.certify``, as a column."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from robench import Check, CheckContext, Finding, UserError, certify, check_model, evaluate
from robench.base import ThreatModel
from robench.board.attack_calls import build_attack, expand_calls
from robench.evaluation.adversarial import adversarial_images

RADII = ("certified(radius=36/255)", "certified(radius=1)")


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)]
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def samples(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that the network has classified itself, the first three wrongly."""
    images = torch.rand(24, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    labels = model(images).argmax(1)
    labels[:3] = (labels[:3] + 1) % 3
    return images, labels


def test_alone_it_stands_for_the_radii_of_the_papers() -> None:
    columns = [f"certified(radius={r})" for r in ("36/255", "72/255", "108/255", "1")]
    assert expand_calls(["certified", "fgsm"]) == [*columns, "fgsm"]
    assert expand_calls(["certified(radius=0.5)"]) == ["certified(radius=0.5)"]
    assert build_attack(columns[0], {}).proves == ThreatModel("l2", 36 / 255)


def test_it_has_no_threat_model_and_takes_none_from_the_board() -> None:
    attack = build_attack("certified", {"norm": "linf", "eps": 0.3})
    assert attack.threat_model is None
    assert attack.proves == ThreatModel("l2", 36 / 255)


def test_an_image_counts_if_its_radius_reaches_the_column_s(
    model: nn.Module, samples: tuple[torch.Tensor, torch.Tensor]
) -> None:
    radii = certify(model, (1, 6, 6)).radii(*samples).numpy()
    middle = float(np.median(radii[3:]))
    found = evaluate(model, *samples, [f"certified(radius={middle!r})", *RADII])
    for name, outcomes in found.attacks.items():
        radius = build_attack(name, {}).proves.eps
        np.testing.assert_array_equal(
            outcomes.robust, outcomes.correct & (outcomes.l2.astype(float) >= radius)
        )
        np.testing.assert_allclose(outcomes.l2, radii, rtol=1e-6)
        assert (outcomes.l2 <= radii).all(), "float32 must not round a radius up"
        assert not outcomes.l2[:3].any()
    shares = [outcomes.accuracy for outcomes in found.attacks.values()]
    assert 0 < shares[0] < 1
    assert found.certificates[RADII[0]].lipschitz == certify(model, (1, 6, 6)).lipschitz


def test_no_attack_undercuts_it(
    model: nn.Module, samples: tuple[torch.Tensor, torch.Tensor]
) -> None:
    radius = float(certify(model, (1, 6, 6)).radii(*samples).median())
    attack = f"pgd-20(norm='l2', eps={radius!r}, step_size={radius / 4!r})"
    proof = f"certified(radius={radius!r})"
    found = evaluate(model, *samples, [attack, proof]).attacks
    assert found[proof].robust.any()
    assert found[attack].robust[found[proof].robust].all()


def test_of_a_network_without_bounds_nothing_is_proved(
    samples: tuple[torch.Tensor, torch.Tensor],
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.Softmax(1)).eval()
    found = evaluate(model, *samples, ["certified(radius=0.1)"])
    assert found.accuracy("certified(radius=0.1)") == 0
    [proven] = found.certificates.values()
    assert proven.unproved == "layer '2': no bound is proved for a Softmax."
    assert proven.lipschitz is None


def test_its_row_of_the_table_has_no_costs(
    model: nn.Module, samples: tuple[torch.Tensor, torch.Tensor]
) -> None:
    table = evaluate(model, *samples, ["noise", RADII[0]]).table().set_index("attack")
    assert table.loc[RADII[0], ["samples", "accuracy"]].notna().all()
    assert table.loc[RADII[0]].drop(["samples", "accuracy"]).isna().all()
    assert table.loc["noise"].notna().sum() > 2


@dataclass(frozen=True)
class Survivors(Check):
    """Says how many images no known attack fooled."""

    findings = ("survivors",)

    def run(self, context: CheckContext) -> Finding:
        return Finding("survivors", True, str(context.survivors.sum()))


def test_checks_do_not_take_a_missing_proof_for_an_attack(
    model: nn.Module, samples: tuple[torch.Tensor, torch.Tensor]
) -> None:
    column = "certified(radius=3)"
    found = evaluate(model, *samples, [column]).attacks[column]
    assert found.fooled.any(), "images whose radius is smaller"
    columns = {column: (build_attack(column, {}), found)}
    report = check_model(
        model, *samples, ThreatModel("l2", 3.0), columns=columns, checks=[Survivors()]
    )
    assert report["survivors"].sentence == "24"


def test_it_makes_no_images_which_is_said_before_other_attacks_take_their_time(
    model: nn.Module, samples: tuple[torch.Tensor, torch.Tensor]
) -> None:
    def ask(*question: object) -> None:
        raise AssertionError("the model was asked")

    model.register_forward_pre_hook(ask)
    with pytest.raises(
        UserError, match="is a certificate and makes no adversarial images; leave it out"
    ):
        adversarial_images(model, *samples, ["fgsm(eps=0.1)", RADII[0]])


@pytest.mark.parametrize("radius", [-1, 0, float("inf")])
def test_a_radius_that_is_none(radius: float) -> None:
    with pytest.raises(UserError, match="radius"):
        build_attack(f"certified(radius={radius})", {})
