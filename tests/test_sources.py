"""The source of an entry: which files it is, and what of them counts."""

import os
import time
from pathlib import Path

import pytest

import robench
from robench.errors import UserError
from robench.sources import source_files, source_hash

ROBENCH = Path(robench.__file__).resolve().parent


def write(folder: Path, **files: str) -> Path:
    """Write files, "__" in a name for "/" and "." left out, and return the path of ``mine.py``."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "mine.py"


def names(file: Path) -> list[str]:
    return list(source_files(file))


@pytest.mark.parametrize(
    "line",
    [
        "import helpers",
        "import helpers as h, os",
        "from helpers import scale",
        "from helpers import *",
        "from . import helpers",
        "from .helpers import scale",
        "def late():\n    import helpers",
        "try:\n    import helpers\nexcept ImportError:\n    pass",
        "import importlib\nimportlib.import_module('helpers')",
        "from importlib import import_module\nimport_module('.helpers', __package__)",
        "__import__('helpers')",
    ],
)
def test_a_module_beside_the_file_is_part_of_it(tmp_path: Path, line: str) -> None:
    mine = write(tmp_path, mine=line, helpers="scale = 1", unused="")
    assert source_files(mine) == {"helpers.py": tmp_path / "helpers.py", "mine.py": mine}


def test_what_a_neighbor_imports_is_part_of_it_too(tmp_path: Path) -> None:
    mine = write(tmp_path, mine="import a", a="import b", b="import a, c", c="import mine", d="")
    assert names(mine) == ["a.py", "b.py", "c.py", "mine.py"]


def test_of_a_package_beside_the_file_the_modules_that_are_imported(tmp_path: Path) -> None:
    mine = write(
        tmp_path,
        mine="from kit.norms import scale\nimport plain.deep",
        kit__init="from . import setup",
        kit__setup="",
        kit__norms="from .deeper import least\nfrom kit import constants",
        kit__deeper__init="from ..twice import more",
        kit__deeper__least="",
        kit__twice="",
        kit__constants="",
        kit__unused="",
        plain__deep="",
    )
    assert names(mine) == [
        "kit/__init__.py",
        "kit/constants.py",
        "kit/deeper/__init__.py",
        "kit/deeper/least.py",
        "kit/norms.py",
        "kit/setup.py",
        "kit/twice.py",
        "mine.py",
        "plain/deep.py",
    ]


def test_of_an_installed_package_its_modules_but_no_other_package(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    write(
        site,
        suite__init="",
        suite__defenses__init="",
        suite__defenses__entry="from ..norms import a\nimport suite.tools\nimport other, numpy",
        suite__norms="",
        suite__tools="",
        suite__unused="",
        other="",
        numpy__init="",
        single="import other",
    )
    entry = site / "suite" / "defenses" / "entry.py"
    assert names(entry) == ["../__init__.py", "../norms.py", "../tools.py", "entry.py"]
    assert names(site / "single.py") == ["single.py"]


@pytest.mark.parametrize("line", ["import random", "import torch", "from robench import norms"])
def test_libraries_are_no_part_of_it_even_where_a_file_has_their_name(
    tmp_path: Path, line: str
) -> None:
    mine = write(tmp_path, mine=line, random="", torch="", robench="", norms="")
    assert names(mine) == ["mine.py"]


def test_of_an_entry_of_the_suite_its_own_folder_only() -> None:
    file = ROBENCH / "backbones" / "vgg.py"
    assert "from robench" in file.read_text()
    assert names(file) == ["vgg.py"]


@pytest.mark.parametrize("line", ["from .helpers import x", "import robench.backbones.helpers"])
def test_an_entry_in_the_suites_folder_may_have_neighbors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    own = tmp_path / "robench"
    monkeypatch.setattr("robench.sources._ROBENCH", own)
    write(
        own,
        init="",
        layers="",
        backbones__init="import robench.layers",
        backbones__mine=f"{line}\nfrom ..layers import y",
        backbones__helpers="",
    )
    assert names(own / "backbones" / "mine.py") == ["helpers.py", "mine.py"]


CODE = '''
from helpers import scale

def damp(x: float = 0.5) -> str:
    """Scale."""
    return f"{x * scale!r:>{10}}" + "done"
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write(tmp_path, mine=CODE, helpers="scale = 1.0\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\r\n"),
        ("def damp", "# a comment\n\n\ndef damp"),
        ("x: float = 0.5", "\n    x: float = 0.5,  # a comment\n"),
        ('"done"', "('done')"),
        ('"done"', "'do' 'ne'"),
        ("    ", "  "),
        ("Scale.", "Multiply, as the paper does."),
        ("0.5", ".50"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(mine: Path, old: str, new: str) -> None:
    before = source_hash(mine)
    mine.write_bytes(mine.read_bytes().replace(old.encode(), new.encode()))
    assert source_hash(mine) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.5", "0.6"),
        ("0.5", "-0.5"),
        ("x *", "x +"),
        ("!r", "!s"),
        ("10", "11"),
        ("done", "done "),
        ("float", "int"),
        ("import scale", "import scale as scale"),
        ("return", "yield"),
        ("def damp", "scale = 2\n\ndef damp"),
    ],
)
def test_code_counts(mine: Path, old: str, new: str) -> None:
    before = source_hash(mine)
    mine.write_text(mine.read_text().replace(old, new))
    assert source_hash(mine) != before


def test_what_it_imports_counts(mine: Path) -> None:
    before = source_hash(mine)
    helpers = mine.parent / "helpers.py"
    helpers.write_text("# a comment\nscale = 1.0\n")
    assert source_hash(mine) == before
    helpers.write_text("scale = 2.0\n")
    assert source_hash(mine) != before


def test_an_edit_counts_though_size_and_time_stay(mine: Path) -> None:
    before, times = source_hash(mine), mine.stat()
    mine.write_text(mine.read_text().replace("0.5", "0.4"))
    os.utime(mine, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert source_hash(mine) != before


def test_the_name_of_the_file_and_of_its_folder_do_not_count(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "a copy").mkdir()
    for name, path in source_files(mine).items():
        copied = "yours.py" if path == mine else name
        (tmp_path / "a copy" / copied).write_bytes(path.read_bytes())
    assert source_hash(tmp_path / "a copy" / "yours.py") == source_hash(mine)


def test_two_files_exchanged_are_another_source(tmp_path: Path) -> None:
    one = write(tmp_path / "one", mine="import a, b", a="x = 1", b="x = 2")
    two = write(tmp_path / "two", mine="import a, b", a="x = 2", b="x = 1")
    assert source_hash(one) != source_hash(two)


def test_the_hash_is_the_same_under_every_python(tmp_path: Path) -> None:
    """The value was computed with 3.11, 3.12 and 3.13; results would not be found with another."""
    text = (
        '"""A file."""\n'
        "import a.b as c\n"
        "from d import *\n"
        "@c(key=[*x], **{**y})\n"
        "class E(F, metaclass=G):\n"
        '    """A class."""\n'
        "    h: int = 1_000 + 0xFF\n"
        "    async def i(self, /, j=-1, *k, l: 'm' = None, **n):\n"
        '        """A method."""\n'
        "        async with o as (p, q), r: await s\n"
        "        lambda t, u=1e400, *, v: t @ u ** v if 1 < u <= 3j else not v\n"
        "        return f'{w!r:>{x}} y' f\"{z=}\" '' u'\\u00fc\\U0001fae8' '\\d', b'\\xff'\n"
        "match aa:\n"
        "    case {'b': [_, *c]} | D(e=None) if (f := True): ...\n"
        "    case -1: del g[1:2, ::3], h.i\n"
        "try: raise J from k\n"
        "except* L as m: pass\n"
        "else: global n\n"
        "finally: print({o for p in q if r async for s in t}, {**u, 1: 2})\n"
    )
    file = tmp_path / "every.py"
    file.write_text(text)
    before = source_hash(file)
    file.write_text(text + "# it is read, not hashed by its bytes")
    assert source_hash(file) == before
    assert before == "ebd0f5070cd00c77714ae29ab8b62e7036526da1a9b76cd5629a3a4c0d9e6e9a"


def test_deeply_nested_code_is_hashed_quickly(tmp_path: Path) -> None:
    started = time.perf_counter()
    for operator in "+-":
        (tmp_path / "deep.py").write_text("x = 1" + f" {operator} 1" * 3000)
        source_hash(tmp_path / "deep.py")
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("content", [b"def broken(:\n", b"x = 1\0", b"# coding: none\n", b"\xff"])
def test_what_is_no_python_counts_by_its_bytes(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "odd.py"
    file.write_bytes(content)
    before = source_hash(file)
    file.write_bytes(content + b"#")
    assert source_hash(file) != before


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none\.py: No such file"):
        source_hash(tmp_path / "none.py")
