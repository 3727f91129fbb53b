"""ONI's kernels: orthonormal rows or columns times a scale; the released form and its bugs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robench import UserError, apply_defense
from robench.registry import defenses

EXACT = "oni(steps=12, scale=1.0)"


def conv(outputs: int, scale: float = 1.0, **changes: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    options = {"in_channels": 4, "out_channels": outputs, "kernel_size": 3, **changes}
    layer = nn.Conv2d(**options).double()
    with torch.no_grad():
        layer.weight.mul_(scale)
    return layer


def weight_of(layer: nn.Conv2d, defense: str) -> Tensor:
    """Return the kernel (out, in / groups, kh, kw) that the defended layer uses."""
    model = apply_defense(
        nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels).double()), defense
    )
    weight: Tensor = model[0].weight  # type: ignore[index, assignment]
    return weight.detach()


def eye(n: int) -> Tensor:
    return torch.eye(n, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.75, 1.0, 2.0])
def test_rows_are_orthogonal_and_as_long_as_the_scale_where_they_are_few(scale: float) -> None:
    weight = weight_of(conv(10, 1e3), f"oni(steps=12, scale={scale})").flatten(1)
    torch.testing.assert_close(weight @ weight.T, scale**2 * eye(10), atol=1e-8, rtol=0)


@pytest.mark.parametrize("scale", [0.75, 1.0])
def test_columns_are_where_rows_are_many(scale: float) -> None:
    layer = conv(30, 1e3, in_channels=8, kernel_size=1)
    weight = weight_of(layer, f"oni(steps=12, scale={scale})").flatten(1)
    torch.testing.assert_close(weight.T @ weight, scale**2 * eye(8), atol=1e-8, rtol=0)


def test_it_converges_to_the_nearest_orthogonal_kernel() -> None:
    layer = conv(10, 1e3)
    u, _, v = torch.linalg.svd(layer.weight.detach().flatten(1), full_matrices=False)
    torch.testing.assert_close(weight_of(layer, EXACT).flatten(1), u @ v, atol=1e-8, rtol=0)


def test_each_filter_has_a_scale_of_its_own_that_is_trained() -> None:
    model = apply_defense(nn.Sequential(conv(10, 1e3)), f"{EXACT[:-1]}, bn=false)")
    scale = next(p for name, p in model.named_parameters() if name.endswith("scale"))
    assert scale.numel() == 10
    with torch.no_grad():
        scale.view(-1)[3] = 5
    lengths = model[0].weight.flatten(1).norm(dim=1)  # type: ignore[index]
    expected = torch.ones(10, dtype=torch.float64)
    expected[3] = 5
    torch.testing.assert_close(lengths.detach(), expected, atol=1e-8, rtol=0)
    lengths.sum().backward()
    assert scale.grad is not None
    assert scale.grad.abs().min() > 0.9


@pytest.mark.parametrize("outputs", [6, 60])
def test_groups_are_orthogonalized_apart(outputs: int) -> None:
    layer = conv(outputs, groups=2)
    halves = []
    for part in layer.weight.detach().chunk(2):
        half = conv(outputs // 2, in_channels=2)
        half.weight = nn.Parameter(part.clone())
        halves.append(weight_of(half, "oni"))
    found = weight_of(layer, "oni")
    torch.testing.assert_close(found, torch.cat(halves), atol=1e-12, rtol=0)


@pytest.mark.parametrize("outputs", [10, 50])
def test_the_scale_of_a_large_weight_does_not_matter(outputs: int) -> None:
    large, larger = (weight_of(conv(outputs, scale), "oni") for scale in (1e4, 1e6))
    torch.testing.assert_close(large, larger, atol=1e-9, rtol=0)


@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("outputs", [10, 50])
def test_the_matrix_is_no_longer_than_the_scale_after_any_number_of_steps(
    outputs: int, steps: int
) -> None:
    weight = weight_of(conv(outputs), f"oni(steps={steps})").flatten(1)
    assert torch.linalg.matrix_norm(weight, ord=2) <= 2**0.5 + 1e-12


@pytest.mark.parametrize("outputs", [8, 50])
def test_centering_makes_the_released_form_blind_to_a_constant_image(outputs: int) -> None:
    layer = conv(outputs)
    constant = torch.ones(1, 4, 6, 6, dtype=torch.float64)
    blind, sees = (
        nn.functional.conv2d(constant, weight_of(layer, defense))
        for defense in ("oni_paper", "oni")
    )
    assert blind.abs().max() < 1e-12
    assert sees.abs().max() > 0.1


def test_centering_costs_the_released_form_one_row_where_the_matrix_is_square() -> None:
    layer = conv(8, 1e3, in_channels=8, kernel_size=1)
    values = torch.linalg.svdvals(weight_of(layer, "oni_paper(steps=40)").flatten(1))
    torch.testing.assert_close(values[:-1] / 1.414, torch.ones(7).double(), atol=1e-5, rtol=0)
    assert values[-1] < 1e-10


def test_many_rows_of_the_released_form_come_to_a_length_that_depends_on_the_weight() -> None:
    layer = conv(40, in_channels=8, kernel_size=1, bias=False)
    flat = layer.weight.detach().flatten(1)
    centered = flat - flat.mean(1, keepdim=True)
    gram = centered.T @ centered + 1e-5 * eye(8)
    assert torch.linalg.matrix_norm(gram, ord=2) < 5, "else it diverges"
    level = 1.414 / torch.linalg.matrix_norm(gram).sqrt()
    values = torch.linalg.svdvals(weight_of(layer, "oni_paper(steps=30)").flatten(1))[:-1]
    torch.testing.assert_close(values, level.expand(7), atol=0, rtol=1e-4)
    assert (values - 1.414).abs().min() > 0.3, "not 1, the scale apart"


@pytest.mark.parametrize("defense", ["oni_paper(steps=30)", "oni(steps=30)"])
def test_only_the_released_form_diverges_once_an_eigenvalue_exceeds_five(defense: str) -> None:
    layer = conv(40, in_channels=8, kernel_size=1)
    u, _, v = torch.linalg.svd(layer.weight.detach().flatten(1), full_matrices=False)
    s = torch.linspace(1.0, 2.5, 8, dtype=torch.float64)  # squares up to 6.25
    with torch.no_grad():
        layer.weight.copy_((u * s @ v)[..., None, None])
    found = weight_of(layer, defense)
    tame = bool(found.isfinite().all()) and bool(found.abs().max() < 2)
    assert tame == defense.startswith("oni(")


def test_a_gradient_goes_through_all_steps() -> None:
    for outputs in (3, 12):
        model = apply_defense(nn.Sequential(conv(outputs, 5, in_channels=1)), "oni(bn=false)")
        layer: Any = model[0]
        stored = layer.parametrizations["weight"].original
        change = layer.parametrizations["weight"][0]
        assert torch.autograd.gradcheck(change, (stored,), fast_mode=True)


def test_the_released_form_refuses_groups_by_name_and_reason_and_the_other_takes_them() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)))
    reason = r"layer '1\.0', Conv2d.*OniPaper cannot replace it: it has 2 groups, only 1"
    with pytest.raises(UserError, match=reason):
        apply_defense(model, "oni_paper")
    assert apply_defense(model, "oni")(torch.rand(1, 4, 9, 9)).shape == (1, 4, 5, 5)


@pytest.mark.parametrize("name", ["oni", "oni_paper"])
def test_no_iteration_at_all_is_refused(name: str) -> None:
    for steps in (0, -1):
        with pytest.raises(UserError, match=f"steps is {steps}: it must be 1 or more"):
            apply_defense(nn.Sequential(nn.Conv2d(4, 4, 3)), f"{name}(steps={steps})")


def test_the_released_form_has_its_own_defaults() -> None:
    assert defenses.get("oni_paper").build().steps == 3
    model = apply_defense(nn.Sequential(conv(6)), "oni_paper")
    scale = next(p for name, p in model.named_parameters() if name.endswith("scale"))
    assert (scale - 1.414).abs().max() < 1e-7
