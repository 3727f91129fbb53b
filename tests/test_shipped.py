"""The sources of the suite's entries are listed, so that results of theirs keep their names."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import record_sources

import robench
from robench.registry import REGISTRIES
from robench.shipped import identity_of, is_earlier, is_edited, is_shipped, shipped_sources
from robench.sources import source_hash

ROOT = Path(robench.__file__).resolve().parents[1]
HASH = "0" * 63


def as_installed(folder: Path) -> Path:
    """Copy the suite as it is installed: ``attacks`` and ``defenses`` are inside the package."""
    ignored = shutil.ignore_patterns("__pycache__", "vendor")
    shutil.copytree(ROOT / "robench", folder / "robench", ignore=ignored)
    for name in ("attacks", "defenses"):
        shutil.copytree(ROOT / name, folder / "robench" / name, ignore=ignored)
    return folder / "robench"


def test_every_source_of_the_suite_is_listed() -> None:
    """After an edit of an entry: CONTRIBUTING.md, "Editing an entry"."""
    listed = [entry for entry in record_sources.unlisted() if is_shipped(*entry[:2])]
    assert not listed, (
        "the source of an entry has changed. If its results are the same as before: "
        "'python tests/record_sources.py same NAME'; if they are not: '... changed NAME'."
    )


def test_every_listed_entry_is_there() -> None:
    found = record_sources.suite_sources()
    gone = [
        (kind, name)
        for kind, names in shipped_sources().items()
        for name in names
        if name not in found[kind]
    ]
    assert not gone


def test_the_sources_are_those_of_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = as_installed(tmp_path / "site-packages")
    (package.parent / "numpy").mkdir()
    (package.parent / "numpy" / "__init__.py").write_text("")
    monkeypatch.setattr("robench.sources._ROBENCH", package)
    for registry in REGISTRIES:
        for entry in registry.entries():
            if is_shipped(registry.kind, entry.name) and entry.file.startswith(str(ROOT)):
                file = Path(entry.file).relative_to(ROOT)
                inside = file if file.parts[0] == "robench" else Path("robench") / file
                assert source_hash(package.parent / inside) == entry.source, entry.name


def test_a_source_that_is_not_listed_is_its_own_identity() -> None:
    assert identity_of("defense", "batchnorm", f"{HASH}1") == f"{HASH}1"
    assert identity_of("defense", "mine", f"{HASH}1") == f"{HASH}1"


def test_results_are_of_an_earlier_version_after_a_change_but_not_after_an_edit() -> None:
    sources = shipped_sources()["attack"]
    now = list(sources["autoattack"].values())[-1]
    assert is_earlier("attack", "autoattack", None)  # made of the parts of torchattacks
    assert not is_earlier("attack", "autoattack", now)
    assert not is_earlier("attack", "autoattack", f"{HASH}1")
    assert len(sources["pgd"]) > 1
    assert not is_earlier("attack", "pgd", None)
    assert not is_earlier("attack", "mine", None)


def test_no_entry_of_the_suite_counts_as_edited() -> None:
    for registry in REGISTRIES:
        for name in record_sources.suite_sources()[registry.kind]:
            if name in registry:
                identity = registry.source_identity(name)
                assert not is_edited(registry.kind, name, identity), name
    assert is_edited("attack", "pgd", HASH)


def test_sources_of_one_meaning_have_one_identity() -> None:
    known: dict[str, str | None] = {f"{HASH}1": None}
    known = record_sources.listed_as(known, f"{HASH}2", same=True)
    known = record_sources.listed_as(known, f"{HASH}3", same=False)
    known = record_sources.listed_as(known, f"{HASH}4", same=True)
    assert list(known.values()) == [None, None, f"{HASH}3", f"{HASH}3"]
    assert record_sources.listed_as({}, f"{HASH}1", same=True) == {f"{HASH}1": f"{HASH}1"}


IDENTITIES = """
import json
from robench.registry import REGISTRIES
print(json.dumps({f"{r.kind} {name}": r.source_identity(name) for r in REGISTRIES for name in r}))
"""


def test_an_edit_in_the_folders_of_the_suite_counts_and_a_comment_does_not(tmp_path: Path) -> None:
    package = as_installed(tmp_path)
    for name in (
        "defenses/batchnorm", "attacks/pgd", "attacks/from_foolbox", "datasets/digits",
        "training/methods/free", "checks/entries/gradients", "backbones/vgg",
    ):  # fmt: skip
        file = package / f"{name}.py"
        file.write_text(f"{file.read_text()}\nEDITED = True\n")
    file = package / "defenses" / "aol.py"
    file.write_text(f"# a comment\n{file.read_text()}")
    mine = (package / "defenses" / "vanilla.py").read_text().replace('"vanilla"', '"mine"')
    (package / "defenses" / "mine.py").write_text(f"from .helper import x\n{mine}")
    (package / "defenses" / "helper.py").write_text("x = 1\n")
    code = f"{IDENTITIES}\nprint(REGISTRIES[1].source_identity('foolbox:PGD'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    before = {f"{r.kind} {name}": r.source_identity(name) for r in REGISTRIES for name in r}
    after = json.loads(lines[0])
    changed = {name for name, identity in after.items() if identity != before.get(name)}
    assert changed == {
        "defense batchnorm",
        "defense mine",
        "attack pgd",
        "data set digits",
        "backbone vgg16",
        "check gradients",
        "training method free",
    }
    assert lines[1] != "None"
