"""Third-party models: built, loaded without executing code in a file, or refused."""

import pickle
import py_compile
import sys
import types
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from robench import evaluate
from robench.data import load_dataset
from robench.errors import UserError
from robench.models.data_fit import check_fit
from robench.models.external import ExternalOptions, load_external, split_name
from robench.models.frozen import in_eval_mode
from robench.models.normalization import IDENTITY, Normalization
from robench.models.third_party_weights import load_third_party_weights

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
    model = load_external(name).module
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
    assert model(torch.rand(2, 3, 4, 4)).shape == (2, 2)


def test_a_module_that_adds_folders_of_its_own_leaves_the_current_one_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", sys.path.copy())
    before = sys.path.copy()
    lines = ("import sys", "sys.path.insert(0, '/their/folder')", "from their_model import build")
    (folder / "adds_folders.py").write_text("\n".join(lines))
    load_external("adds_folders:build")
    assert sys.path == ["/their/folder", *before]


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
    model = load_external("their_model:build", file).module
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
        (
            "their_model:broken",
            r"cannot be built \(ValueError: no such thing, in .*model.py, line 15\)",
        ),
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
    source = load_external("torchvision:resnet18(weights=None, num_classes=2)").module
    assert torch.allclose(source.get_submodule("normalize").mean.flatten(),  # type: ignore[union-attr, arg-type]
                          torch.tensor([0.485, 0.456, 0.406]))  # fmt: skip
    torch.save(source.get_submodule("net").state_dict(), folder / "w.pt")
    model = load_external("torchvision:resnet18(num_classes=2)", folder / "w.pt").module
    assert same(model, source)


def test_timm_gets_its_mean_and_std() -> None:
    pytest.importorskip("timm")
    model = load_external("timm:resnet10t(pretrained=false, num_classes=3)").module
    assert model(torch.rand(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(UserError, match="timm has no model 'resnet10x'; did you mean"):
        load_external("timm:resnet10x")


@pytest.mark.parametrize(
    ("name", "halves"),
    [
        (r"C:\nets.py:build", (r"C:\nets.py", "build")),
        ("folder/nets.py:build", ("folder/nets.py", "build")),
        ("package.module:build", ("package.module", "build")),
        ("timm:resnet18(a='x:y')", ("timm", "resnet18(a='x:y')")),
    ],
)
def test_a_name_is_split_where_its_file_or_library_ends(name: str, halves: tuple[str, str]) -> None:
    assert split_name(name) == halves


@pytest.mark.parametrize("name", [r"C:\nets.py", "nets.py", "nets.py:", ":build", "timm:"])
def test_a_name_without_a_function_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"write timm:NAME, .* or FILE.py:function"):
        split_name(name)


def test_what_is_put_before_a_network_is_said(folder: Path) -> None:
    own = load_external("their_model:build")
    assert own.notes == (
        "their_model:build: nothing is put before the network: it gets images in [0, 1]; "
        "--normalize NAME or --mean and --std change that.",
    )
    library = load_external("torchvision:resnet18(weights=None, num_classes=2)")
    assert "normalized with mean 0.485, 0.456, 0.406 and std 0.229" in library.notes[0]
    assert "(torchvision's weights)" in library.notes[0]


def test_a_normalization_of_ones_own_replaces_the_librarys(folder: Path) -> None:
    images = torch.rand(2, 3, 32, 32)
    torch.manual_seed(0)
    usual = load_external("torchvision:resnet18(weights=None, num_classes=2)").module
    bare = usual.get_submodule("net")
    name = "torchvision:resnet18(num_classes=2)"
    torch.save(bare.state_dict(), folder / "w.pt")
    none = load_external(name, folder / "w.pt", ExternalOptions(IDENTITY))
    assert torch.equal(none.module(images), bare(images))
    assert none.notes[0] == f"{name}: nothing is put before the network: it gets images in [0, 1]."
    given = ExternalOptions(Normalization((0.5, 0.4, 0.3), (0.1, 0.2, 0.3), "--mean and --std"))
    own = load_external(name, folder / "w.pt", given).module
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.1, 0.2, 0.3])
    normalized = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert torch.equal(own(images), bare(normalized))
    assert list(own.state_dict()) == list(none.module.state_dict()) == list(usual.state_dict())


def test_a_normalization_of_other_images_is_refused(folder: Path) -> None:
    given = ExternalOptions(Normalization((0.5,) * 3, (0.1,) * 3))
    (folder / "gray.py").write_text(
        "from torch import nn\ndef build(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))"
    )
    model = load_external("gray.py:build", None, given).module
    with pytest.raises(UserError, match="before it have 3 channels, but the images have 1: give"):
        check_fit(model, "gray.py:build", load_dataset("digits"))


def test_a_library_that_adapts_a_network_to_gray_images_gets_the_average(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in for timm, whose configuration has three channels whatever ``in_chans`` is."""
    config = {"mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3)}
    timm, data = types.ModuleType("timm"), types.ModuleType("timm.data")
    vars(timm).update(
        list_models=lambda: ["net"],
        create_model=lambda name, pretrained, in_chans=3: nn.Conv2d(in_chans, 2, 1),
    )
    vars(data).update(resolve_model_data_config=lambda model: config)
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.data", data)
    gray = load_external("timm:net(in_chans=1)")
    assert gray.module(torch.rand(1, 1, 4, 4)).shape == (1, 2, 4, 4)
    assert gray.normalization.mean == pytest.approx((0.5,))
    assert "timm's configuration, averaged over its channels" in gray.notes[0]
    assert load_external("timm:net").normalization.mean == (0.4, 0.5, 0.6)


def test_a_file_imports_what_is_beside_it_and_what_runs_is_what_can_be_read(folder: Path) -> None:
    (folder / "sizes.py").write_text("CLASSES = 3\n")
    text = (
        "from torch.nn import Linear\nfrom sizes import CLASSES\n"
        "def build():\n    return Linear(4, CLASSES)\n"
    )
    (folder / "small.py").write_text(text)
    compiled = folder / "forged.py"
    compiled.write_text(text.replace("CLASSES)", "9)"))
    forged = py_compile.compile(
        str(compiled), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    assert forged is not None
    Path(forged).rename(Path(forged).with_name(Path(forged).name.replace("forged", "small")))
    assert load_external("small.py:build").module.out_features == 3
    (folder / "sizes.py").write_text("CLASSES = 5\n")
    assert load_external("small.py:build").module.out_features == 5


EXPORTED = """
import torch
from torch import nn

def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(10))

def build():
    network, images = plain().eval(), torch.rand(4, 1, 6, 6)
    network(images)
    batch = torch.export.Dim("batch", min=1, max=1024)
    return torch.export.export(network, (images,), dynamic_shapes=({0: batch},)).module()
"""


def test_a_program_of_torch_export_is_attacked_as_its_network_is(tmp_path: Path) -> None:
    file = tmp_path / "exported_net.py"
    file.write_text(EXPORTED)
    program, network = (load_external(f"{file}:{name}").module for name in ("build", "plain"))
    torch.manual_seed(0)
    images, labels = torch.rand(12, 1, 6, 6), torch.arange(12) % 10
    network(images)
    network.load_state_dict(program.state_dict())
    of_program, of_network = (
        evaluate(model, images, labels, ["pgd(steps=3)"], without=("bf16",))
        for model in (program, network)
    )
    assert of_program.accuracy("pgd(steps=3)") == of_network.accuracy("pgd(steps=3)")
    put_before = nn.Sequential(program, nn.Dropout())
    assert not in_eval_mode(put_before)[1].training
