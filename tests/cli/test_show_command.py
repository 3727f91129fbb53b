"""``robench show`` rejects bad input in one sentence."""

from pathlib import Path

import pytest
from support import Command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "show.gif"], "gif"),
        (["nowhere"], "no checkpoint found at nowhere"),
        ([], "give either a checkpoint"),
    ],
)
def test_what_cannot_be_drawn_is_reported_before_any_work(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = robench("show", *arguments)
    assert done.code == 2
    assert message in done.err
    assert not list(tmp_path.iterdir())
