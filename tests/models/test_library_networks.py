"""Networks of torchvision that it builds otherwise where it loads its own weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from robench.board.board import Board
from robench.data import DataSet
from robench.data.images import Images
from robench.expressions import parse_expression
from robench.models.external import ExternalOptions, build_external, load_external
from robench.models.library_networks import as_built
from robench.models.normalization import IDENTITY, Normalization
from robench.runs.external_row import load_own, rebuild

pytestmark = pytest.mark.filterwarnings("ignore:The default weight initialization")

NAME = "torchvision:googlenet"
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def quick_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: Callable[..., Tensor] = lambda values, **_: values  # noqa: E731
    monkeypatch.setattr(nn.init, "trunc_normal_", kept)  # takes seconds


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of weights that torchvision downloads."""
    torch.manual_seed(0)
    state = models.googlenet(weights=None, init_weights=False).state_dict()
    torch.save(state, tmp_path / "w.pt")
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: state)
    return tmp_path / "w.pt"


def dataset() -> DataSet:
    images = Images((255 * IMAGES).byte(), torch.arange(2))
    return DataSet("few", images, images, (), (0.5,) * 3, (0.2,) * 3)


def test_a_file_of_torchvisions_weights_computes_what_the_downloaded_ones_do(weights: Path) -> None:
    downloaded, of_file = load_external(NAME), load_external(NAME, weights)
    assert torch.equal(of_file.module(IMAGES), downloaded.module(IMAGES))
    assert of_file.notes == downloaded.notes
    assert "with transform_input=True" in of_file.notes[0]
    trained_without = load_external(f"{NAME}(transform_input=false)", weights)
    assert not torch.allclose(trained_without.module(IMAGES), of_file.module(IMAGES))
    assert "transform_input" not in trained_without.notes[0].partition(": images")[2]
    bare = load_external(NAME, weights, ExternalOptions(IDENTITY)).module.get_submodule("net")
    assert not bare.transform_input


@pytest.mark.parametrize("given", [None, IDENTITY])
@pytest.mark.parametrize("of_file", [False, True])
def test_a_row_is_rebuilt_as_it_was_loaded(
    given: Normalization | None, of_file: bool, weights: Path, tmp_path: Path
) -> None:
    board, few = Board(title="t", defenses=("vanilla",)), dataset()
    options = ExternalOptions(given)
    cell, external, content = load_own(NAME, weights if of_file else None, board, few, options)
    (tmp_path / "w.safetensors").write_bytes(content)
    again = rebuild(cell, tmp_path / "w.safetensors", tmp_path, few)
    assert torch.equal(again(IMAGES), external.module(IMAGES))


def test_inception_v3_is_such_a_network_and_others_keep_their_names() -> None:
    with torch.device("meta"):
        call = parse_expression("inception_v3(num_classes=3)")
        net = build_external(f"torchvision:{call}").get_submodule("net")
        assert str(as_built(call, net)) == "inception_v3(num_classes=3, transform_input=True)"
        other = parse_expression("squeezenet1_1(num_classes=3)")
        assert as_built(other, models.squeezenet1_1(num_classes=3)) == other
