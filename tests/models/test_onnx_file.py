"""ONNX files: other programs read them, and they predict what the network predicts."""

import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.backbones.lipschitz_convnet import lipschitz_convnet
from robench.errors import UserError
from robench.models.build import Normalize
from robench.models.defend import apply_defense
from robench.models.onnx_file import OPSET, onnx_file

SHAPE = (1, 4, 4)


def images(count: int = 8) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))


def network(defense: str) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    return nn.Sequential(Normalize((0.4,), (0.3,)), apply_defense(body, defense)).eval()


def answers(content: bytes, x: Tensor) -> Tensor:
    """Return what onnxruntime computes, one image at a time."""
    session = pytest.importorskip("onnxruntime").InferenceSession(content)
    return torch.cat([torch.tensor(session.run(["Y"], {"X": i.numpy()})[0]) for i in x.split(1)])


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)


@pytest.mark.parametrize(
    "defense", ["batchnorm", "cayley", "convnorm", "orthogonal", "weight_norm"]
)
def test_onnxruntime_computes_the_logits_of_the_network(defense: str) -> None:
    model, x = network(defense), images()
    torch.testing.assert_close(answers(onnx_file(model, SHAPE), x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("defense", ["cayley(bn=False)", "sll"])
def test_a_network_of_layers_of_norm_one_is_exported(defense: str) -> None:
    torch.manual_seed(0)
    model = apply_defense(lipschitz_convnet(3, 1, 4, blocks=1, depth=1), defense).eval()
    x = images()
    torch.testing.assert_close(answers(onnx_file(model, SHAPE), x), model(x), rtol=1e-4, atol=1e-5)


def test_it_has_one_image_and_no_transform() -> None:
    import onnx

    file = onnx.load_from_string(onnx_file(network("cayley"), SHAPE))
    onnx.checker.check_model(file)
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*file.graph.input, *file.graph.output)
    }
    assert shapes == {"X": [1, 1, 4, 4], "Y": [1, 3]}
    assert file.opset_import[0].version == OPSET
    assert not {node.op_type for node in file.graph.node} & {"DFT", "STFT"}


def test_the_model_is_left_as_it_was() -> None:
    model = network("cayley").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    onnx_file(model, SHAPE)
    assert model.training
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


class Elsewhere(nn.Module):
    """Computes in numpy, which torch cannot follow."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(np.sort(x.detach().numpy(), 3))


class Transformed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft2(x, s=(4, 6)).abs()


@pytest.mark.parametrize("layer", [Elsewhere(), Transformed()])
def test_a_layer_that_cannot_be_exported_is_named(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Identity(), layer, nn.Flatten(), nn.Linear(16, 3))
    named = f"layer '1', a {type(layer).__name__}, cannot be exported to ONNX"
    with pytest.raises(UserError, match=named):
        onnx_file(model, SHAPE)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"the package onnxscript: pip install 'robench\[vnnlib\]'"):
        onnx_file(network("batchnorm"), SHAPE)
