"""ONI and OCNN: properties of the correct forms and bugs of the released ones."""

import pytest
import torch
from torch import Tensor, nn

from robench import UserError, apply_defense, build_model
from robench.base import Defense
from robench.defenses.ocnn import Ocnn
from robench.defenses.ocnn_paper import OcnnPaper


def kernel(outputs: int, defense: str, scale: float = 1.0, kernel: int = 3) -> Tensor:
    """Return the flattened weight that a convolution of 4 inputs uses."""
    torch.manual_seed(0)
    conv = nn.Conv2d(4, outputs, kernel)
    with torch.no_grad():
        conv.weight.mul_(scale)
    model = apply_defense(nn.Sequential(conv, nn.BatchNorm2d(outputs)).double(), defense)
    weight: Tensor = model[0].weight.detach()  # type: ignore[index]
    return weight.flatten(1)


@pytest.mark.parametrize("outputs", [12, 30, 50])
@pytest.mark.parametrize("scale", [3.0, 30.0])
def test_oni_makes_rows_or_columns_orthonormal_times_its_scale(outputs: int, scale: float) -> None:
    values = torch.linalg.svdvals(kernel(outputs, "oni(steps=25, scale=1.0)", scale))
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-3, rtol=0)


def test_its_scale_multiplies_each_filter() -> None:
    torch.testing.assert_close(kernel(12, "oni"), 2**0.5 * kernel(12, "oni(scale=1.0)"))


def test_few_steps_leave_singular_values_below_one() -> None:
    values = torch.linalg.svdvals(kernel(36, "oni(steps=3, scale=1.0)"))
    assert values.max() < 1
    assert values.min() < 0.5


@pytest.mark.parametrize("defense", ["oni(center=true)", "oni_paper"])
def test_centered_kernels_do_not_see_a_constant(defense: str) -> None:
    assert kernel(12, defense).sum(1).abs().max() < 1e-12
    assert kernel(12, "oni").sum(1).abs().max() > 0.1


def test_centered_columns_come_to_the_projection_that_leaves_out_the_constant() -> None:
    # Each row of the 50 x 36 matrix has mean 0, so its columns span no more than 35 dimensions.
    weight = kernel(50, "oni(steps=40, scale=1.0, center=true)", 30.0)
    expected = torch.eye(36, dtype=torch.float64) - 1 / 36
    torch.testing.assert_close(weight.T @ weight, expected, atol=1e-3, rtol=0)


def test_the_paper_form_is_right_for_few_rows_and_not_for_many() -> None:
    centered = "oni(steps=3, center=true, scale=1.414)"
    torch.testing.assert_close(kernel(12, "oni_paper"), kernel(12, centered))
    values = torch.linalg.svdvals(kernel(50, "oni_paper(steps=3)"))[:-1] / 1.414
    assert not torch.allclose(values, torch.ones_like(values), atol=0.2), "not orthogonal"


def test_the_paper_form_diverges_where_weights_have_grown_and_the_right_one_does_not() -> None:
    wild = torch.linalg.svdvals(kernel(50, "oni_paper", 8.0)[:, :36])
    assert not wild.isfinite().all() or wild.max() > 1e3
    tame = kernel(50, "oni", 8.0)
    assert torch.linalg.matrix_norm(tame, ord=2) < 1.5


def test_only_the_paper_form_lowers_the_learning_rate() -> None:
    from robench.registry import defenses

    assert dict(defenses.get("oni_paper").build.recipe) == {"lr": 0.01}
    assert dict(defenses.get("oni").build.recipe) == {}


def copies(stride: int) -> nn.Conv2d:
    """Return 8 filters that each copy one pixel: orthogonal at any stride."""
    conv = nn.Conv2d(8, 8, 3, stride, 1, bias=False).double()
    nn.init.zeros_(conv.weight)
    with torch.no_grad():
        conv.weight[torch.arange(8), torch.arange(8), 1, 1] = 1
    return conv


class Block(nn.Module):
    """Named as torchvision names the first block of a stage."""

    def __init__(self, conv: nn.Conv2d, shortcut: nn.Conv2d) -> None:
        super().__init__()
        self.layer2 = nn.ModuleDict()
        self.layer2["0"] = nn.ModuleDict({"conv1": conv, "downsample": nn.Sequential(shortcut)})


@pytest.mark.parametrize("stride", [1, 2])
def test_ocnn_is_zero_for_orthogonal_kernels_at_any_stride(stride: int) -> None:
    conv = copies(stride)
    assert Ocnn().penalty(conv) == 0
    random = nn.Conv2d(8, 8, 3, stride, 1).double()
    assert Ocnn().penalty(random) > 0
    torch.testing.assert_close(
        Ocnn(strength=2.0, squared=True).penalty(random),
        2 * Ocnn(strength=1.0).penalty(random) ** 2,
    )


def test_the_paper_form_penalizes_orthogonal_kernels_of_stride_two() -> None:
    shortcut = nn.Conv2d(8, 8, 1, bias=False).double()
    with torch.no_grad():
        shortcut.weight.copy_(torch.eye(8)[:, :, None, None])
    defense = OcnnPaper(strength=1.0)
    assert defense.penalty(Block(copies(1), shortcut)) == 0
    torch.testing.assert_close(
        defense.penalty(Block(copies(2), shortcut)), torch.tensor(8.0, dtype=torch.float64).sqrt()
    )


@pytest.mark.parametrize("defense", [Ocnn(), OcnnPaper()])
def test_the_gradient_at_orthogonal_kernels_is_zero_not_nan(defense: Defense) -> None:
    shortcut = nn.Conv2d(8, 8, 1, bias=False).double()
    with torch.no_grad():
        shortcut.weight.copy_(torch.eye(8)[:, :, None, None])
    model = Block(copies(1), shortcut)
    penalty = defense.penalty(model)
    assert penalty is not None
    penalty.backward()
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in model.parameters())


def test_the_paper_form_takes_the_layers_of_a_resnet18_and_no_other_network() -> None:
    from robench.defenses.ocnn_paper import FIRST_OF_BLOCKS, SHORTCUTS
    from robench.layers.selected import selected_convs

    model = build_model(
        "resnet18", num_classes=10, in_channels=3, image_size=(32, 32), mean=(0.5,), std=(0.5,),
        width=4, defense="ocnn_paper",
    )  # fmt: skip
    assert len(selected_convs(model, SHORTCUTS)) == 3
    assert len(selected_convs(model, FIRST_OF_BLOCKS)) == 8
    with pytest.raises(UserError, match="matches no convolution"):
        OcnnPaper().penalty(nn.Sequential(nn.Conv2d(3, 3, 3)))


def test_minimizing_ocnn_makes_the_operator_orthogonal() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", bias=False).double()
    optimizer = torch.optim.LBFGS(conv.parameters(), max_iter=300, line_search_fn="strong_wolfe")
    defense = Ocnn(strength=1.0, squared=True)

    def closure() -> float:
        optimizer.zero_grad()
        loss = defense.penalty(conv)
        loss.backward()
        return float(loss)

    optimizer.step(closure)
    basis = torch.eye(4 * 36, dtype=torch.float64).view(-1, 4, 6, 6)
    values = torch.linalg.svdvals(conv(basis).flatten(1).detach())
    torch.testing.assert_close(values, torch.ones_like(values), atol=0.05, rtol=0)
