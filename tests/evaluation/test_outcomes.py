"""Outcomes, from which every figure is computed."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robench.errors import UserError
from robench.evaluation import Evaluation, Outcomes


def outcomes() -> Outcomes:
    """Ten samples: eight right on the clean image, of which three were fooled."""
    correct = np.array([True] * 8 + [False] * 2)
    robust = np.array([True] * 5 + [False] * 5)
    queries = np.array([9, 9, 9, 9, 9, 1, 2, 6, 0, 0])
    sizes = np.linspace(0, 1, 10, dtype=np.float32)
    rounded = np.array([True] * 6 + [False] * 4)  # one of the three is right again, rounded
    return Outcomes(correct, robust, rounded, queries, queries + 1, queries + 2, sizes, sizes)


def test_accuracy_is_over_all_samples_and_success_over_the_attacked_ones() -> None:
    assert outcomes().accuracy == 0.5
    assert outcomes().success_rate == 3 / 8


def test_queries_are_given_over_all_attacked_and_over_the_successes() -> None:
    assert outcomes().mean_queries == (5 * 9 + 9) / 8
    assert outcomes().mean_queries_of_successes == 3
    assert outcomes().median_queries_of_successes == 2


def test_costs_are_means_over_the_attacked() -> None:
    assert outcomes().mean_forwards == outcomes().mean_queries + 1
    assert outcomes().mean_backwards == outcomes().mean_queries + 2


def test_adversarial_images_may_not_survive_rounding_to_8_bits() -> None:
    assert outcomes().survive_rounding == pytest.approx(2 / 3)


def test_the_worst_of_several_is_taken_sample_by_sample_over_those_that_all_were_given() -> None:
    first = outcomes()
    values = {name: array[:8].copy() for name, array in vars(first).items()}
    values["robust"][:] = True
    values["robust"][0] = values["rounded"][0] = False
    values["linf"] += 1
    worst = Outcomes.worst_of([first, Outcomes(**values)])
    assert worst.robust.tolist() == [False, True, True, True, True, False, False, False]
    assert worst.queries.tolist() == (2 * first.queries[:8]).tolist()
    assert worst.linf[0] == values["linf"][0]  # the attack that fooled it
    assert worst.linf[5:].tolist() == first.linf[5:8].tolist()


def test_nothing_attacked_has_no_rate() -> None:
    nothing = Outcomes.without_attack(np.zeros(3, dtype=bool))
    assert nothing.accuracy == 0
    assert math.isnan(nothing.success_rate)
    assert math.isnan(nothing.mean_queries)
    assert math.isnan(nothing.median_queries_of_successes)


def test_they_read_back_and_the_same_ones_give_the_same_bytes(tmp_path: Path) -> None:
    outcomes().save(tmp_path / "a.npz")
    outcomes().save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    read = Outcomes.load(tmp_path / "a.npz")
    for name, array in vars(outcomes()).items():
        assert np.array_equal(getattr(read, name), array)
        assert getattr(read, name).dtype == array.dtype


def test_a_damaged_file_is_reported_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    outcomes().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"a\.npz are missing or damaged .* attack again"):
        Outcomes.load(path)
    with pytest.raises(UserError, match="missing or damaged"):
        Outcomes.load(tmp_path / "none.npz")
    np.savez(path, **{**vars(outcomes()), "robust": np.zeros(3, dtype=bool)})
    with pytest.raises(UserError, match="differ in length"):
        Outcomes.load(path)


def test_a_pickle_inside_is_not_executed(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", correct=np.array([object()], dtype=object))
    with pytest.raises(UserError, match="damaged"):
        Outcomes.load(tmp_path / "evil.npz")


def test_they_are_shown_in_one_line() -> None:
    correct = np.array([True] * 9 + [False])
    shown = repr(replace(Outcomes.without_attack(correct), robust=np.arange(10) < 4))
    assert shown == "<Outcomes of 10 samples: accuracy 40.0%, 5 of 9 attacked were fooled>"
    assert repr(Outcomes.without_attack(correct[:0])).startswith("<Outcomes of 0 samples")


def test_an_evaluation_is_shown_in_one_line() -> None:
    none = Outcomes.without_attack(np.ones(10, dtype=bool))
    few = Outcomes.without_attack(np.ones(4, dtype=bool))
    shown = Evaluation(none.correct, {"fgsm": none, "simba": few}, (), {})
    assert repr(shown) == (
        "<Evaluation of 10 samples: clean 100.0%, fgsm 100.0%, simba 100.0% of 4>"
    )
