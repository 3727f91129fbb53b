"""Registries: names, near matches, discovery, plugins, sources, options."""

import linecache
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError
from pathlib import Path

import pytest

import robench.registry as module
from robench import discovery, entries
from robench.base import Defense
from robench.errors import UserError
from robench.plugins import load_plugin
from robench.registry import Registry, attacks, defenses

PLUGIN = '''
from dataclasses import dataclass
from robench import Defense, register_defense

@register_defense("{name}", reference="me")
@dataclass(frozen=True)
class Mine(Defense):
    """Does nothing, my way."""

    strength: float = 1.0
'''


@pytest.fixture
def registry() -> Registry[Defense]:
    empty: Registry[Defense] = Registry("defense", "robench.errors", "robench.nothing")

    @empty.register("gain", reference="a paper")
    @dataclass(frozen=True)
    class Gain(Defense):
        """Multiplies.

        And more.
        """

        factor: float = 1.0
        steps: int = 5
        mode: str = "a"

        def __post_init__(self) -> None:
            if self.factor > 10:
                raise ValueError(f"{self.factor} is too much; at most 10")

    return empty


def write_plugin(path: Path, name: str) -> Path:
    path.write_text(PLUGIN.format(name=name))
    return path


def test_the_entries_of_the_suite_are_found() -> None:
    assert {"vanilla", "batchnorm", "spectral_norm", "convnorm"} <= set(defenses)
    assert {"fgsm", "pgd", "simba", "noise"} <= set(attacks)


def test_every_entry_says_what_it_does() -> None:
    for registry in (defenses, attacks, module.datasets, module.backbones):
        for name in registry:
            assert len(registry.get(name).summary) > 10, name


def test_an_entry_knows_its_first_line_and_reference(registry: Registry[Defense]) -> None:
    entry = registry.get("gain")
    assert (entry.summary, entry.reference) == ("Multiplies.", "a paper")


def test_options_are_checked_and_converted(registry: Registry[Defense]) -> None:
    built = registry.build('gain(factor="1/4")')
    assert built.factor == 0.25  # type: ignore[attr-defined]


def test_defaults_fill_only_options_that_the_entry_has(registry: Registry[Defense]) -> None:
    built = registry.build("gain(factor=3)", {"factor": 2, "mode": "b", "eps": 1})
    assert (built.factor, built.mode) == (3.0, "b")  # type: ignore[attr-defined]


def test_a_number_after_a_dash_is_the_number_of_steps(registry: Registry[Defense]) -> None:
    assert registry.build("gain-7").steps == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("gian", "no defense is named 'gian'; did you mean 'gain'"),
        ("zzz", "valid: gain"),
        ("gain(facter=1)", "no option 'facter'; did you mean 'factor'"),
        ("gain(factor='much')", "factor = 'much'"),
        ("gain(factor=11)", "11.0 is too much"),
        ("gain(steps=1.5)", "steps = 1.5"),
    ],
)
def test_a_mistake_names_the_nearest_right_one(
    registry: Registry[Defense], call: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        registry.build(call)


@pytest.mark.parametrize("name", ["", "Conv", "a-b", "1st", "a b", "../x"])
def test_a_malformed_name_is_refused(registry: Registry[Defense], name: str) -> None:
    with pytest.raises(UserError, match="cannot name a defense"):
        registry.register(name)


def test_a_plugin_registers_its_entries(tmp_path: Path) -> None:
    load_plugin(write_plugin(tmp_path / "one.py", "plugged"))
    assert defenses.get("plugged").reference == "me"


def test_loading_a_plugin_twice_is_harmless(tmp_path: Path) -> None:
    path = write_plugin(tmp_path / "twice.py", "plugged")
    load_plugin(path)
    load_plugin(path)
    assert "plugged" in defenses


def test_two_entries_of_one_name_are_an_error_that_names_both_files(tmp_path: Path) -> None:
    load_plugin(write_plugin(tmp_path / "first.py", "plugged"))
    with pytest.raises(UserError, match=r"'plugged'.*first\.py.*second\.py"):
        load_plugin(write_plugin(tmp_path / "second.py", "plugged"))


def test_a_plugin_that_takes_a_name_of_the_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'vanilla'.*vanilla\.py.*thief\.py"):
        load_plugin(write_plugin(tmp_path / "thief.py", "vanilla"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\nraise RuntimeError('no luck')", r"raises in line 2: RuntimeError: no luck"),
        ("def broken(:\n", r"SyntaxError"),
        ("import a_package_that_is_not_there", r"line 1: ModuleNotFoundError"),
    ],
)
def test_a_plugin_that_raises_is_reported_in_one_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "bad_plugin.py").write_text(text)
    with pytest.raises(UserError, match=sentence):
        load_plugin(tmp_path / "bad_plugin.py")


def test_a_missing_plugin_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not an existing Python file"):
        load_plugin(tmp_path / "none.py")


def test_the_identity_of_a_plugin_is_its_code_not_its_comments(tmp_path: Path) -> None:
    path = write_plugin(tmp_path / "mine.py", "plugged")
    load_plugin(path)
    call = "plugged"
    first = defenses.source_identity(call)
    assert first is not None
    path.write_text("# a comment\n" + path.read_text())
    load_plugin(path)
    assert defenses.source_identity(call) == first
    path.write_text(path.read_text().replace("1.0", "2.0"))
    load_plugin(path)
    assert defenses.source_identity(call) != first
    assert defenses.build("plugged").strength == 2.0  # type: ignore[attr-defined]
    assert defenses.source_identity("vanilla") is None


def test_the_identity_is_of_the_code_that_was_loaded_not_of_a_later_edit(tmp_path: Path) -> None:
    path = write_plugin(tmp_path / "mine.py", "plugged")
    load_plugin(path)
    first = defenses.source_identity("plugged")
    path.write_text(path.read_text().replace("1.0", "2.0"))
    assert defenses.source_identity("plugged") == first
    assert defenses.build("plugged").strength == 1.0  # type: ignore[attr-defined]


def test_a_changed_plugin_is_loaded_again_with_its_neighbors(tmp_path: Path) -> None:
    path = write_plugin(tmp_path / "mine.py", "plugged")
    neighbor = tmp_path / "beside_the_plugin.py"
    find = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom {neighbor.stem} import value\n"
    path.write_text(find + path.read_text().replace("1.0", "value"))
    neighbor.write_text("value = 1.0\n")
    load_plugin(path)
    first = defenses.source_identity("plugged")
    neighbor.write_text("value = 2.0\n")  # of the same size, in the same second
    load_plugin(path)
    sys.path.remove(str(tmp_path))
    assert defenses.build("plugged").strength == 2.0  # type: ignore[attr-defined]
    assert defenses.source_identity("plugged") != first


def test_an_entry_that_a_changed_plugin_no_longer_has_is_gone(tmp_path: Path) -> None:
    path = write_plugin(tmp_path / "mine.py", "plugged")
    load_plugin(path)
    load_plugin(write_plugin(path, "renamed"))
    assert "renamed" in defenses
    assert "plugged" not in defenses


def run_cell(text: str, name: str) -> None:
    """Execute a notebook's cell as IPython does: its lines are known to linecache only."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), {"__name__": "__main__"})


def test_an_entry_of_a_notebook_has_the_source_of_its_cell() -> None:
    text = PLUGIN.format(name="plugged")
    found = []
    for edit in (text, f"# a comment\n{text}", text.replace("1.0", "2.0")):
        run_cell(edit, f"<ipython-input-{len(found)}>")
        found.append(defenses.source_identity("plugged"))
    assert found[0] == found[1] != found[2]
    assert None not in found


def test_an_entry_whose_source_is_not_known_is_never_taken_for_an_earlier_one() -> None:
    found = set()
    for _ in range(2):
        exec(compile(PLUGIN.format(name="plugged"), "<nowhere>", "exec"), {"__name__": "__main__"})
        found.add(defenses.source_identity("plugged"))
    assert len(found) == 2


def test_a_library_has_the_source_of_the_file_that_adapts_it() -> None:
    assert attacks.source_identity("torchattacks:PGD(steps=2)") is None
    library = attacks._libraries["torchattacks"]
    text = "register('torchattacks', library)"
    exec(compile(text, "<nowhere>", "exec"), {
        "register": attacks.register_library, "library": library,
    })  # fmt: skip
    assert attacks.source_identity("torchattacks:PGD(steps=2)") is not None


def test_entry_points_of_installed_packages_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(tmp_path / "another_package.py", "from_a_package")
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("from_a_package", "another_package", "robench.defenses")
    monkeypatch.setattr(discovery, "entry_points", lambda group: [point])
    fresh: Registry[Defense] = Registry("defense", "robench.errors", "robench.defenses")
    fresh.discover()  # the package registers with the suite's own registry
    assert "from_a_package" in defenses


def test_an_installed_package_that_does_not_load_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = EntryPoint("broken", "a_package_that_is_not_there:X", "robench.defenses")
    monkeypatch.setattr(discovery, "entry_points", lambda group: [point])
    fresh: Registry[Defense] = Registry("defense", "robench.errors", "robench.defenses")
    for _ in range(2):  # the second time, too, it is why the entry is not there
        with pytest.raises(UserError, match=r"'broken' \(a_package_that_is_not_there:X\) does not"):
            fresh.get("broken")


def test_an_entry_whose_package_is_missing_is_listed_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from robench.board.overrides import open_board
    from robench.cli.tables.entries import facts

    def none_installed(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(entries, "distribution", none_installed)
    assert "aoc" in defenses
    assert "needs orthogonium (not installed)" in facts(defenses.get("aoc"))
    with pytest.raises(UserError, match=r"needs the package orthogonium, .* pip install"):
        defenses.build("aoc")
    _, board = open_board("quick", rows="all")
    assert "aoc" not in board.defenses
    assert "cayley" in board.defenses


def test_a_class_that_is_no_dataclass_gets_a_hint_about_its_options() -> None:
    registry: Registry[Defense] = Registry("defense", "robench.errors", "robench.nothing")

    @registry.register("bare")
    class Bare(Defense):
        strength: int = 3

    with pytest.raises(UserError, match=r"no option 'strength'; .*@dataclass.*above 'class Bare'"):
        registry.build("bare(strength=4)")
    with pytest.raises(UserError, match=r"no option 'kind'; there are none"):
        registry.build("bare(kind=4)")
