"""Third-party models: built, loaded without executing code in a file, or refused."""

import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from robench.errors import UserError
from robench.models.external import load_external, load_third_party_weights

SOURCE = """
import torch
from torch import nn

def build():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))

ready = build()

def number():
    return 7

def broken():
    raise ValueError("no such thing")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_model.py").write_text(SOURCE)
    return tmp_path


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def theirs() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


@pytest.mark.parametrize("name", ["their_model:build", "their_model.py:build",
                                  "their_model.py:ready"])  # fmt: skip
def test_a_function_or_object_of_a_module_or_file(name: str, folder: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = load_external(name)
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
    assert model(torch.rand(2, 3, 4, 4)).shape == (2, 2)


@pytest.mark.parametrize("ending", ["safetensors", "pt", "pth", "th"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_weights_in_every_usual_wrapping(
    ending: str, prefix: str, key: str | None, folder: Path
) -> None:
    source = theirs()
    state = {prefix + name: tensor for name, tensor in source.state_dict().items()}
    file = folder / f"weights.{ending}"
    if ending == "safetensors":
        safetensors.torch.save_file(state, file)
    else:
        torch.save({key: state, "epoch": 3, "name": "x"} if key else state, file)
    model = load_external("their_model:build", file)
    assert same(model, source)


def test_old_checkpoints_lack_the_counters_of_batch_norms(folder: Path) -> None:
    state = {k: v for k, v in theirs().state_dict().items() if "num_batches" not in k}
    torch.save(state, folder / "old.pt")
    load_third_party_weights(folder / "old.pt", theirs())


class Harmful:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("open('harm', 'w').close()",))


def test_a_pickle_is_refused_and_not_executed(folder: Path) -> None:
    torch.save({"state_dict": theirs().state_dict(), "extra": Harmful()}, folder / "evil.pt")
    (folder / "plain.pt").write_bytes(pickle.dumps(Harmful()))
    torch.save(theirs(), folder / "whole.pt")
    for name in ("evil.pt", "plain.pt", "whole.pt"):
        with pytest.raises(UserError, match=r"\.pt (holds Python objects|is not a complete file)"):
            load_third_party_weights(folder / name, theirs())
    assert not (folder / "harm").exists()


def test_weights_that_do_not_fit_are_reported_by_a_tensor(folder: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), folder / "other.pt")
    with pytest.raises(UserError, match=r"weights of another model: '0.weight' is missing"):
        load_third_party_weights(folder / "other.pt", theirs())
    torch.save([1, 2], folder / "list.pt")
    with pytest.raises(UserError, match="holds a list, not a state dict of tensors"):
        load_third_party_weights(folder / "list.pt", theirs())
    (folder / "cut.pt").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UserError, match=r"cut.pt is not a complete file of torch.save"):
        load_third_party_weights(folder / "cut.pt", theirs())
    with pytest.raises(UserError, match="no weights file found"):
        load_third_party_weights(folder / "none.pt", theirs())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("resnet18", "write timm:NAME, torchvision:NAME"),
        ("torchvision:resnt18", "torchvision has no model 'resnt18'; did you mean 'resnet18'"),
        ("torchvision:resnet18(layers=3)", r"torchvision:resnet18\(layers=3\) cannot be built"),
        ("their_model:buidl", "their_model has no 'buidl'; did you mean 'build'"),
        ("their_model:number", "returns a int; a torch.nn.Module is needed"),
        ("their_model:broken", r"cannot be built \(ValueError: no such thing\)"),
        ("no_such_module:build", "no Python module 'no_such_module'"),
        ("no_such.py:build", "no model file found at no_such.py"),
    ],
)
def test_what_is_not_there_is_reported_in_a_sentence(
    name: str, sentence: str, folder: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        load_external(name)


def test_torchvision_gets_its_mean_and_std(folder: Path) -> None:
    source = load_external("torchvision:resnet18(weights=None, num_classes=2)")
    assert torch.allclose(source.get_submodule("normalize").mean.flatten(),  # type: ignore[union-attr, arg-type]
                          torch.tensor([0.485, 0.456, 0.406]))  # fmt: skip
    torch.save(source.get_submodule("net").state_dict(), folder / "w.pt")
    model = load_external("torchvision:resnet18(num_classes=2)", folder / "w.pt")
    assert same(model, source)


def test_timm_gets_its_mean_and_std() -> None:
    pytest.importorskip("timm")
    model = load_external("timm:resnet10t(pretrained=false, num_classes=3)")
    assert model(torch.rand(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(UserError, match="timm has no model 'resnet10x'; did you mean"):
        load_external("timm:resnet10x")
