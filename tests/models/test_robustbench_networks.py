"""Networks of RobustBench, through a package of its interface: names, weights, and safe reading."""

import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from robench.errors import UserError
from robench.models.external import load_external
from robench.models.robustbench_networks import ANYTHING, TENSORS_ONLY

PACKAGE = {
    "__init__.py": "from autoattack.state import EvaluationState",
    "model_zoo.py": """
from enum import Enum
from torch import nn

class BenchmarkDataset(Enum):
    cifar_10 = "cifar10"

class ThreatModel(Enum):
    Linf = "Linf"
    L2 = "L2"

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 10))

model_dicts = {BenchmarkDataset.cifar_10: {
    ThreatModel.Linf: {"Someone2020Robust": {"model": build, "gdrive_id": "1"}},
    ThreatModel.L2: {},
}}
""",
    "utils.py": """
from pathlib import Path
import torch
from robustbench.model_zoo import BenchmarkDataset, ThreatModel, model_dicts

def load_model(model_name, model_dir, dataset, threat_model):
    folder = Path(model_dir) / dataset / threat_model
    if not folder.is_dir():
        print("Downloading ...")
        raise OSError("the download failed")
    # As its old releases call it, from before torch read tensors only.
    state = torch.load(folder / f"{model_name}.pt", map_location="cpu", weights_only=False)
    entry = model_dicts[BenchmarkDataset(dataset)][ThreatModel(threat_model)][model_name]
    model = entry["model"]()
    model.load_state_dict(state)
    return model.eval()
""",
}
NAME = "robustbench:cifar10/Linf/Someone2020Robust"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package keeps its files; the package itself is new in each test."""
    (tmp_path / "robustbench").mkdir()
    (tmp_path / "autoattack.py").write_text("raise ImportError('a script of that name')")
    (tmp_path / "pyautoattack").mkdir()
    (tmp_path / "pyautoattack" / "__init__.py").touch()
    (tmp_path / "pyautoattack" / "state.py").write_text("EvaluationState = 1")
    for file, text in PACKAGE.items():
        (tmp_path / "robustbench" / file).write_text(text)
    own = ("robustbench", "pyautoattack")
    for module in [name for name in sys.modules if name.split(".")[0] in own]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    cache = tmp_path / "cache"
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: cache)
    yield cache
    for module in [name for name in sys.modules if name.split(".")[0] in own]:
        del sys.modules[module]


def kept(cache: Path) -> Path:
    file = cache / "robustbench" / "cifar10" / "Linf" / "Someone2020Robust.pt"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 10))


def test_a_network_comes_with_its_weights_and_nothing_before_it(cache: Path) -> None:
    wanted, x = network(), torch.rand(2, 3, 4, 4)
    torch.save(wanted.state_dict(), kept(cache))
    found = load_external(NAME)
    assert torch.equal(found.module(x), wanted(x))
    assert found.normalization.is_identity


def test_weights_of_one_s_own_are_taken_without_a_download(cache: Path, tmp_path: Path) -> None:
    wanted, x = network(), torch.rand(2, 3, 4, 4)
    state = {f"module.{name}": value for name, value in wanted.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "mine.pt")
    assert torch.equal(load_external(NAME, tmp_path / "mine.pt").module(x), wanted(x))


class Attack:
    """Leaves a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.file),)


def test_code_in_a_file_is_not_executed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ANYTHING, "1")
    torch.save({"weight": Attack(tmp_path / "harm")}, kept(cache))
    with pytest.raises(UserError, match="cannot be loaded"):
        load_external(NAME)
    assert not (tmp_path / "harm").exists()
    assert os.environ[ANYTHING] == "1"
    assert TENSORS_ONLY not in os.environ


def test_a_failed_download_says_what_to_do(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"the download failed.*with --checkpoint"):
        load_external(NAME)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("robustbench:Someone2020Robust", "not of the form robustbench:DATASET/THREAT/NAME"),
        ("robustbench:cifar100/Linf/A", "no data set 'cifar100'; did you mean 'cifar10'"),
        ("robustbench:cifar10/linf/A", "no threat model 'linf'; did you mean 'Linf'"),
        ("robustbench:cifar10/Linf/Someone2021Robust", "did you mean 'Someone2020Robust'"),
    ],
)
def test_unknown_names_get_the_nearest_one(cache: Path, name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_external(name)


def test_without_the_package_a_sentence_says_how_to_get_it(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "robustbench" / "model_zoo.py").write_text("import pkg_resources_of_old")
    with pytest.raises(UserError, match=r"RobustBench cannot be imported.*pip install robustbench"):
        load_external(NAME)
