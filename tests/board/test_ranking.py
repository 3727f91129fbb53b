"""What ranks a board: a column of its own, or the worst case over a set of its attacks."""

import pytest
from pydantic import ValidationError

from robench.board.plan import build_attacks
from robench.board.ranking import has_autoattack
from robench.board.specs import EvaluationSpec
from robench.errors import UserError

ATTACKS = ("fgsm", "pgd-10", "pgd-20(eps='4/255')", "simba")


def test_a_board_may_rank_by_the_worst_case_over_attacks_that_it_names() -> None:
    named = ("pgd-10", "fgsm")
    evaluation = EvaluationSpec(attacks=ATTACKS, rank_by="worst_case", worst_case=named)
    assert evaluation.ranking_column == "worst_case"
    assert evaluation.main_column == "pgd-10"
    assert set(build_attacks(evaluation)) == set(ATTACKS)


def test_without_names_the_threat_model_is_that_of_pgd_20_or_else_of_the_last_attack() -> None:
    for attacks, main in ((("pgd-20", "fgsm"), "pgd-20"), (("fgsm", "pgd-10"), "pgd-10")):
        assert EvaluationSpec(attacks=attacks, rank_by="worst_case").main_column == main
    assert EvaluationSpec(attacks=ATTACKS, rank_by="fgsm").main_column == "fgsm"


@pytest.mark.parametrize(("attacks", "ranking", "main"), [
    (("fgsm", "pgd-20"), "pgd-20", "pgd-20"),
    (("fgsm", "pgd-20", "autoattack"), "worst_case", "pgd-20"),
    (("fgsm", "torchattacks:AutoAttack", "simba"), "worst_case", "torchattacks:AutoAttack"),
    (("adaptive", "autoattack"), "autoattack", "autoattack"),
    ((), "clean", "clean"),
])  # fmt: skip
def test_a_board_that_leaves_it_open_is_ranked_by_the_worst_case_if_it_has_autoattack(
    attacks: tuple[str, ...], ranking: str, main: str
) -> None:
    """PGD-20 alone names another winner than AutoAttack."""
    evaluation = EvaluationSpec(attacks=attacks)
    assert (evaluation.ranking_column, evaluation.main_column) == (ranking, main)
    build_attacks(evaluation)


def test_an_attack_that_only_some_defenses_have_does_not_say_what_ball_a_board_has() -> None:
    attacks = ("adaptive(eps=0.1)", "fgsm")
    for rank_by in ("worst_case", "best_known"):
        evaluation = EvaluationSpec(attacks=attacks, rank_by=rank_by, worst_case=attacks)
        assert evaluation.main_column == "fgsm"


def test_a_board_that_names_no_set_is_written_as_before_there_were_sets() -> None:
    assert "worst_case" not in EvaluationSpec().model_dump(mode="json")
    assert EvaluationSpec(worst_case=("fgsm",)).model_dump()["worst_case"] == ("fgsm",)


@pytest.mark.parametrize(("values", "message"), [
    ({"worst_case": ("pgd-11",)}, "has 'pgd-11', which is not one of the board's attacks; did you"),
    ({"worst_case": ("fgsm", "fgsm")}, "names an attack twice"),
    ({"attacks": ("worst_case",)}, "an attack may not be named 'worst_case'"),
    ({"attacks": ("fgsm", "adaptive"), "worst_case": ("adaptive",)}, "no attack but 'adaptive'"),
    ({"rank_by": "worst_cas"}, "is not a column; did you mean 'worst_case'"),
])  # fmt: skip
def test_names_that_are_none_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EvaluationSpec.model_validate({"attacks": ATTACKS, **values})


@pytest.mark.parametrize(("values", "message"), [
    ({"rank_by": "worst_case"}, "'simba' keeps to no ball; name the attacks in evaluation.worst"),
    ({"attacks": (), "rank_by": "worst_case"}, "but there is no attack; name the attacks"),
    ({"rank_by": "worst_case", "worst_case": ("pgd-10", ATTACKS[2])}, "does not have that of 'pgd"),
    ({"rank_by": "fgsm", "worst_case": ("simba",)}, "'simba' does not have that of 'fgsm'"),
])  # fmt: skip
def test_attacks_of_several_balls_have_no_worst_case(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build_attacks(EvaluationSpec.model_validate({"attacks": ATTACKS, **values}))


def test_autoattack_is_known_from_whatever_library_it_comes() -> None:
    assert has_autoattack(["fgsm", "autoattack(version='rand')"])
    assert has_autoattack(["torchattacks:AutoAttack(eps=0.1)"])
    assert not has_autoattack(["fgsm", "apgd", "torchattacks:APGD(autoattack=1)"])
