"""A published cell is held against the sources that are here, by the rules of its version."""

import ast
import hashlib
import platform
from pathlib import Path

import pytest
from pydantic import ValidationError

from robench.board.cells import Cell
from robench.board.sources import entries_of, sources_of
from robench.board.specs import DataSpec, ModelSpec, TrainingSpec
from robench.leaderboard.sources import other_attack, other_source
from robench.plugins import load_plugin
from robench.registry import backbones, datasets, plugin_files

PLUGIN = '''
from robench import register_backbone, register_dataset

@register_backbone("own_net", reference="me")
def own_net(num_classes, in_channels, width, stem):
    """A network."""

@register_dataset("own_data", reference="me")
def own_data(data_dir):
    """Images."""
'''
HERE = platform.python_version()
HASH = "0" * 64


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(PLUGIN)
    load_plugin(path)
    return path


def cell(**changes: object) -> Cell:
    values: dict[str, object] = {
        "defense": "batchnorm",
        "data": DataSpec(name="own_data"),
        "data_hash": "h",
        "model": ModelSpec(name="own_net"),
        "training": TrainingSpec(),
        "seed": 0,
    }
    return Cell.model_validate(values | changes)


def problem(done: Cell, python: str = HERE) -> str | None:
    entries = entries_of("batchnorm(momentum=0.1)", "free(replays=2)", "own_net", "own_data")
    return other_source(done, entries, python)


def hash_of_version_1(path: Path) -> str:
    code = ast.dump(ast.parse(path.read_text()))
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def edit(path: Path) -> None:
    path.write_text(path.read_text() + "\nEDITED = True\n")
    load_plugin(path)


def test_version_2_names_the_entry_whose_source_is_another(plugin: Path) -> None:
    done = cell(sources=sources_of(entries_of("", "", "own_net", "own_data")), version=2)
    assert list(done.sources) == ["backbone own_net", "data set own_data"]
    assert problem(done) is None
    edit(plugin)
    sentence = "the source of the backbone 'own_net' is not the one that it was trained with."
    assert problem(done) == sentence
    del datasets._entries["own_data"], backbones._entries["own_net"]
    assert problem(done) is None  # not loaded: not known


def test_version_2_with_a_source_where_the_suite_is_as_shipped_here(plugin: Path) -> None:
    own = sources_of(entries_of("", "", "own_net", "own_data"))
    done = cell(sources=own | {"defense batchnorm": HASH}, version=2)
    assert "the source of the defense 'batchnorm' is not the one" in str(problem(done))


def test_version_1_is_held_against_the_hash_of_version_1(plugin: Path) -> None:
    done = cell(plugin_hash=hash_of_version_1(plugin))
    assert problem(done) is None
    assert "plugin files" in str(problem(cell()))
    assert "plugin files" in str(problem(cell(plugin_hash="0" * 16)))
    edit(plugin)
    assert "plugin files of its defense 'batchnorm', training method 'free', backbone" in str(
        problem(done)
    )


def test_the_hash_of_version_1_is_not_compared_where_it_is_not_known(plugin: Path) -> None:
    done = cell(plugin_hash="0" * 16)
    assert problem(done) is not None
    assert problem(done, python="3.10.1") is None
    assert problem(done, python="") is None
    del backbones._entries["own_net"]
    assert problem(done) is None


def test_version_1_does_not_know_the_source_of_an_entry_that_is_no_plugin(plugin: Path) -> None:
    plugin_files.clear()  # as an entry of an installed package, or a new file in defenses/
    assert problem(cell()) is None


def test_version_1_means_the_suite_as_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = entries_of("batchnorm", "free", "resnet18", "mnist5k")
    assert other_source(cell(), entries, HERE) is None
    monkeypatch.setattr("robench.registry.identity_of", lambda kind, name, source: source)
    assert "source of the backbone 'resnet18'" in str(other_source(cell(), entries, HERE))


@pytest.mark.parametrize("version", [0, 2, 3])
def test_another_version_without_sources_is_refused(version: int) -> None:
    entries = entries_of("batchnorm", "free", "resnet18", "mnist5k")
    assert f"version {version}" in str(other_source(cell(version=version), entries, HERE))


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": {"defense mine": HASH}},
        {"sources": {"defense mine": HASH}, "version": 2, "plugin_hash": "p"},
        {"sources": {"defense mine": "short"}, "version": 2},
        {"sources": {"attack mine": HASH}, "version": 2},
        {"sources": {"defense ../x": HASH}, "version": 2},
    ],
)
def test_malformed_sources_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        cell(**changes)


def test_sources_are_part_of_the_key_and_absent_ones_leave_no_trace() -> None:
    assert "sources" not in cell().model_dump(mode="json")
    one = cell(sources={"defense mine": HASH}, version=2)
    assert one.key != cell().key
    assert Cell.model_validate(one.model_dump(mode="json")).key == one.key


def test_a_folder_of_images_is_no_entry() -> None:
    assert list(entries_of("batchnorm", "", "", "image_folder:/my images/x")) == [
        "defense batchnorm"
    ]


@pytest.mark.parametrize(
    ("column", "published", "other"),
    [
        ("pgd-20", None, False),
        ("torchattacks:PGD(steps=2)", None, False),
        ("pgd-20", HASH, True),
        ("torchattacks:PGD(steps=2)", HASH, True),
        ("an_attack_that_is_not_loaded", HASH, False),
        ("-" * 5000, HASH, False),
    ],
)
def test_an_attack_of_the_suite_has_no_other_source(
    column: str, published: str | None, other: bool
) -> None:
    assert other_attack(column, published) == other
