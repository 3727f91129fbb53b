"""Mistakes in an entry of one's own, found when it is registered or loaded."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import nn

from robench.base import ConvDefense, Defense
from robench.entries import summary_of
from robench.entry_rules import check_hooks
from robench.errors import RobenchWarning, UserError
from robench.plugins import load_plugin, registrations_undone
from robench.registry import attacks, defenses

ENTRY = '''
from robench import Defense, register_defense

@register_defense("{name}")
class Mine(Defense):
    """Does nothing."""
'''


@dataclass(frozen=True)
class Misspelled(Defense):
    strength: int = 1

    def replace_convs(self, conv: nn.Conv2d) -> nn.Module:
        return conv


@dataclass(frozen=True)
class WithHelpers(Defense):
    """Has methods of its own."""

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        return self._replace_convs(conv)

    def _replace_convs(self, conv: nn.Conv2d) -> nn.Module:
        return conv

    def factor(self) -> float:
        return 1.0


def test_a_misspelled_hook_of_a_defense_is_refused_as_it_would_never_be_called() -> None:
    said = "^Misspelled has no hook 'replace_convs'; did you mean 'replace_conv'?"
    with registrations_undone(), pytest.raises(UserError, match=said):
        defenses.register("misspelled")(Misspelled)
    assert "misspelled" not in defenses


class Undecorated(Defense):
    def __init__(self, groups: int = 4) -> None:
        self.groups = groups


@dataclass(frozen=True)
class BuildsItself(Defense):
    groups: int = 4

    def __init__(self, groups: int = 4) -> None:
        object.__setattr__(self, "groups", 2 * groups)


@pytest.mark.parametrize("entry", [Undecorated, BuildsItself])
def test_an_init_that_would_never_be_called_is_refused(entry: type[Defense]) -> None:
    with registrations_undone(), pytest.raises(UserError, match="has an __init__ of its own"):
        defenses.register("own_init")(entry)
    assert "own_init" not in defenses


def test_a_class_of_another_kind_is_refused() -> None:
    class Layer(nn.Module):
        pass

    with registrations_undone():
        with pytest.raises(UserError, match=r"not inherit .* write class Layer\(robench\.Def"):
            defenses.register("layer")(Layer)
        with pytest.raises(UserError, match=r"Misspelled does not inherit from robench\.Attack"):
            attacks.register("defense")(Misspelled)


def test_a_decorator_without_a_name_says_how_it_is_written() -> None:
    with pytest.raises(UserError, match=r'write @register_defense\("withhelpers"\)'):
        defenses.register(WithHelpers)  # type: ignore[arg-type]


def test_a_kind_that_no_defense_has_is_refused() -> None:
    class Odd(Defense):
        kind = "norm layers"  # type: ignore[assignment]

    with pytest.raises(UserError, match="has the kind 'norm layers'; did you mean 'norm layer'"):
        check_hooks(Odd)


def test_two_entries_of_one_name_in_one_file_are_refused(tmp_path: Path) -> None:
    plugin = tmp_path / "twice.py"
    second = ENTRY.format(name="twice").replace("Mine", "Other")
    plugin.write_text(ENTRY.format(name="twice") + second)
    with registrations_undone(), pytest.raises(UserError, match="'twice': Mine and Other; rename"):
        load_plugin(plugin)


def test_hooks_helpers_and_other_entries_are_registered() -> None:
    for entry in (WithHelpers, ConvDefense, nn.Conv2d, len):
        check_hooks(entry)


def test_the_summary_is_what_the_author_wrote() -> None:
    assert summary_of(WithHelpers) == "Has methods of its own."
    assert summary_of(Misspelled) == ""  # dataclasses put a signature there


def test_a_plugin_that_registers_nothing_is_warned_of(tmp_path: Path) -> None:
    plugin = tmp_path / "plain_plugin.py"
    plugin.write_text(ENTRY.format(name="mine").replace("@register", "# @register"))
    with pytest.warns(RobenchWarning, match=r"^plugin '.*' registers no entry; is a decorator"):
        load_plugin(plugin)


def test_a_plugin_may_import_the_files_that_register(tmp_path: Path) -> None:
    (tmp_path / "one_entry.py").write_text(ENTRY.format(name="one_entry"))
    for name in ("first_of_one", "second_of_one"):
        (tmp_path / f"{name}.py").write_text("import one_entry\n")
        load_plugin(tmp_path / f"{name}.py")
    (tmp_path / "of_the_suite.py").write_text("from robench.defenses import convnorm\n")
    load_plugin(tmp_path / "of_the_suite.py")


def test_a_name_longer_than_that_of_any_file_is_unknown_as_well() -> None:
    with pytest.raises(UserError, match="no defense is named 'aaa"):
        defenses.get("a" * 300)


def test_the_file_of_an_unknown_name_is_taken_for_a_forgotten_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("defenses").mkdir()
    Path("defenses/forgotten.py").write_text(ENTRY.format(name="another"))
    with pytest.raises(UserError, match=r"'forgotten'; to use that of .*, give --plugin defenses"):
        defenses.get("forgotten")
    with registrations_undone():
        load_plugin(Path("defenses/forgotten.py"))
        with pytest.raises(UserError, match=r"no defense is named 'forgotten'; (did you|valid)"):
            defenses.get("forgotten")
