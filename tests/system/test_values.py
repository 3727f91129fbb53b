"""JSON and TOML of strangers: shallow, unique keys, text and numbers that everything takes."""

from pathlib import Path

import pytest

from robench.errors import UserError
from robench.system.json_files import depth_of, parse_json, read_json
from robench.system.toml_files import parse_toml


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "more than 16 levels"),
        ('{"a":' * 17 + "1" + "}" * 17, "more than 16 levels"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' twice"),
        ('["\\ud800"]', "not valid Unicode"),
        ('{"a\\u0000": 1}', "has a NUL"),
        ("[NaN]", "not a finite number"),
        ("[1e999]", "not a finite number"),
        ("[-1e101]", "-1e\\+101 is too large a number"),
        ("[9223372036854775808]", "64 bits"),
        ("[1" + "0" * 400 + "]", "401 digits"),
        ("[" + "9" * 5000 + "]", "5000 digits"),
        ("\udcff", "utf-8"),
        ("{", "Expecting"),
    ],
)
def test_json_that_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    content = text.encode(errors="surrogateescape")
    with pytest.raises(ValueError, match=reason):
        parse_json(content)
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is damaged: it is not JSON \(.*restore it"):
        read_json(tmp_path / "a.json")


def test_json_that_is_read() -> None:
    text = b'{"a": [1, -1.5, 1e100, 9223372036854775807, null, true, "\\ud83d\\ude00 [[[{"]}'
    assert parse_json(text)["a"][2:4] == [1e100, 2**63 - 1]
    assert parse_json(b"[" * 16 + b"]" * 16)


def test_brackets_within_text_are_not_nested() -> None:
    assert depth_of(rb'{"a": "[[[\"[["}') == 1
    assert depth_of(b'"' + b"\\\\" * 10**6 + b'"') == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = " + "[" * 3000 + "]" * 3000, "more than 16 levels"),
        ("a." * 5000 + "b = 1", "more than 16 levels"),
        ("[" + "a." * 20 + "b]", "more than 16 levels"),
        ("x = " + "9" * 5000, "limit"),
        ("x = 0x" + "f" * 99, "64 bits|396 bits"),
        ("x = inf", "not a finite number"),
        ("x = 1e308", "too large a number"),
        ("x = [1", "line 1|end of document"),
    ],
)
def test_toml_that_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_toml(text)


def test_toml_that_is_read() -> None:
    assert parse_toml('a.b = 1\ntext = "' + "a.b " * 99 + '"')["a"] == {"b": 1}
