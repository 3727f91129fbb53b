"""What an entry says about itself."""

import json
from functools import partial

import pytest
from support import Command

from robench.commands.info import Info, describe
from robench.errors import UserError
from robench.leaderboard.certified import UNSOUND
from robench.registry import REGISTRIES, Registry
from robench.runs.records import COLLAPSED, UNPROVED
from robench.shipped import is_shipped


def one(name: str, kind: str) -> Info:
    (found,) = [each for each in describe(name) if each.kind == kind]
    return found


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_option_of_every_entry_is_explained(registry: Registry[object]) -> None:
    for name in filter(partial(is_shipped, registry.kind), registry):
        info = one(name, registry.kind)
        assert info.summary
        assert not [o.name for o in info.options if not (o.meaning and o.default)], name
        assert not any("Attributes:" in text or "``" in text for text in info.to_json().values()
                       if isinstance(text, str))  # fmt: skip


def test_a_name_of_two_kinds_gives_both() -> None:
    assert {info.kind for info in describe("pgd")} == {"attack", "training method"}
    assert [info.kind for info in describe("pgd-20(eps=0.1)")] == ["attack", "training method"]


def test_options_have_types_defaults_and_what_the_bases_say() -> None:
    pgd = {option.name: option for option in one("pgd", "attack").options}
    assert (pgd["eps"].type, pgd["eps"].default) == ("float", "8/255")
    assert pgd["loss"].type == "'ce' | 'margin'"
    assert pgd["step_size"].type == "float | None"
    assert pgd["samples"].meaning.startswith("attack only this many")
    assert pgd["restarts"].meaning.endswith("is kept, else the last.")
    oni = {option.name: option for option in one("oni", "defense").options}
    assert oni["bn"].meaning.startswith("keep the network's norm layers")


def test_the_description_is_the_text_between_summary_and_sections() -> None:
    simba = one("simba", "attack")
    assert simba.description.startswith("Algorithm 1 of the paper")
    assert "basis:" not in simba.description
    assert one("groupnorm", "defense").description.startswith("Group normalization (Wu and He")
    assert simba.file.endswith("simba.py")


def test_a_library_s_attack_names_its_options() -> None:
    names = [option.name for option in one("torchattacks:PGD", "attack").options]
    assert {"eps", "alpha", "steps"} < set(names)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="no entry is named 'convnrom'; did you mean 'convnorm'"):
        describe("convnrom")


def test_the_name_of_a_flag_gives_the_check_that_finds_it() -> None:
    assert [(info.kind, info.name) for info in describe("large_eps")] == [("check", "eps_sweep")]


@pytest.mark.parametrize("flag", ["diverged", COLLAPSED, UNPROVED, UNSOUND])
def test_flags_that_no_check_gives_are_known_too(flag: str) -> None:
    [info] = describe(flag)
    assert (info.kind, info.name) == ("flag", flag)
    assert info.summary.endswith(".")


def test_the_command_prints_text_or_json(robench: Command) -> None:
    done = robench("info", "oni")
    assert done.code == 0, done.err
    assert done.out.startswith("oni (defense): Kernels orthogonalized by Newton's iteration")
    assert "number of iterations" in done.out
    assert "arXiv:2004.00917" in done.out
    (found,) = json.loads(robench("info", "oni", "--json").out)
    assert found["options"][0]["name"] == "steps"
    wrong = robench("info", "onni")
    assert wrong.code == 2
    assert wrong.err.startswith("robench: no entry is named 'onni'; did you mean 'oni'")


def test_training_methods_are_listed(robench: Command) -> None:
    listed = robench("list", "training-methods").out
    assert listed.startswith("training methods\n")
    assert all(name in listed for name in ("free", "n_fgsm", "pgd", "standard"))
