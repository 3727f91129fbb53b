"""Attacks built with a call's defaults: what belongs together stays together, nothing gets lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from robench import Attack, UserError, evaluate, register_attack
from robench.board.attack_calls import Fate, build_attack, check_defaults, fate
from robench.board.loading import read_board
from robench.board.plan import resolve
from robench.board.shipped import shipped_boards
from robench.expressions import parse_expression
from robench.registry import attacks

BOARD = {"eps": "8/255", "step_size": "2/255"}


@pytest.fixture
def _careless() -> Iterator[None]:
    """An attack of a user that checks nothing and works in Linf only."""

    @register_attack("careless_linf")
    @dataclass(frozen=True)
    class Careless(Attack):
        eps: float = 8 / 255

    yield
    del attacks._entries["careless_linf"]


@pytest.fixture
def _no_attacks() -> Iterator[None]:
    """What users register by mistake: what makes no attack, and a ball that is a tuple."""

    @dataclass(frozen=True)
    class Stranger:
        eps: float = 0.1

    @register_attack("stranger")
    def stranger(eps: float = 0.1) -> Stranger:
        return Stranger(eps)

    @register_attack("plain_ball")
    @dataclass(frozen=True)
    class PlainBall(Attack):
        eps: float = 0.1

        @property
        def threat_model(self) -> Any:
            return ("linf", self.eps)

    yield
    del attacks._entries["stranger"], attacks._entries["plain_ball"]


@pytest.mark.usefixtures("_no_attacks")
def test_what_is_no_attack_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="'stranger' is a Stranger, which is no"):
        build_attack("stranger", {})
    with pytest.raises(UserError, match="attack 'plain_ball': its threat_model is a tuple"):
        build_attack("plain_ball", {})


@pytest.mark.parametrize("options", [{"eps": True}, {"steps": True}])
def test_true_is_no_number(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="true and false stand for no number"):
        build_attack("pgd", options)


@pytest.mark.parametrize(
    ("call", "step"),
    [
        ("pgd", 2 / 255),
        ("pgd(eps=0.3)", 0.075),
        ("pgd-20(eps=0.3)", 0.075),
        ("pgd(eps=0.3, step_size=0.1)", 0.1),
        ("pgd(step_size=0.01)", 0.01),
        ("pgd(eps=8/255)", 2 / 255),
        ("pgd(norm='l2', eps=0.5)", 0.125),
    ],
)
def test_a_call_with_a_radius_of_its_own_takes_no_step_meant_for_another(
    call: str, step: float
) -> None:
    assert vars(build_attack(call, BOARD))["step_size"] == pytest.approx(step)


def test_the_radius_is_reached_in_few_steps_whatever_the_defaults_are() -> None:
    assert build_attack("pgd(eps=0.3)", BOARD) == build_attack("pgd(eps=0.3)", {})


@pytest.mark.parametrize("name", shipped_boards())
def test_no_shipped_board_has_a_column_that_the_rule_changes(name: str) -> None:
    evaluation = read_board(shipped_boards()[name]).evaluation
    for call in evaluation.attacks:
        own = parse_expression(call).options
        taken = attacks.inherited(call, evaluation.defaults)
        known = attacks.options(call)
        expected = {k for k in evaluation.defaults if k in known and k not in own}
        assert taken.keys() == expected


@pytest.mark.parametrize(
    ("call", "name", "expected"),
    [
        ("pgd", "eps", Fate.TAKEN),
        ("pgd(eps=0.1)", "eps", Fate.OVERRIDDEN),
        ("pgd(eps=0.1)", "step_size", Fate.ANOTHER_RADIUS),
        ("fgsm", "step_size", Fate.NO_OPTION),
        ("simba", "eps", Fate.NO_OPTION),
        ("torchattacks:PIFGSM(max_epsilon=0.1)", "eps", Fate.OVERRIDDEN),
        ("foolbox:LinfPGD(rel_stepsize=0.1)", "step_size", Fate.OVERRIDDEN),
    ],
)
def test_the_fate_of_a_default(call: str, name: str, expected: Fate) -> None:
    assert fate(call, name, BOARD) is expected


# --- defaults without effect -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calls", "defaults", "sentence"),
    [
        (["fgsm", "pgd-20"], {"epss": 0.2}, "epss = 0.2 reaches none .* did you mean 'eps'"),
        (["simba"], {"eps": 0.2}, r"eps = 0.2 reaches none of the attacks \(simba\).*'step'"),
        (["pgd-5"], {"queries": 5}, "queries = 5 reaches none of the attacks"),
        (["pgd(eps=0.3)"], {"step_size": 0.1}, "'pgd\\(eps=0.3\\)' sets a radius of its own"),
        (["torchattacks:PGD"], {"norm": "l2"}, "torchattacks:PGD: it works in linf only"),
    ],
)
def test_a_default_that_reaches_no_attack_is_refused(
    calls: list[str], defaults: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        check_defaults(calls, defaults)


@pytest.mark.parametrize(
    ("calls", "defaults"),
    [
        (["simba", "fgsm"], {"eps": 0.2}),
        (["fgsm(eps=0.1)"], {"eps": 0.2}),
        (["noise"], {"eps": 0.2, "step_size": 0.1}),
        (["pgd(eps=0.3)"], BOARD),
        ([], {"eps": 0.2}),
    ],
)
def test_a_default_that_is_overridden_or_belongs_to_another_is_fine(
    calls: list[str], defaults: dict[str, Any]
) -> None:
    check_defaults(calls, defaults)


# --- norms and radii ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    ["torchattacks:PGD", "foolbox:LinfPGD", "pgd(norm='linf')", "careless_linf"],
)
@pytest.mark.usefixtures("_careless")
def test_a_radius_that_is_meant_for_another_norm_is_refused_naming_the_norm(call: str) -> None:
    with pytest.raises(UserError, match=r"works in linf, but eps = 0.5 is meant for l2"):
        build_attack(call, {"eps": 0.5, "norm": "l2"})


@pytest.mark.parametrize("call", ["torchattacks:PGD(eps=0.1)", "pgd(norm='linf', eps=0.1)"])
def test_an_attack_with_a_radius_of_its_own_keeps_its_norm(call: str) -> None:
    assert build_attack(call, {"eps": 0.5, "norm": "l2"}).threat_model == ("linf", 0.1)


@pytest.mark.parametrize(
    "name",
    ["fgsm", "pgd", "noise", "autoattack", "careless_linf", "torchattacks:PGD", "foolbox:FGSM"],
)
@pytest.mark.usefixtures("_careless")
def test_a_radius_in_gray_levels_is_refused_for_every_attack(name: str) -> None:
    for defaults, call in (({"eps": 8}, name), ({}, f"{name}(eps=8)")):
        with pytest.raises(UserError, match=r"eps is 8 but pixels lie in .* write '8/255'"):
            build_attack(call, defaults)


def test_objects_take_no_defaults(digits_net: Any, digits_test: Any) -> None:
    objects = [build_attack("fgsm", {})]
    with pytest.raises(UserError, match="defaults reach only attacks given by name"):
        evaluate(digits_net, *digits_test, objects, defaults={"eps": 0.1})


def test_misspelt_defaults_are_refused_from_python(digits_net: Any, digits_test: Any) -> None:
    with pytest.raises(UserError, match="did you mean 'eps'"):
        evaluate(digits_net, *digits_test, ["fgsm"], defaults={"epss": 0.1})


def test_a_board_may_state_a_step_size_that_no_attack_needs_but_no_other_option() -> None:
    board = read_board(shipped_boards()["quick"])
    only_fgsm = board.evaluation.model_copy(update={"attacks": ("fgsm",), "rank_by": "fgsm"})
    resolve(board.model_copy(update={"evaluation": only_fgsm}))
    misspelt = only_fgsm.model_copy(update={"defaults": {"eps": 0.2, "queries": 9}})
    with pytest.raises(UserError, match="'queries', which is not an option of any of its attacks"):
        resolve(board.model_copy(update={"evaluation": misspelt}))


@pytest.mark.parametrize("call", ["pgd-5(norm='l2')", "square(norm='l2')", "fab(norm='l2')"])
def test_another_norm_without_a_radius_is_refused(call: str) -> None:
    with pytest.raises(UserError, match="works in l2 and has no radius: its default, 8/255, is"):
        build_attack(call, {})
    with pytest.raises(UserError, match="has no radius"):
        build_attack(call.partition("(")[0], {"norm": "l2"})
    assert build_attack(call, {"eps": 0.5}).threat_model == ("l2", 0.5)
