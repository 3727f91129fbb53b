"""The evaluator: exact predictions, and a model that is restored."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from robench.base import Adversarial, Attack
from robench.errors import RobenchWarning, UserError
from robench.evaluation import Evaluation, evaluate
from robench.evaluation.victim import Victim
from robench.progress import Progress


def network(classes: int = 4) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(6 * 25, classes),
        ).eval()


def samples(count: int = 40, wrong: int = 7) -> tuple[Tensor, Tensor]:
    """Images labeled with the network's predictions, except for the first few."""
    images = torch.rand(count, 1, 5, 5, generator=torch.Generator().manual_seed(1))
    labels = network()(images).argmax(1)
    labels[:wrong] = (labels[:wrong] + 1) % 4
    return images, labels


@dataclass(frozen=True)
class Custom(Attack):
    """An attack for these tests: applies ``change``."""

    change: Callable[[Tensor], Tensor] = lambda images: images
    seen: list[Tensor] | None = None
    eps: float | None = None

    def perturb(
        self, model: Any, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
    ) -> Adversarial:
        if self.seen is not None:
            self.seen.append(images)
        return Adversarial(self.change(images), queries=torch.full((len(images),), 3))

    def shared_work(self) -> int:
        return id(self)


def run(attacks: Sequence[str | Attack], **options: Any) -> Evaluation:
    return evaluate(network(), *samples(), attacks, **options)


# --- predictions -------------------------------------------------------------------------------


def test_clean_accuracy_is_counted() -> None:
    assert run([]).accuracy() == 33 / 40


def test_clean_mistakes_are_not_attacked_and_stay_mistakes() -> None:
    seen: list[Tensor] = []
    result = run([Custom(seen=seen)])
    outcomes = next(iter(result.attacks.values()))
    assert sum(len(batch) for batch in seen) == 33
    assert not outcomes.robust[:7].any()
    assert outcomes.robust[7:].all()
    assert outcomes.queries.tolist() == [0] * 7 + [3] * 33
    assert outcomes.forwards.tolist() == [0] * 40


def test_the_prediction_is_a_forward_on_the_image_that_came_back() -> None:
    images, labels = samples()
    outcomes = next(iter(run([Custom(change=lambda x: 1 - x)]).attacks.values()))
    again = network()(1 - images).argmax(1) == labels
    assert np.array_equal(outcomes.robust, (again & torch.from_numpy(outcomes.correct)).numpy())
    delta = (1 - 2 * images).flatten(1)
    np.testing.assert_allclose(outcomes.linf[7:], delta.abs().amax(1)[7:], rtol=1e-5)
    np.testing.assert_allclose(outcomes.l2[7:], delta.norm(dim=1)[7:], rtol=1e-5)
    assert (outcomes.linf[:7] == 0).all()


def test_a_model_that_breaks_down_on_an_image_is_fooled_by_it() -> None:
    class Brittle(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            nothing = torch.where(images.mean((1, 2, 3)) > 0.99, torch.nan, 0.0)
            return torch.eye(4)[:1].expand(len(images), -1) + nothing[:, None]

    images, labels = torch.zeros(4, 1, 5, 5), torch.zeros(4).long()
    result = evaluate(Brittle(), images, labels, [Custom(change=torch.ones_like)])
    assert result.accuracy() == 1
    assert next(iter(result.attacks.values())).accuracy == 0


def test_attacks_see_as_many_samples_as_they_ask_for() -> None:
    result = run(["fgsm", "fgsm(samples=10)", "pgd-2(samples=12)", "pgd-3"])
    assert {name: len(o) for name, o in result.attacks.items()} == {
        "fgsm": 40, "fgsm(samples=10)": 10, "pgd-2(samples=12)": 12, "pgd-3": 40,
    }  # fmt: skip
    few, all_ = result.attacks["fgsm(samples=10)"], result.attacks["fgsm"]
    assert np.array_equal(few.robust, all_.robust[:10])


def test_pgd_10_and_pgd_20_come_from_one_trajectory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    exact = Victim.for_gradients

    def counting(victim: Victim, images: Tensor) -> Tensor:
        asked.append(len(images))
        return exact(victim, images)

    monkeypatch.setattr(Victim, "for_gradients", counting)
    run(["pgd-10", "pgd-20"])
    assert asked == [33] * 20


def test_fgsm_of_every_radius_takes_one_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    exact = Victim.for_gradients
    monkeypatch.setattr(
        Victim, "for_gradients", lambda v, x: (asked.append(len(x)), exact(v, x))[1]
    )
    run(["fgsm(eps=0.01)", "fgsm(eps=0.02)", "fgsm(eps=0.4)"])
    assert asked == [33]


def test_two_columns_of_the_same_attack_are_equal() -> None:
    images, labels = samples(10)
    twice = ["square(queries=9)", "square(queries=9, eps=8/255)"]
    found = evaluate(network(), images, labels, twice, defaults={"eps": 8 / 255})
    (_, one), (_, other) = found.attacks.items()
    assert one.l2.any()
    assert np.array_equal(one.l2, other.l2)


def test_what_an_attack_does_not_count_is_counted_by_the_evaluator() -> None:
    @dataclass(frozen=True)
    class Asking(Attack):
        def perturb(
            self, model: Any, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
        ) -> Adversarial:
            model(images)
            model(images[4:6] + 0.001)
            model(images[[2, 2, 2]])
            x = images.clone().requires_grad_()
            model(x).sum().backward()
            return Adversarial(images)

    outcomes = next(iter(run([Asking()], batch_size=33).attacks.values()))
    attacked = outcomes.forwards[7:]
    assert attacked.tolist() == [2, 2, 5, 2, 3, 3] + [2] * 27
    assert outcomes.queries.tolist() == outcomes.forwards.tolist()
    assert outcomes.backwards[7:].tolist() == [1] * 33


def test_an_attack_that_miscounts_is_named() -> None:
    @dataclass(frozen=True)
    class Boasting(Attack):
        def perturb(
            self, model: Any, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
        ) -> Adversarial:
            model(images)
            return Adversarial(images, forwards=torch.zeros(len(images), dtype=torch.int64))

    with pytest.raises(UserError, match="Boasting reports 0 forwards but made 33"):
        run([Boasting()])


def test_an_attack_s_outcomes_do_not_depend_on_other_attacks() -> None:
    names = ["noise", "fgsm", "pgd-3", "pgd-5", "simba(max_steps=5)"]
    together = run(names, seed=2)
    for name in names:
        alone = run([name], seed=2).attacks[name]
        for key, array in vars(alone).items():
            assert np.array_equal(array, getattr(together.attacks[name], key)), (name, key)


def test_batches_of_any_size_give_the_same_predictions() -> None:
    names = ["fgsm", "pgd-5", "simba(max_steps=5)"]
    whole, small = run(names, batch_size=100), run(names, batch_size=7)
    for name in names:
        assert np.array_equal(whole.attacks[name].robust, small.attacks[name].robust)


def test_the_seed_decides_random_starts() -> None:
    first, again, other = (run(["pgd-1"], seed=seed).attacks["pgd-1"] for seed in (1, 1, 2))
    assert np.array_equal(first.l2, again.l2)
    assert not np.array_equal(first.l2, other.l2)


def test_attacks_are_a_list() -> None:
    with pytest.raises(UserError, match=r"give a list: \['fgsm'\]"):
        run("fgsm")  # type: ignore[arg-type]


def test_a_threat_model_for_attacks_without_a_radius_is_said() -> None:
    with pytest.warns(RobenchWarning, match="defaults without effect: eps; no radius in simba"):
        run(["simba(max_steps=2)"], defaults={"eps": "51/255"})
    with pytest.raises(UserError, match=r"did you mean 'eps'"):
        run(["fgsm"], defaults={"epss": "51/255"})


def test_defaults_reach_the_attacks_that_have_them() -> None:
    result = run(["fgsm", "fgsm(eps=0.01)", "simba(max_steps=2)"], defaults={"eps": "51/255"})
    assert result.attacks["fgsm"].linf.max() == pytest.approx(0.2, abs=1e-6)
    assert result.attacks["fgsm(eps=0.01)"].linf.max() == pytest.approx(0.01, abs=1e-6)


def test_uint8_images_are_divided_by_255() -> None:
    pixels = (samples()[0] * 255).round().to(torch.uint8)
    labels = samples()[1]
    whole, scaled = (evaluate(network(), x, labels, ["fgsm"]) for x in (pixels, pixels / 255))
    assert np.array_equal(whole.attacks["fgsm"].robust, scaled.attacks["fgsm"].robust)


def test_the_table_has_one_row_per_attack() -> None:
    table = run(["fgsm", "simba(max_steps=3)"]).table()
    assert list(table["attack"]) == ["clean", "fgsm", "simba(max_steps=3)"]
    assert table.loc[0, "accuracy"] == 33 / 40
    assert table.loc[1, "samples"] == 40
    assert table.loc[2, "mean_queries"] > 0
    assert list(table["ball_norm"].fillna("")) == ["", "linf", ""]
    assert table.loc[1, "ball_eps"] > 0


def test_the_worst_case_is_over_the_attacks_of_one_threat_model_per_sample() -> None:
    result = run(["fgsm(eps=0.1)", "noise(eps=0.1)", "pgd-3(eps=0.1)", "fgsm(eps=0.2)", "simba"])
    worst = result.worst_case("linf", 0.1)
    assert result.worst_case("linf", "1/10").accuracy == worst.accuracy
    own = [o for name, o in result.attacks.items() if "eps=0.1" in name]
    assert np.array_equal(worst.robust, np.all([o.robust for o in own], axis=0))
    assert worst.accuracy <= min(o.accuracy for o in own)
    named = [name for name in result.table()["attack"] if name.startswith("worst")]
    assert named == ["worst case (linf 0.1)"]


def test_progress_goes_from_none_to_all() -> None:
    reported: list[Progress] = []
    run(["fgsm"], batch_size=20, progress=reported.append)
    assert reported == [Progress("fgsm", done, 33, "images") for done in (0, 20, 33)]


# --- the model is restored ---------------------------------------------------------------------


def unusual_model() -> nn.Module:
    """In training, with one BatchNorm kept in eval mode and one frozen parameter."""
    model = network().train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model[5].weight.grad = torch.ones_like(model[5].weight)
    return model


def facts(model: nn.Module) -> list[object]:
    return [
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        [None if p.grad is None else p.grad.sum().item() for p in model.parameters()],
    ]


def failing(_: Tensor) -> Tensor:
    raise OSError("the attack fails")


@pytest.mark.parametrize("fails", [False, True])
def test_modes_flags_gradients_and_buffers_come_back(fails: bool) -> None:
    model = unusual_model()
    before, state = facts(model), copy.deepcopy(model.state_dict())
    attacks: list[str | Attack] = ["fgsm", "pgd-2", "simba(max_steps=2)"]
    if fails:
        with pytest.raises(OSError, match="the attack fails"):
            evaluate(model, *samples(), [*attacks, Custom(change=failing)])
    else:
        evaluate(model, *samples(), attacks)
    assert facts(model) == before
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_the_global_random_state_is_not_touched() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(["noise", "pgd-2", "simba(max_steps=2)", Custom(change=lambda x: torch.rand_like(x))])
    assert torch.equal(torch.rand(3), expected)


def test_dropout_is_off_and_predictions_are_float32_under_autocast() -> None:
    expected = run(["pgd-3"]).attacks["pgd-3"]
    with torch.autocast("cpu", torch.bfloat16):
        model = network().train()
        result = evaluate(model, *samples(), [])
    assert np.array_equal(result.clean, run([]).clean)
    assert expected.accuracy <= result.accuracy()


# --- attacks that break the rules --------------------------------------------------------------


@pytest.mark.parametrize(
    ("attack", "sentence"),
    [
        (Custom(change=lambda x: x + 0.5), r"Custom left \[0, 1\]"),
        (Custom(change=lambda x: 1 - x, eps=0.1), r"Custom left its linf ball of radius 0\.1"),
        (Custom(change=lambda x: x * torch.nan), "Custom returned images that are not finite"),
        (Custom(change=lambda x: x[:, :, :2]), "Custom returned"),
    ],
)
def test_an_attack_that_breaks_the_rules_is_named(attack: Attack, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        run([attack])


# --- bad input ---------------------------------------------------------------------------------


def spoiled(value: float) -> Tensor:
    images = samples()[0].clone()
    images[3, 0, 0, 0] = value
    return images


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (spoiled(255.0), r"images lie in \[.*, 255\] but must lie in \[0, 1\]: divide by 255"),
        (spoiled(-1.0), r"images lie in \[-1, .*\] but must .*: map them by \(images \+ 1\) / 2"),
        (spoiled(1.12), r"images lie in \[.*, 1.12\] but must .*: .* images\.clamp\(0, 1\)"),
        (spoiled(-2.1), r"images lie in \[-2.1, .*\] but must .*as they were before mean and std"),
        (spoiled(-0.1), r"images lie in \[-0\.1, "),
        (spoiled(float("nan")), "image 3 has NaN or infinite pixels"),
        (samples()[0][0], r"images have shape \(1, 5, 5\); give \(N, C, H, W\)"),
        (samples()[0][:30], r"labels have shape \(40,\) for 30 images"),
        (samples()[0][:0], "there are no images"),
    ],
)
def test_bad_images(images: Tensor, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        evaluate(network(), images, samples()[1], ["fgsm"])


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (samples()[1].float(), "labels are torch.float32; give integers"),
        (samples()[1][:, None], r"labels have shape \(40, 1\)"),
        (samples()[1] - 10, "counted from 0"),
    ],
)
def test_bad_labels(labels: Tensor, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        evaluate(network(), samples()[0], labels, ["fgsm"])


class Odd(nn.Module):
    def __init__(self, result: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.result = result

    def forward(self, images: Tensor) -> Any:
        return self.result(images)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (network(classes=2), "has 2 classes but a label is 3; use a model with the number of"),
        (Odd(lambda x: x.mean((1, 2, 3))), r"returns shape \(16,\) for 16 images"),
        (Odd(lambda x: x), r"returns shape \(16, 1, 5, 5\)"),
        (Odd(lambda x: (x, x)), r"returns a tuple of 2: .*; it must return logits"),
    ],
)
def test_bad_models(model: nn.Module, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        evaluate(model, *samples(), ["fgsm"])


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["fgsm", "fgsm"], "two columns would be named 'fgsm'"),
        (["pdg-10"], "no attack is named 'pdg-10'; did you mean 'pgd'"),
        (["pgd-10(eps=8)"], "8/255"),
        (["fgsm(samples=0)"], "samples=0; give 1 or more"),
        (["fgsm(samples=-5)"], "samples=-5; give 1 or more"),
        (["pgd(norm='l2', eps=5.1)"], "eps is 5.1, but two images .* at most 5 apart in l2"),
        (["torchattacks:PGDL2(eps=8)"], "at most 5 apart in l2: write '8/255'"),
    ],
)
def test_bad_attacks(names: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        run(names)


def test_a_bad_batch_size() -> None:
    with pytest.raises(UserError, match="batch_size is 0; give a whole number, 1 or more"):
        run(["fgsm"], batch_size=0)


class Masked(nn.Module):
    """Rules classes out, as a network for a subset of the classes does."""

    def __init__(self, network: nn.Module, value: float) -> None:
        super().__init__()
        self.network, self.value = network, value

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x)
        return torch.cat([logits[:, :4], torch.full_like(logits[:, 4:], self.value)], 1)


def test_classes_that_are_ruled_out_by_infinity_are_refused_and_finite_ones_are_not(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    images, labels = (part[digits_test[1] < 4][:10] for part in digits_test)
    with pytest.raises(UserError, match=r"-inf for the classes 4, 5, 6, 7, 8 and others, and att"):
        evaluate(Masked(digits_net, -torch.inf).eval(), images, labels, ["fgsm"])
    assert evaluate(Masked(digits_net, -1e4).eval(), images, labels, ["fgsm"]).accuracy() > 0.8


def test_names_and_balls_that_are_not_there_are_said_with_those_that_are(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    images, labels = (part[:4] for part in digits_test)
    found = evaluate(digits_net, images, labels, ["fgsm"], defaults={"eps": "4/255"})
    with pytest.raises(UserError, match="no attack is named 'pgd'"):
        found.accuracy("pgd")
    with pytest.raises(UserError, match=r"ball linf 8/255; those of this evaluation are: linf 4/2"):
        found.worst_case("linf", 8 / 255)
