"""Mistakes in an entry of one's own, found when it is registered or loaded."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import nn

from robench.base import ConvDefense, Defense
from robench.entries import check_hooks, summary_of
from robench.errors import RobenchWarning, UserError
from robench.plugins import load_plugin, registrations_undone
from robench.registry import defenses

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
