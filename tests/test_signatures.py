"""Options of an entry that have no default."""

import re
from dataclasses import dataclass

import pytest

from robench.base import Defense
from robench.errors import UserError
from robench.registry import Registry, defenses


@pytest.fixture
def registry() -> Registry[Defense]:
    """A registry of one defense, whose first two options have no default."""
    empty: Registry[Defense] = Registry("defense", "robench.errors", "robench.nothing")

    @empty.register("own")
    @dataclass(frozen=True)
    class Own(Defense):
        """Multiplies."""

        power: float
        times: int
        mode: str = "a"

    return empty


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("own", "needs the options power and times: write own(power=..., times=...)."),
        ("own(times=2)", "needs the option power: write own(power=...)."),
    ],
)
def test_an_option_that_is_left_out_is_named_with_what_to_write(
    registry: Registry[Defense], call: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=f"^defense '{re.escape(call)}' {re.escape(sentence)}$"):
        registry.build(call)


def test_a_wrong_value_of_such_an_option_is_named(registry: Registry[Defense]) -> None:
    with pytest.raises(UserError, match=r"times = 'two': write a whole number"):
        registry.build("own(power=1, times='two')")


@pytest.mark.parametrize("value", ["'no'", "0", "'yes'", "1"])
def test_a_switch_takes_true_and_false_alone(value: str) -> None:
    with pytest.raises(UserError, match=r"affine = .*: write true or false\."):
        defenses.build(f"convnorm(affine={value})")
    assert defenses.build("convnorm(affine=false)") != defenses.build("convnorm(affine=true)")
