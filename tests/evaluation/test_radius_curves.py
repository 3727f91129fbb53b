"""Accuracy at every radius at once, and how near attacks come to the smallest perturbations."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from robench import Outcomes, UserError, compare_sizes, evaluate, radius_curves
from robench.attack_tools.threat_models import Norm
from robench.evaluation.radius_curves import draw_curves

Digits = tuple[Tensor, Tensor]
INF = math.inf


def outcomes(sizes: list[float], mistakes: int = 0) -> Outcomes:
    """Outcomes of images that are fooled by these sizes, infinite for never, and of mistakes."""
    count = len(sizes) + mistakes
    correct = np.arange(count) < len(sizes)
    fooled = np.isfinite([*sizes, *[0.0] * mistakes])
    robust = correct & ~fooled
    # What did not fool has a size, too.
    lengths = np.where(fooled, [*sizes, *[0.0] * mistakes], 0.01).astype(np.float32)
    counts = np.zeros(count, dtype=np.int64)
    return Outcomes(correct, robust, robust, counts, counts, counts, lengths, lengths)


def at(curves: pd.DataFrame, attack: str) -> list[float]:
    return curves.loc[curves["attack"] == attack, "accuracy"].tolist()


def figures(attacks: Mapping[str, Outcomes], norm: Norm = "l2") -> pd.DataFrame:
    return compare_sizes(attacks, norm).set_index("attack")


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_curve_at_a_radius_is_the_accuracy_of_the_attack_in_that_ball(
    digits_net: nn.Module, digits_test: Digits, norm: Norm
) -> None:
    images, labels = (part[:50] for part in digits_test)
    radii = [0.05, 0.1, 0.12] if norm == "linf" else [0.3, 0.5, 0.7]
    search = f"norm='{norm}', steps=8"
    balls = [f"fab({search}, eps={eps})" for eps in radii]
    minimal = f"fab({search}, minimal=true)"
    result = evaluate(digits_net, images, labels, [*balls, minimal])
    curve = at(radius_curves({"fab": result.attacks[minimal]}, norm, radii), "fab")
    assert curve == [result.accuracy(name) for name in balls]
    assert len(set(curve)) == 3


@pytest.mark.parametrize(("norm", "eps"), [("linf", 8 / 255), ("l2", 0.4)])
def test_rounding_at_the_border_of_a_ball_is_allowed(
    digits_net: nn.Module, digits_test: Digits, norm: Norm, eps: float
) -> None:
    name = f"pgd-10(norm='{norm}', eps={eps})"
    result = evaluate(digits_net, *digits_test, [name])
    assert at(radius_curves(result.attacks, norm, [eps]), name) == [result.accuracy(name)]
    assert result.accuracy(name) < 1


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_a_linear_network_the_smallest_sizes_are_the_exact_distances(norm: Norm) -> None:
    layer = nn.Linear(64, 5)
    model = nn.Sequential(nn.Flatten(), layer).eval()
    images = 0.4 + 0.2 * torch.rand(40, 1, 8, 8)  # so that the border of the box is far
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
    logits = images.double().flatten(1) @ weight.T + bias
    labels = logits.argmax(1)
    leads = logits.gather(1, labels[:, None]) - logits
    normals = (weight[labels][:, None] - weight).norm(p=2 if norm == "l2" else 1, dim=2)
    exact = (leads / normals).nan_to_num(INF).amin(1).numpy()
    deepfool = {"linf": "LinfDeepFoolAttack", "l2": "L2DeepFoolAttack"}[norm]
    names = [f"fab(norm='{norm}', minimal=true)", f"foolbox:{deepfool}(minimal=true)"]
    attacks = evaluate(model, images, labels, names).attacks
    found = np.stack([getattr(attack, norm) for attack in attacks.values()])
    assert not any(attack.robust.any() for attack in attacks.values())
    assert (found > exact * (1 - 1e-4)).all()
    assert found.min(0) == pytest.approx(exact, rel=0.02)
    curve = radius_curves(attacks, norm, [1.02 * float(size) for size in np.sort(exact)])
    assert at(curve, "worst case") == pytest.approx([1 - k / 40 for k in range(1, 41)], abs=0.051)


def test_by_default_it_has_the_radii_at_which_it_changes_and_begins_with_clean_accuracy() -> None:
    curve = radius_curves({"a": outcomes([0.5, 0.25, INF], mistakes=1)}, "linf")
    assert curve["eps"].tolist() == [0, 0.25, 0.5]
    assert curve["accuracy"].tolist() == [0.75, 0.5, 0.25]


def test_what_did_not_fool_is_never_lost_however_small_its_size() -> None:
    assert at(radius_curves({"a": outcomes([INF, 0.5])}, "l2", [0, 0.1, 9]), "a") == [1, 1, 0.5]


def test_a_clean_mistake_is_lost_everywhere_even_if_a_corruption_puts_it_right() -> None:
    lucky = outcomes([0.2, INF], mistakes=3)
    lucky.robust[-2:] = True  # corruptions are given clean mistakes, too
    lucky.l2[-2:] = 0.7
    attacks = {"corruption": lucky, "attack": outcomes([0.1, INF], mistakes=3)}
    curves = radius_curves(attacks, "l2")
    assert (curves["accuracy"] <= attacks["attack"].correct.mean()).all()
    assert at(radius_curves(attacks, "l2", [0, 0.15, 0.3, 9]), "corruption") == [0.4, 0.4, 0.2, 0.2]
    assert figures(attacks).loc["corruption", "median_size"] == pytest.approx(0.2)


def test_no_curve_of_an_evaluation_exceeds_clean_accuracy(digits_net: nn.Module) -> None:
    images, labels = torch.rand(40, 1, 8, 8), torch.arange(40) % 10  # hardly any is right
    names = ["corruption(kind='gaussian_noise', severity=5)", "fgsm(eps=0.1)"]
    result = evaluate(digits_net, images, labels, names)
    changed = [o.robust & ~o.correct for o in result.attacks.values()]
    assert any(lucky.any() for lucky in changed)
    for norm in ("linf", "l2"):
        assert (radius_curves(result, norm)["accuracy"] <= result.accuracy()).all()


def test_curves_fall_and_the_worst_case_is_below_each_of_them(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:40] for part in digits_test)
    names = ["fab(norm='l2', minimal=true, steps=5)", "foolbox:DDNAttack(minimal=true, steps=20)"]
    attacks = evaluate(digits_net, images, labels, names).attacks
    curves = radius_curves(attacks, "l2", [float(eps) for eps in np.linspace(0, 1.5, 30)])
    table = curves.pivot_table(index="eps", columns="attack", values="accuracy")
    assert (table.diff().dropna() <= 0).all(axis=None)
    worst = table["worst case"]
    assert all((worst <= table[name]).all() for name in names)
    smallest = np.min([np.where(a.robust, INF, a.l2) for a in attacks.values()], axis=0)
    assert worst.tolist() == [(smallest > eps).mean() for eps in table.index]


def test_attacks_on_fewer_images_count_on_these() -> None:
    attacks = {"all": outcomes([0.1, 0.2, 0.3, INF]), "two": outcomes([0.2, 0.1])}
    curves = radius_curves(attacks, "l2", [0.15])
    assert [at(curves, name) for name in ("all", "two", "worst case")] == [[0.75], [0.5], [0]]
    assert figures(attacks)["matches_best"].tolist() == [0.5, 0.5, 1]


def test_sizes_match_the_best_known_if_they_are_at_most_1_percent_larger() -> None:
    attacks = {
        "near": outcomes([0.1009, 0.2, 0.3, INF, INF], mistakes=2),
        "far": outcomes([0.1, 0.2021, 0.31, 0.4, INF], mistakes=2),
    }
    # The fifth image is not fooled by any, and the mistakes need not be.
    assert figures(attacks).loc["near", "matches_best"] == 3 / 4
    assert figures(attacks).loc["far", "matches_best"] == 2 / 4


def test_the_median_is_over_all_attacked_images() -> None:
    attacks = {
        "some": outcomes([0.3, 0.1, 0.2, INF], mistakes=3),
        "few": outcomes([0.3, INF, INF, INF], mistakes=3),
    }
    assert figures(attacks)["median_size"].tolist() == pytest.approx([0.2, INF, 0.2])


def attackbench(sizes: list[float], best: list[float], mistakes: int) -> float:
    """Return 1 - (area - best area) / (clean accuracy * largest radius - best area).

    Each area is a Riemann sum below a curve, mistakes included, up to the radius where the best
    curve reaches 0.
    """
    radii = np.linspace(0, max(best), 200_001)[:-1]
    step, count = radii[1], len(sizes) + mistakes

    def area(values: list[float]) -> float:
        robust = (np.sort(values)[:, None] > radii).sum(0) / count
        return float(robust.sum() * step)

    clean = len(sizes) / count
    return 1 - (area(sizes) - area(best)) / (clean * max(best) - area(best))


def test_local_optimality_is_that_of_attackbench() -> None:
    one, two = [0.1, 0.5, 0.7, INF, 0.35], [0.2, 0.4, 0.9, 0.8, 0.3]
    best = [0.1, 0.4, 0.7, 0.8, 0.3]
    found = figures({"one": outcomes(one, 2), "two": outcomes(two, 2)})["local_optimality"]
    for name, sizes in (("one", one), ("two", two)):
        assert found[name] == pytest.approx(attackbench(sizes, best, 2), abs=1e-4)
    assert found["worst case"] == 1


def test_what_fools_nothing_has_optimality_0_and_alone_there_is_nothing_to_compare() -> None:
    none = outcomes([INF, INF])
    table = figures({"some": outcomes([0.1, 0.2]), "none": none})
    assert table.loc["none"].tolist() == [INF, 0, 0]
    assert figures({"none": none, "neither": none})["matches_best"].isna().all()
    alone = figures({"some": outcomes([0.1, 0.2])})
    assert alone["median_size"].tolist() == pytest.approx([0.1])
    assert alone[["matches_best", "local_optimality"]].isna().all(axis=None)
    assert math.isnan(figures({"mistakes": outcomes([], 3)})["median_size"].item())


def test_what_cannot_be_compared_is_refused_in_a_sentence() -> None:
    one, other = outcomes([0.1, 0.2]), outcomes([0.1], mistakes=1)
    with pytest.raises(UserError, match=r"'a' and 'b' are not on the same network and images"):
        radius_curves({"a": one, "b": other}, "l2")
    with pytest.raises(UserError, match=r"there is no attack whose sizes"):
        compare_sizes({}, "l2")
    with pytest.raises(UserError, match=r"sizes in linf and l2, but none in 'l1'"):
        radius_curves({"a": one}, "l1")  # type: ignore[arg-type]


def test_the_figure_has_a_panel_for_each_norm_and_the_same_one_is_the_same_file(
    tmp_path: Path,
) -> None:
    curves = radius_curves({"alpha": outcomes([0.1]), "beta": outcomes([0.2])}, "l2")
    both = pd.concat([curves.assign(norm="l2"), curves.assign(norm="linf")])
    for name in ("one.svg", "two.svg"):
        draw_curves(both, "four images", tmp_path / name)
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    for word in ("alpha", "beta", "worst case", "four images", "radius (l2)", "radius (linf)"):
        assert f"<!-- {word} -->" in text


def test_certificates_of_an_evaluation_fool_nothing_and_are_left_out(
    digits_test: Digits,
) -> None:
    images = digits_test[0][:30]
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), 10))
    names = ["pgd(norm='l2', eps=0.2, steps=3)", "certified(radius=0.1)"]
    result = evaluate(linear, images, linear(images).argmax(1), names)
    assert list(result.certificates) == names[1:]
    curves = radius_curves(result, "l2")
    assert set(curves["attack"]) == {names[0]}
    alone = radius_curves({names[0]: result.attacks[names[0]]}, "l2")
    pd.testing.assert_frame_equal(curves, alone)
    assert list(compare_sizes(result, "l2")["attack"]) == names[:1]
