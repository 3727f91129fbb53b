"""Attacks of other libraries by name: all of them run, and none changes global state."""

import inspect
import random
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torchattacks
from torch import Tensor, nn

from robench.errors import UserError
from robench.evaluation import Evaluation, evaluate
from robench.registry import attacks

Digits = tuple[Tensor, Tensor]

LITTLE = {
    "steps": 4, "n_queries": 10, "max_iterations": 10, "binary_search_steps": 2, "restarts": 2,
    "popsize": 3, "nb_sample": 8, "repeats": 3, "num_iter_set": 3, "directions": 5,
    "random_steps": 5, "num_translations": 2, "num_rotations": 2, "population": 4,
    "initial_gradient_eval_steps": 5, "max_gradient_eval_steps": 10, "noise_batch_size": 2,
    "num_steps": 4, "n_iter": 4, "iter": 4, "max_iter": 4, "df_steps": 4, "retrain": False,
}  # fmt: skip
"""Options that keep an attack short, where it has them."""

THREE_CHANNELS = ("PIFGSM", "PIFGSMPP", "TIFGSM", "perc_al")


@pytest.fixture(scope="session")
def color_net() -> nn.Module:
    """A network for color images, which some attacks require."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
            nn.Linear(512, 10),
        ).eval()  # fmt: skip


def little(name: str) -> str:
    """Return the expression of an attack with little to do."""
    valid = inspect.signature(attacks.get(name).build).parameters
    chosen: dict[str, Any] = {k: v for k, v in LITTLE.items() if k in valid}
    if "eps" in valid:
        chosen["eps"] = 1.0 if "L2" in name or "L1" in name else 0.1
    return f"{name}({', '.join(f'{k}={v}' for k, v in chosen.items())})"


def run(model: nn.Module, digits: Digits, call: str, count: int = 20, **options: Any) -> Evaluation:
    images, labels = digits
    return evaluate(model, images[:count], labels[:count], [call], **options)


@pytest.mark.parametrize("name", attacks.library_names())
def test_every_attack_of_the_libraries_runs_or_says_why_not(
    name: str, digits_net: nn.Module, digits_test: Digits, color_net: nn.Module
) -> None:
    images, labels = digits_test
    model = digits_net
    if name.endswith(THREE_CHANNELS):
        images = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        model, labels = color_net, color_net(images).argmax(1)
    call = ""
    try:
        call = little(name)
        result = run(model, (images, labels), call, 8)
    except UserError as error:
        assert "BrendelBethge" in name or name == "foolbox:L0FMNAttack", error  # noqa: PT017
        assert "numba" in str(error) or "L0 norms not yet supported" in str(error)  # noqa: PT017
        return
    outcomes = result.attacks[call]
    ball = result.threat_models[call]
    if ball is not None and ball[0] in ("linf", "l2"):
        sizes = outcomes.linf if ball[0] == "linf" else outcomes.l2
        assert sizes.max() <= ball[1] + 1e-6 * max(1, ball[1])
    blind = ("GN", "VANILA", "NoiseAttack")
    if not name.endswith(blind):
        assert (outcomes.forwards[outcomes.correct] > 0).all()


@pytest.mark.parametrize(
    ("call", "accuracy"),
    [
        ("torchattacks:MIFGSM(eps=0.15)", 0.45), ("torchattacks:APGD(eps=0.15)", 0.4),
        ("torchattacks:CW(c=5, steps=60, lr=0.05)", 0.2), ("torchattacks:DeepFool", 0.6),
        ("torchattacks:Square(eps=0.3, n_queries=200)", 0.6),
        ("foolbox:LinfPGD(eps=0.15)", 0.4), ("foolbox:L2DeepFoolAttack(eps=2.0)", 0.2),
        ("foolbox:L2CarliniWagnerAttack(steps=40, stepsize=0.1)", 0.2),
        ("autoattack(eps=0.15, steps=20, queries=100)", 0.4),
    ],
)  # fmt: skip
def test_the_well_known_ones_break_a_trained_network(
    call: str, accuracy: float, digits_net: nn.Module, digits_test: Digits
) -> None:
    result = run(digits_net, digits_test, call, 40)
    assert result.accuracy() == 1
    assert result.accuracy(call) <= accuracy


# --- the traps ---------------------------------------------------------------------------------


def state() -> list[Any]:
    return [torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()]


@pytest.mark.parametrize(
    "call",
    ["torchattacks:Square(n_queries=5)", "torchattacks:APGD", "torchattacks:FAB(steps=2)",
     "torchattacks:AutoAttack", "torchattacks:Pixle(max_iterations=2, restarts=2)",
     "torchattacks:OnePixel(steps=2)", "foolbox:LinfPGD(eps=0.1)"],
)  # fmt: skip
def test_global_random_numbers_are_left_alone_and_the_seed_decides(
    call: str, digits_net: nn.Module, digits_test: Digits
) -> None:
    before = state()
    first, again = (vars(run(digits_net, digits_test, call, 6).attacks[call]) for _ in range(2))
    assert state() == before
    for key, values in first.items():
        assert np.array_equal(values, again[key]), key


def test_other_seeds_start_elsewhere(digits_net: nn.Module, digits_test: Digits) -> None:
    call = "torchattacks:PGD(steps=1)"
    first, other = (run(digits_net, digits_test, call, seed=s).attacks[call] for s in (0, 1))
    assert not np.array_equal(first.l2, other.l2)


def test_modes_come_back_also_after_an_exception(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    model = nn.Sequential(digits_net, nn.Identity()).train()
    model[0][1].eval()
    modes = [module.training for module in model.modules()]
    for call in ("torchattacks:PGD(steps=1)", "foolbox:LinfPGD(eps=0.1, steps=1)"):
        run(model, digits_test, call)
        assert [module.training for module in model.modules()] == modes
    with (
        patch.object(torchattacks.PGD, "forward", side_effect=OSError("broken")),
        pytest.raises(UserError, match=r"torchattacks:PGD failed .*OSError: broken"),
    ):
        run(model, digits_test, "torchattacks:PGD")
    assert [module.training for module in model.modules()] == modes
    model.eval()


def test_nothing_is_printed(
    digits_net: nn.Module, digits_test: Digits, capsys: pytest.CaptureFixture[str]
) -> None:
    run(digits_net, digits_test, "torchattacks:FAB(steps=2, verbose=true)")
    assert capsys.readouterr().out == ""


def test_no_gradient_is_left_on_parameters(digits_net: nn.Module, digits_test: Digits) -> None:
    digits_net.zero_grad()
    run(digits_net, digits_test, "foolbox:LinfPGD(eps=0.1, steps=2)")
    assert all(parameter.grad is None for parameter in digits_net.parameters())


class Times(nn.Module):
    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images) * self.factor


def test_losses_are_summed_so_that_the_batch_does_not_protect(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    """At a logit margin near 100 a gradient averaged over the batch underflows in float32."""
    images, labels = digits_test
    gaps = digits_net(images).topk(2).values
    model = Times(digits_net, 97 / float((gaps[:, 0] - gaps[:, 1]).median())).eval()
    by_itself = torchattacks.PGD(model, eps=0.2, alpha=0.05, steps=10, random_start=False)
    together = (model(by_itself(images, labels)).argmax(1) == labels).float().mean()
    alone = torch.cat([by_itself(images[i : i + 1], labels[i : i + 1]) for i in range(100)])
    one_by_one = (model(alone).argmax(1) == labels).float().mean()
    assert together > one_by_one + 0.05
    call = "torchattacks:PGD(eps=0.2, alpha=0.05, steps=10, random_start=false)"
    assert run(model, digits_test, call, 100).accuracy(call) <= one_by_one + 0.01


@pytest.mark.parametrize(
    ("call", "step"),
    [
        ("torchattacks:PGD(eps=0.2)", 0.05), ("foolbox:LinfPGD(eps=0.2)", 0.05),
        ("torchattacks:PGD(step_size=0.01)", 0.01), ("torchattacks:PGDL2(eps=3.0)", 0.6),
        ("torchattacks:PGDL2(eps=1.0)", 0.2), ("torchattacks:FFGSM(eps=0.2)", 0.25),
        ("foolbox:LinfPGD(eps=0.2, step_size=0.01)", 0.01),
    ],
)  # fmt: skip
def test_the_step_follows_the_radius(call: str, step: float) -> None:
    """The libraries' own defaults are meant for one radius, and a thirtieth of it."""
    built = dict(attacks.build(call).options)  # type: ignore[attr-defined]
    assert built.get("alpha", built.get("abs_stepsize")) == pytest.approx(step)


@pytest.mark.parametrize(
    ("call", "step"),
    [
        ("torchattacks:PGD(eps=0.2)", 0.05), ("foolbox:LinfPGD(eps=0.2)", 0.05),
        ("torchattacks:PGD(eps=0.1)", 0.01), ("torchattacks:PGD", 0.01),
        ("torchattacks:PGD(alpha=0.03)", 0.03), ("foolbox:LinfPGD(abs_stepsize=0.03)", 0.03),
    ],
)  # fmt: skip
def test_a_step_that_is_meant_for_another_radius_is_not_inherited(call: str, step: float) -> None:
    built = dict(attacks.build(call, {"eps": 0.1, "step_size": 0.01}).options)  # type: ignore[attr-defined]
    assert built.get("alpha", built.get("abs_stepsize")) == pytest.approx(step)


def test_a_step_of_another_name_leaves_no_second_one() -> None:
    built = attacks.build("foolbox:LinfPGD(rel_stepsize=0.1)", {"eps": 0.1, "step_size": 0.01})
    assert dict(built.options) == {"rel_stepsize": 0.1}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("call", "ball"),
    [
        ("foolbox:InversionAttack", ("linf", 0.1)),
        ("foolbox:HopSkipJumpAttack", ("linf", 0.1)),
        ("foolbox:InversionAttack(distance='l2')", ("l2", 0.1)),
        ("foolbox:InversionAttack(norm='l2')", ("l2", 0.1)),
    ],
)
def test_a_norm_reaches_the_option_that_foolbox_has_for_it(
    call: str, ball: tuple[str, float]
) -> None:
    assert attacks.build(call, {"eps": 0.1, "norm": "linf"}).threat_model == ball


def test_options_of_the_board_reach_them() -> None:
    defaults = {"eps": 0.3, "step_size": "25.5/255", "norm": "l2"}
    built = attacks.build("torchattacks:APGD", defaults)
    assert built.threat_model == ("l2", 0.3)
    assert attacks.build("foolbox:L2PGD", defaults).threat_model == ("l2", 0.3)
    pgd = attacks.build("torchattacks:PGD", defaults)
    assert dict(pgd.options)["alpha"] == pytest.approx(0.1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("classes", [2, 3, 4, 12])
@pytest.mark.parametrize("call", ["autoattack(steps=3, queries=4)", "torchattacks:FAB(steps=2, "
    "multi_targeted=true)", "foolbox:GenAttack(eps=0.1, steps=2, population=4)"])  # fmt: skip
def test_any_number_of_classes_will_do(classes: int, call: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(27, classes)).eval()
    images = torch.rand(6, 3, 3, 3)
    result = evaluate(model, images, model(images).argmax(1), [call])
    assert len(result.attacks[call]) == 6


@pytest.mark.parametrize("call", ["torchattacks:FAB(steps=2)", "torchattacks:PGD(steps=2)"])
def test_images_of_any_layout_give_the_same(
    call: str, digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = digits_test[0][:10].expand(-1, 1, 8, 8), digits_test[1]
    strided = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    results = [run(digits_net, (x, labels), call, 10).attacks[call] for x in (images, strided)]
    assert np.array_equal(results[0].l2, results[1].l2)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_they_run_where_gradients_are_off(
    context: type[torch.no_grad], digits_net: nn.Module, digits_test: Digits
) -> None:
    for call in ("torchattacks:PGD(steps=2)", "foolbox:LinfPGD(eps=0.1, steps=2)"):
        wanted = run(digits_net, digits_test, call).attacks[call]
        with context():
            found = run(digits_net, digits_test, call).attacks[call]
        assert np.array_equal(wanted.l2, found.l2)


def test_int32_labels_are_fine(digits_net: nn.Module, digits_test: Digits) -> None:
    images, labels = digits_test
    for call in ("torchattacks:PGD(eps=0.15)", "foolbox:LinfPGD(eps=0.15)"):
        assert run(digits_net, (images, labels.int()), call).accuracy(call) < 1


def test_a_model_without_parameters_can_be_attacked() -> None:
    class Bare(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            dark = 1 - images.mean((1, 2, 3))
            return torch.stack([dark, 1 - dark], 1)

    images = torch.full((4, 1, 3, 3), 0.52)
    for call in ("torchattacks:PGD(eps=0.1)", "foolbox:LinfPGD(eps=0.1)"):
        assert evaluate(Bare(), images, torch.ones(4).long(), [call]).accuracy(call) == 0


# --- names and options -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("torchattacks:PDG", "torchattacks has no attack named 'PDG'; did you mean 'PGD'"),
        ("foolbox:LinfDeepFool", "foolbox has no attack named .* 'LinfDeepFoolAttack'"),
        ("torchattacks:LGV", "needs more than a model"),
        ("foolbox:DatasetAttack", "needs other images"),
        ("torchattacks:PGD(norm='l2')", "has no option 'norm'; it works in linf only"),
        ("torchattacks:PGDL2(norm='linf')", "it works in l2 only"),
        ("foolbox:LinfPGD(norm='l2')", "it works in linf only"),
        ("foolbox:L2AdditiveGaussianNoiseAttack(norm='linf')", "it works in l2 only"),
        ("torchattacks:PGD(eps=8)", "eps is 8 but pixels lie in .*: write '8/255'"),
        ("torchattacks:PIFGSM(max_epsilon=16)", "write '16/255'"),
        ("torchattacks:PGD(alpha=2)", "alpha is 2 but pixels lie in .*: write '2/255'"),
        ("torchattacks:PGDL2(eps=-1)", "eps is -1 but an L2 length must be above 0"),
        ("foolbox:LinfPGD(eps=8)", "eps is 8 but pixels lie in .*: write '8/255'"),
        ("foolbox:L1PGD(eps=-1)", "eps is -1, but a radius must be above 0"),
        ("autoattack(eps=8)", "write '8/255'"),
        ("torchattacks:PGD(epsilon=0.1)", "no option 'epsilon'; did you mean 'eps'"),
        ("torchattacks:PGD(steps='many')", "steps = 'many': give a number such as 10"),
        ("torchattacks:PGD(random_start=1)", "random_start = 1: give true or false"),
        ("torchattacks:APGD(norm='L7')", "norm = 'L7': give 'linf' or 'l2'"),
        ("foolbox:LinfPGD", r"needs the radius of its ball: foolbox:LinfPGD\(eps=8/255\)"),
        ("foolbox:VirtualAdversarialAttack(eps=0.1)", "needs the option 'steps'"),
        ("foolbox:InversionAttack(distance='l3')", "no distance 'l3'; did you mean"),
        ("foolboks:PGD", "no attack is named 'foolboks:PGD'"),
        ("autoattack(steps=0)", "steps is 0"),
        ("autoattack(eps=8)", "8/255"),
    ],
)
def test_mistakes_are_reported_in_a_sentence(call: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        attacks.build(call)


def test_they_are_listed_along_with_our_own() -> None:
    names = attacks.library_names()
    assert len(names) == len(set(names)) > 90
    assert {"torchattacks:PGD", "foolbox:LinfDeepFoolAttack"} < set(names)
