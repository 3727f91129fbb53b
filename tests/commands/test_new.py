"""``robench new``: files of a new entry."""

from pathlib import Path

import pytest

from robench.commands.new import write_entry
from robench.errors import UserError


@pytest.mark.parametrize("kind", ["defense", "attack"])
def test_an_entry_and_its_test_are_written_and_are_valid_python(kind: str, tmp_path: Path) -> None:
    paths = write_entry(kind, "my_idea", tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in paths] == [
        f"{kind}s/my_idea.py",
        f"tests/{kind}s/test_my_idea.py",
    ]
    for path in paths:
        compile(path.read_text(), str(path), "exec")
        assert "$" not in path.read_text()
        assert "MyIdea" in path.read_text() or "my_idea" in path.read_text()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("convnorm", r"'convnorm' exists in .*convnorm\.py"),
        ("My Norm", "cannot name a defense"),
        ("../evil", "cannot name a defense"),
        ("", "cannot name a defense"),
    ],
)
def test_a_name_that_is_taken_or_none_is_refused_before_anything_is_written(
    tmp_path: Path, name: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        write_entry("defense", name, tmp_path)
    assert not list(tmp_path.iterdir())
