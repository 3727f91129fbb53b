"""Attacks that look for the smallest perturbation: what they minimize, here and in libraries."""

import pytest
from torch import Tensor, nn

from robench import evaluate
from robench.board.attack_calls import build_attack
from robench.errors import UserError
from robench.registry import attacks

DEFAULTS = {"eps": 8 / 255}
MINIMAL = {
    "fab(minimal=true)": "linf",
    "fab(minimal=true, norm='l2')": "l2",
    "foolbox:DDNAttack(minimal=true)": "l2",
    "foolbox:L2FMNAttack(minimal=true)": "l2",
    "foolbox:LInfFMNAttack(minimal=true)": "linf",
    "foolbox:L2DeepFoolAttack(minimal=true)": "l2",
    "foolbox:LinfDeepFoolAttack(minimal=true)": "linf",
    "foolbox:EADAttack(minimal=true)": "l1",
    "foolbox:InversionAttack(minimal=true, norm='linf')": "linf",
    "torchattacks:DeepFool": "l2",
    "torchattacks:CW": "l2",
}


@pytest.mark.parametrize(("call", "norm"), MINIMAL.items())
def test_they_say_in_which_norm_and_keep_to_no_ball_whatever_radius_others_have(
    call: str, norm: str
) -> None:
    built = build_attack(call, DEFAULTS)
    assert built.minimized_norm == norm
    assert built.threat_model is None


@pytest.mark.parametrize(
    "call", ["pgd", "fab", "foolbox:DDNAttack", "foolbox:LinfPGD", "torchattacks:FAB", "simba"]
)
def test_the_others_minimize_nothing(call: str) -> None:
    assert build_attack(call, DEFAULTS).minimized_norm is None


@pytest.mark.parametrize("name", ["DDNAttack", "L2FMNAttack", "LInfFMNAttack", "L2DeepFoolAttack"])
def test_those_of_foolbox_fool_at_any_size_and_the_sizes_are_kept(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor], name: str
) -> None:
    images, labels = (part[:20] for part in digits_test)
    call = f"foolbox:{name}(minimal=true)"
    found = evaluate(digits_net, images, labels, [call], defaults=DEFAULTS).attacks[call]
    sizes = found.linf if name.startswith("LInf") else found.l2
    assert found.fooled.mean() >= 0.9
    assert (sizes[found.fooled] > DEFAULTS["eps"]).any()
    assert len(set(sizes[found.fooled])) > 10


def test_only_attacks_of_foolbox_that_can_take_the_option() -> None:
    with pytest.raises(UserError, match="has no option 'minimal'"):
        attacks.build("foolbox:L2PGD(minimal=true)")
    with pytest.raises(UserError, match="minimal = 3: give true or false"):
        attacks.build("foolbox:DDNAttack(minimal=3)")
