"""Fixtures of all tests."""

import copy
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
import torch
from hub_server import TOKEN, Hub, running_hub
from order import LONGEST_FIRST
from safe_convolutions import safe_convolutions
from support import TINY_BOARD, Command, Finished, exit_code, few_queries
from torch import Tensor, nn

from robench.data import load_dataset
from robench.plugins import registrations_undone
from robench.registry import REGISTRIES, plugin_files


def pytest_xdist_auto_num_workers() -> int:
    """Use a worker more than there are cores, since some tests wait for processes they start."""
    return 1 + joblib.cpu_count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)  # the nets of the tests are too small for more


@pytest.fixture(autouse=True, scope="session")
def _no_crash_of_torch() -> Iterator[None]:
    with safe_convolutions():
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)  # a test that draws weights has the same ones everywhere, in any order


@pytest.fixture
def tiny_board(tmp_path: Path) -> Path:
    """A board that trains and attacks in seconds."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "board.toml").write_text(TINY_BOARD)
    return folder


@pytest.fixture
def robench(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line, in this process: ``robench("run", "quick")``."""

    def command(*arguments: object) -> Finished:
        capsys.readouterr()
        code = exit_code(*arguments)
        printed = capsys.readouterr()
        return Finished(code, printed.out, printed.err)

    return command


@pytest.fixture(name="few_queries")
def _few_queries() -> Iterator[None]:
    with few_queries():
        yield


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hugging Face hub on this machine, a token that may write to it, and an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants")
    files = pytest.importorskip("huggingface_hub.file_download")
    with running_hub() as hub:
        form = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        for module in (constants, files):  # before its version 1, the latter had a copy
            monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", form, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture
def digits_net(_trained_on_digits: nn.Module) -> nn.Module:
    """A CNN with BatchNorm, trained on digits; in eval mode, a copy for each test."""
    return copy.deepcopy(_trained_on_digits)


@pytest.fixture(scope="session")
def _trained_on_digits() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(256, 10),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        train = load_dataset("digits").train
        for epoch in range(8):
            generator = torch.Generator().manual_seed(epoch)
            for images, labels in train.batches(64, generator=generator):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images), labels).backward()
                optimizer.step()
    return model.eval()


@pytest.fixture(scope="session")
def digits_test(_trained_on_digits: nn.Module) -> tuple[Tensor, Tensor]:
    """100 test digits that the network gets right."""
    images, labels = next(load_dataset("digits").test.batches(359))
    right = _trained_on_digits(images).argmax(1) == labels
    assert right.float().mean() > 0.9
    return images[right][:100], labels[right][:100]


@pytest.fixture(autouse=True)
def _registers_nothing_for_others() -> Iterator[None]:
    """Take out what a test registers, so that no other test meets it."""
    with registrations_undone():
        yield


@pytest.fixture
def only_the_suite() -> Iterator[None]:
    """Take out what other tests have registered in this process: it would travel, too."""
    files = set(plugin_files)
    with registrations_undone():
        for registry in REGISTRIES:
            for entry in registry.entries():
                if not entry.build.__module__.startswith("robench."):
                    registry.forget(Path(entry.file))
        plugin_files.clear()
        yield
    plugin_files.update(files)
