"""Attacks of adv-lib: what they find is in the ball or measured, and nothing else is changed."""

import importlib.util
import random
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.commands.info import describe
from robench.errors import UserError
from robench.evaluation import Evaluation, evaluate
from robench.registry import attacks

Digits = tuple[Tensor, Tensor]

FMN = "adv_lib:fmn(steps=30, minimal=true)"
DDN = "adv_lib:ddn(steps=40, minimal=true)"


@pytest.fixture
def adv_lib() -> Any:
    """The library's attacks, imported as robench imports them: without visdom."""
    pytest.importorskip("adv_lib")
    assert attacks.get("adv_lib:fmn")
    return sys.modules["adv_lib.attacks"]


def run(model: nn.Module, digits: Digits, call: str, count: int = 30, **options: Any) -> Evaluation:
    images, labels = digits
    options = {"without": ("bf16", "folding"), **options}
    return evaluate(model, images[:count], labels[:count], [call], **options)


# --- the smallest perturbations ----------------------------------------------------------------


@pytest.mark.parametrize(("call", "norm"), [(FMN, "linf"), (DDN, "l2")])
def test_what_is_measured_is_what_the_library_finds(
    call: str, norm: str, adv_lib: Any, digits_net: nn.Module, digits_test: Digits
) -> None:
    outcomes = run(digits_net, digits_test, call).attacks[call]
    images, labels = (part[:30] for part in digits_test)
    if norm == "linf":
        found = adv_lib.fmn(digits_net, images, labels, norm=float("inf"), steps=30)
    else:
        found = adv_lib.ddn(digits_net, images, labels, steps=40)
    order = float("inf") if norm == "linf" else 2.0
    sizes = (found - images).flatten(1).norm(p=order, dim=1).numpy()
    known = outcomes.correct & (digits_net(found).argmax(1) != labels).numpy()
    assert known.sum() > 20
    assert outcomes.accuracy == 0
    assert getattr(outcomes, norm)[known] == pytest.approx(sizes[known], abs=1e-6)
    assert attacks.build(call).minimized_norm == norm
    assert attacks.build(call).threat_model is None


@pytest.mark.parametrize(
    ("call", "norm", "eps"),
    [
        ("adv_lib:fmn(steps=30)", "linf", 0.1), ("adv_lib:ddn(steps=40)", "l2", 0.5),
        ("adv_lib:fmn(norm='l1', steps=30)", "l1", 1.5),
    ],
)  # fmt: skip
def test_with_a_radius_an_image_counts_if_its_smallest_perturbation_is_in_the_ball(
    call: str, norm: str, eps: float, adv_lib: Any, digits_net: nn.Module, digits_test: Digits
) -> None:
    free = call.replace(")", ", minimal=true)")
    sizes = run(digits_net, digits_test, free).attacks[free]
    bounded = call.replace(")", f", eps={eps})")
    result = run(digits_net, digits_test, bounded)
    assert result.threat_models[bounded] == (norm, eps)
    outcomes = result.attacks[bounded]
    if norm != "l1":
        within = ~sizes.robust & (getattr(sizes, norm) <= eps)
        assert (~outcomes.robust)[within].all()
        assert getattr(outcomes, norm).max() <= eps + 1e-6
    # Clipped to the ball, a larger one may still fool the network, but rarely.
    assert outcomes.accuracy >= sizes.accuracy
    assert 0.1 < outcomes.accuracy < 0.9


@pytest.mark.parametrize(
    ("call", "norm"),
    [
        ("adv_lib:sigma_zero", "l0"), ("adv_lib:df(norm='l2', minimal=true)", "l2"),
        ("adv_lib:df", "linf"), ("adv_lib:alma", "l2"), ("adv_lib:alma(distance='l1')", "l1"),
        ("adv_lib:tr(p=2)", "l2"), ("adv_lib:fmn(norm=0)", "l0"), ("adv_lib:perc_al", None),
        ("adv_lib:apgd(eps=0.1)", None), ("adv_lib:fmn(eps=0.1)", None),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("adv_lib")
def test_what_is_minimized_is_known(call: str, norm: str | None) -> None:
    assert attacks.build(call).minimized_norm == norm


# --- what is left as it was --------------------------------------------------------------------


def state(model: nn.Module) -> list[Any]:
    numbers = [torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()]
    modes = [module.training for module in model.modules()]
    gradients = [(p.grad, p.requires_grad) for p in model.parameters()]
    return [*numbers, modes, gradients, {k: v.tolist() for k, v in model.state_dict().items()}]


@pytest.mark.parametrize(
    "call",
    [FMN, DDN, "adv_lib:apgd(eps=0.1, n_iter=3)", "adv_lib:vfga(max_iter=3)",
     "adv_lib:pgd_linf(eps=0.1, steps=3)", "adv_lib:fab(n_iter=2, restarts=2, minimal=true)"],
)  # fmt: skip
@pytest.mark.usefixtures("adv_lib")
def test_nothing_is_left_changed_and_the_seed_decides(
    call: str, digits_net: nn.Module, digits_test: Digits, capsys: pytest.CaptureFixture[str]
) -> None:
    model = nn.Sequential(digits_net, nn.Identity()).train()
    model[0].eval()
    before, images = state(model), digits_test[0].clone()
    first, again = (vars(run(model, digits_test, call, 8).attacks[call]) for _ in range(2))
    assert state(model) == before
    assert torch.equal(digits_test[0], images)
    assert capsys.readouterr().out == ""
    for key, values in first.items():
        assert np.array_equal(values, again[key]), key
    model.eval()


@pytest.mark.parametrize("call", [FMN, DDN])
@pytest.mark.usefixtures("adv_lib")
def test_attacks_without_random_numbers_do_not_depend_on_the_batch(
    call: str, digits_net: nn.Module, digits_test: Digits
) -> None:
    whole, parts = (
        run(digits_net, digits_test, call, batch_size=size).attacks[call] for size in (30, 7)
    )
    assert np.array_equal(whole.robust, parts.robust)
    assert whole.l2 == pytest.approx(parts.l2, abs=1e-5)


def test_visdom_is_not_needed_and_not_left_behind(adv_lib: Any) -> None:
    if importlib.util.find_spec("visdom") is None:
        assert "visdom" not in sys.modules
    assert adv_lib.fmn.__module__.startswith("adv_lib.attacks")


# --- names and options -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("adv_lib:fnm", "adv_lib has no attack named 'fnm'; did you mean 'fmn'"),
        ("adv_lib:fmn(step=3)", "no option 'step'; did you mean 'steps'"),
        ("adv_lib:ddn(\N{GREEK SMALL LETTER GAMMA}=0.1)", "no option '.'; write 'gamma'"),
        ("adv_lib:ddn(norm='linf')", "it works in l2 only"),
        ("adv_lib:fmn(norm='l7')", "has no norm 'l7'; did you mean"),
        ("adv_lib:alma(distance='lpips')", "has no norm 'lpips'; "),
        ("adv_lib:apgd", r"needs the radius of its ball: adv_lib:apgd\(eps=8/255\)"),
        ("adv_lib:apgd(eps=8)", "eps is 8 but pixels lie in .*: write '8/255'"),
        ("adv_lib:fmn(norm='l1', eps=-1)", "eps is -1, but a radius must be above 0"),
        ("adv_lib:fmn(norm='l0', eps=1)", "counts pixels and has no radius; add minimal=true"),
        ("adv_lib:apgd(eps=0.1, loss_function='cs')", "no loss_function 'cs'; did you mean 'ce'"),
        ("adv_lib:fmn(steps='many')", "steps = 'many': give a number such as 10"),
        ("adv_lib:fmn(minimal=1)", "minimal = 1: give true or false"),
        ("adv_lib:ddn(callback=1)", "has no option 'callback'"),
    ],
)
@pytest.mark.usefixtures("adv_lib")
def test_mistakes_are_reported_in_a_sentence(call: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        attacks.build(call)


@pytest.mark.usefixtures("adv_lib")
def test_options_of_the_board_reach_them() -> None:
    defaults = {"eps": 0.3, "step_size": "25.5/255", "norm": "l2"}
    for call in ("adv_lib:apgd", "adv_lib:fmn", "adv_lib:tr", "adv_lib:alma", "adv_lib:ddn"):
        assert attacks.build(call, defaults).threat_model == ("l2", 0.3), call
    assert attacks.build("adv_lib:tr(p=2, eps=0.5)", {"norm": "linf"}).threat_model == ("l2", 0.5)
    pgd: Any = attacks.build("adv_lib:pgd_linf", {"eps": 0.3, "step_size": 0.1})
    assert dict(pgd.options)["absolute_step_size"] == 0.1
    quarter: Any = attacks.build("adv_lib:pgd_linf(eps=0.2)")
    assert dict(quarter.options)["absolute_step_size"] == pytest.approx(0.05)
    assert attacks.build("adv_lib:ddn(levels=None)", {"eps": 0.3}).threat_model == ("l2", 0.3)


# --- without the library -----------------------------------------------------------------------


@pytest.fixture
def _missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "adv_lib"]:
        monkeypatch.delitem(sys.modules, name)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "adv_lib" else find(name, *a)
    )


@pytest.mark.usefixtures("_missing")
def test_without_the_library_a_sentence_says_how_to_install_it() -> None:
    wanted = r"need the package adv-lib: pip install --no-deps adv-lib .*'robench\[adv-lib\]'"
    for ask in (attacks.build, describe):
        with pytest.raises(UserError, match=wanted):
            ask("adv_lib:fmn(steps=3)")
    assert not [name for name in attacks.library_names() if name.startswith("adv_lib:")]
