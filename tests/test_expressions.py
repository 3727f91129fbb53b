"""Entry expressions: name(option=value, ...)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robench.errors import UserError
from robench.expressions import (
    Expression,
    number,
    parse_expression,
    split_expressions,
    split_titles,
    typed_number,
)
from robench.registry import attacks

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}(-\d{1,2})?", fullmatch=True)
values = st.one_of(
    st.integers(-1000, 1000), st.booleans(), st.floats(-10, 10), st.text("abc/ _", max_size=5)
)


def test_a_bare_name_is_an_expression_without_options() -> None:
    assert parse_expression(" pgd-20 ") == Expression("pgd-20", {})


def test_fractions_are_numbers() -> None:
    call = parse_expression('pgd(eps=8/255, step_size="2/255", norm="linf", random_start=true)')
    assert call.options == {
        "eps": 8 / 255,
        "step_size": 2 / 255,
        "norm": "linf",
        "random_start": True,
    }


@given(names, st.dictionaries(st.from_regex(r"[a-z]{2,6}_", fullmatch=True), values, max_size=3))
def test_the_canonical_spelling_reads_back_as_the_same_expression(
    name: str, options: dict[str, object]
) -> None:
    call = Expression(name, {key: number(value) for key, value in options.items()})
    assert parse_expression(str(call)) == call


def test_the_order_of_options_does_not_matter() -> None:
    assert str(parse_expression("pgd(steps=3, eps=0.1)")) == str(
        parse_expression("pgd(eps=0.1,steps=3)")
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pgd(",
        "pgd)",
        "pgd(8/255)",
        "pgd(**x)",
        "pgd(eps=1/0)",
        "pgd(eps=__import__('os').getcwd())",
        "pgd(eps=open)",
        "a b",
        "convnorm(affine=false)(bn=false)",
        "convnorm(affine=false).x(bn=false)",
    ],
)
def test_what_is_not_an_expression_is_refused_in_one_sentence_and_never_executed(text: str) -> None:
    with pytest.raises(UserError, match=r"form|options|not a number"):
        parse_expression(text)


def test_an_option_that_is_set_twice_is_refused() -> None:
    with pytest.raises(UserError, match="sets eps twice; set it once"):
        parse_expression("pgd-20(eps=1/255, eps=8/255)")
    with pytest.raises(UserError, match="'pgd-20' says how many steps; leave steps out"):
        attacks.build("pgd-20(steps=10)")


def test_lists_are_split_outside_parentheses_only() -> None:
    assert split_expressions("a, b(x=1, y=2) ,c,") == ["a", "b(x=1, y=2)", "c"]


def test_a_fraction_with_zero_below_is_refused() -> None:
    with pytest.raises(UserError, match="divides by zero"):
        number("8/0")


@pytest.mark.parametrize(
    ("text", "value"), [("8/255", 8 / 255), ("0.1", 0.1), ("2", 2.0), ("1e-3", 1e-3), ("x", "x")]
)
def test_user_input_is_a_number_if_it_looks_like_one(text: str, value: object) -> None:
    assert typed_number(text) == value


def test_titles_with_commas_stay_whole() -> None:
    titles = ["vanilla, 20% noise", "vanilla, 20% noise, wide", "batchnorm"]
    text = "vanilla, 20% noise,batchnorm,convnorm(bn=false, affine=false),vanilla,20% noise, wide"
    assert split_titles(text, titles) == [
        titles[0], "batchnorm", "convnorm(bn=false, affine=false)", titles[1],
    ]  # fmt: skip
