"""``robench new``: the files of a new entry."""

import ast
from pathlib import Path

import pytest

import robench
from robench.commands.kinds import NEW_KINDS
from robench.commands.new import write_entry
from robench.errors import UserError

FOLDERS = {
    "defense": "defenses",
    "attack": "attacks",
    "dataset": "robench/datasets",
    "backbone": "robench/backbones",
    "check": "robench/checks/entries",
}


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_an_entry_and_its_test_are_written_and_are_valid_python(kind: str, tmp_path: Path) -> None:
    (tmp_path / FOLDERS[kind]).mkdir(parents=True)  # as in a checkout of the suite
    paths = write_entry(kind, "my_idea", tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in paths] == [
        f"{FOLDERS[kind]}/my_idea.py",
        f"tests/{kind}s/test_my_idea_{kind}.py",
    ]
    for path in paths:
        compile(path.read_text(), str(path), "exec")
        assert "$" not in path.read_text()
        assert "MyIdea" in path.read_text() or "my_idea" in path.read_text()


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_outside_of_a_checkout_no_folder_is_made_that_hides_the_package(
    kind: str, tmp_path: Path
) -> None:
    entry, test = write_entry(kind, "my_idea", tmp_path)
    assert entry == tmp_path / f"{kind}s" / "my_idea.py"
    assert f'parents[2] / "{kind}s/my_idea.py"' in test.read_text()


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("defense", "convnorm", r"'convnorm' already exists in .*convnorm\.py"),
        ("dataset", "digits", r"'digits' already exists in .*digits\.py"),
        ("backbone", "vgg16", r"'vgg16' already exists in .*vgg\.py"),
        ("defense", "My Norm", "cannot name a defense"),
        ("defense", "../evil", "cannot name a defense"),
        ("defense", "", "cannot name a defense"),
        ("dataset", "My Set", "cannot name a data set"),
    ],
)
def test_a_name_that_is_taken_or_not_valid_is_refused_before_anything_is_written(
    tmp_path: Path, kind: str, name: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        write_entry(kind, name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_an_entry_and_its_test_import_nothing_but_the_public_names(
    kind: str, tmp_path: Path
) -> None:
    for path in write_entry(kind, "my_idea", tmp_path):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("robench"):
                assert node.module == "robench"
                assert {alias.name for alias in node.names} <= set(robench.__all__)
