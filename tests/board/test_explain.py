"""What is wrong with a board is said in a user's words, with the key that is meant."""

import pytest

from robench.board.overrides import open_board
from robench.board.plan import resolve
from robench.errors import UserError


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("seeds=[]", "seeds = []: list at least 1."),
        ("seeds=1", "seeds = 1: write a list: [1]."),
        ("training.epochs=1.5", "training.epochs = 1.5: write a whole number."),
        ("training.epochs=0", "training.epochs = 0: write 1 or more."),
        ("training.lr='fast'", "training.lr = 'fast': write a number, such as 0.1."),
        ("training.momentum=1", "training.momentum = 1: write a number below 1."),
        ("training.schedule=cosin", "training.schedule = 'cosin': write 'step' or 'one-cycle'."),
        ("evaluation.checks=maybe", "evaluation.checks = 'maybe': write true or false."),
        ("model=resnet18", "model = 'resnet18': model is a table; did you mean model.name?"),
        ("arms={defense='batchnorm'}", "arms: it is a list of tables; write [[arms]]."),
    ],
)
def test_a_wrong_value_is_answered_with_what_to_write(change: str, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        open_board("quick", changes=[change])
    assert str(raised.value) == f"the board with the requested changes: {sentence}"


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("width", "'model.width'"),
        ("eps", "'training.eps' or 'evaluation.defaults.eps'"),
        ("norm", "'evaluation.defaults.norm'"),
        ("name", "'data.name' or 'model.name'"),
        ("sedes", "'seeds'"),
    ],
)
def test_an_unknown_key_is_answered_with_the_tables_that_have_it(key: str, meant: str) -> None:
    with pytest.raises(UserError, match="changes: unknown key") as raised:
        open_board("quick", changes=[f"{key}=1"])
    assert str(raised.value).endswith(f"'{key}'; did you mean {meant}?")


@pytest.mark.parametrize(
    ("change", "near"),
    [
        ("arms=[{defense='BatchNorm'}]", "is named 'BatchNorm'; did you mean 'batchnorm'?"),
        ("arms=[{defense='group-norm'}]", "is named 'group-norm'; did you mean 'groupnorm'?"),
        ("evaluation.attacks=['PGD-20']", "is named 'PGD-20'; did you mean 'pgd-20'?"),
        ("evaluation.attacks=['pgd20']", "is named 'pgd20'; did you mean 'pgd-20'?"),
        ("evaluation.attacks=['pgdd-20']", "is named 'pgdd-20'; did you mean 'pgd' or 'apgd'?"),
    ],
)
def test_a_name_in_another_spelling_is_recognized(change: str, near: str) -> None:
    with pytest.raises(UserError) as raised:
        resolve(open_board("quick", changes=[change])[1])
    assert str(raised.value).endswith(near)
