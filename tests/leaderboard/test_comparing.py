"""Outcomes are compared image by image; what rounding and random numbers explain is bounded."""

import dataclasses

import numpy as np
import pytest

from robench.evaluation import Outcomes
from robench.evaluation.agreement import Precision
from robench.leaderboard.rerun.comparing import NOT, REPRODUCED, Changes, Conditions
from robench.leaderboard.rerun.devices import as_seen
from robench.leaderboard.rerun.fresh import AGREES, REFUTED, with_verdicts

SAME, ELSEWHERE = Conditions(same_device=True), Conditions(same_device=False)
KIND = Conditions(same_device=True, bitwise=False)
"""The same name, but sizes differ on some images: perhaps a chip that rounds differently."""

BF16 = Conditions(same_device=False, gradients="bf16")


def changes(fooled: int, resisted: int, images: int = 1000) -> Changes:
    """Return the changes between two evaluations, of which the first is the published one."""
    published, found = np.zeros(images, bool), np.zeros(images, bool)
    published[:fooled] = True
    found[fooled : fooled + resisted] = True
    return Changes.between(outcomes(published), outcomes(found))


def outcomes(robust: np.ndarray) -> Outcomes:
    return Outcomes.without_attack(robust)


def test_equal_outcomes_are_reproduced() -> None:
    for conditions in (SAME, ELSEWHERE, BF16):
        assert changes(0, 0).verdict(conditions) == REPRODUCED


@pytest.mark.parametrize("images", [60, 1000, 10_000])
def test_on_the_same_device_one_image_in_either_direction_is_too_many(images: int) -> None:
    assert changes(1, 0, images).verdict(SAME) == NOT
    assert changes(0, 1, images).verdict(SAME) == NOT


def test_on_the_same_device_a_handful_in_both_directions_is_rounding() -> None:
    lost = "net 1 against the published figure"
    assert changes(1, 2).verdict(SAME) == f"{REPRODUCED} but for 3 images, {lost} (rounding)"
    assert changes(2, 2).verdict(SAME) == NOT
    assert changes(0, 4).verdict(SAME) == NOT


@pytest.mark.parametrize("images", [60, 1000])
def test_on_a_device_of_the_same_name_two_images_prove_nothing_but_three_do(images: int) -> None:
    gained = "net 1 in favor of the published figure"
    expected = f"{REPRODUCED} but for 1 image, {gained} (rounding)"
    assert changes(1, 0, images).verdict(KIND) == expected
    assert changes(2, 0, images).verdict(KIND) != NOT
    assert changes(3, 0, images).verdict(KIND) == NOT
    assert changes(0, 2, images).verdict(KIND) != NOT
    assert changes(0, 3, images).verdict(KIND) == NOT


def test_an_attack_that_has_changed_since_may_differ_as_with_another_seed() -> None:
    earlier = Conditions(same_device=True, reason="earlier attack")
    lost = "net 3 against the published figure"
    expected = f"{REPRODUCED} but for 21 images, {lost} (earlier attack)"
    assert changes(9, 12).verdict(earlier) == expected
    assert changes(60, 60).verdict(earlier) == NOT
    assert changes(30, 8).verdict(earlier) == NOT
    assert changes(8, 30).verdict(earlier) == NOT


def sized(count: int, factor: float, *, one_way: bool = False) -> Changes:
    """Return changes of which only sizes differ, on so many images, by a factor up and down."""
    published = outcomes(np.ones(1000, bool))
    published = dataclasses.replace(published, l2=np.ones(1000, np.float32))
    l2 = published.l2.copy()
    l2[:count:2] *= factor
    l2[1:count:2] *= factor if one_way else 1 / factor
    return Changes.between(published, dataclasses.replace(published, l2=l2))


def seen(last: Changes, claimed: Conditions) -> Conditions:
    """Return the conditions of FGSM if those of PGD differ like this."""
    columns = {"fgsm": changes(1, 0), "pgd": last}
    return as_seen(dict.fromkeys(columns, claimed), columns)["fgsm"]


@pytest.mark.parametrize(("gradients", "bits"), [("float32", 1e-6), ("bf16", 5e-3)])
def test_sizes_that_differ_in_their_last_bits_tell_that_the_device_is_another(
    gradients: Precision, bits: float
) -> None:
    same = dataclasses.replace(SAME, gradients=gradients)
    assert seen(sized(0, 1), same) == same
    assert seen(sized(1, 1 + bits), same) == dataclasses.replace(same, bitwise=False)
    assert not seen(sized(500, 1 + bits), same).same_device
    # What differs by more than rounding was made otherwise, and excuses nothing.
    assert seen(sized(500, 1.1), same) == same


@pytest.mark.parametrize(("images", "rounding"), [(20, True), (21, False), (500, False)])
def test_lengths_that_all_grow_a_little_are_steps_of_another_size_and_no_rounding(
    images: int, rounding: bool
) -> None:
    """A step 1% longer than published fooled the same images."""
    bf16 = dataclasses.replace(SAME, gradients="bf16")
    last = sized(images, 1.005, one_way=True)
    columns = {"fgsm": changes(0, 0), "pgd": last}
    found = as_seen(dict.fromkeys(columns, bf16), columns)["pgd"]
    assert last.lopsided != rounding
    assert found.same_device != rounding
    assert (last.verdict(found) == NOT) != rounding


def climbed(changed: int = 0, factor: float = 1.005) -> Changes:
    """Return changes of an attack along gradients that moves some images a little otherwise."""
    published = dataclasses.replace(attacked(), backwards=np.full(1000, 2, np.int32))
    l2 = published.l2.copy()
    l2[:changed:2] *= factor
    l2[1:changed:2] /= factor
    return Changes.between(published, dataclasses.replace(published, l2=l2))


@pytest.mark.parametrize(
    ("gradients", "fgsm", "pgd", "rounding"),
    [
        ("bf16", 0, 970, False),  # the device computes the same, so that PGD was another one
        ("bf16", 0, 16, False),  # and a few last bits were changed to excuse other changes
        ("bf16", 900, 970, True),  # many are moved otherwise where a device rounds otherwise
        ("float32", 0, 16, True),  # in float32 a few are, and perhaps none in one step
        ("float32", 0, 970, False),
    ],
)
def test_a_column_that_is_the_same_to_the_bit_leaves_no_rounding_to_the_others(
    gradients: Precision, fgsm: int, pgd: int, rounding: bool
) -> None:
    """Twenty steps, each 1% longer than published, move half of the images less far."""
    claimed = dataclasses.replace(SAME, gradients=gradients)
    last_bits = 1.005 if gradients == "bf16" else 1 + 1e-5
    columns = {"fgsm": climbed(fgsm, last_bits), "pgd": climbed(pgd, last_bits)}
    found = as_seen(dict.fromkeys(columns, claimed), columns)["pgd"]
    assert found.same_device != rounding
    assert (columns["pgd"].verdict(found) == NOT) != rounding


def flipped(count: int) -> Changes:
    """Return changes of an attack along gradients by which some images resist only as published."""
    published = dataclasses.replace(attacked(), backwards=np.full(1000, 2, np.int32))
    robust = published.robust.copy()
    robust[np.flatnonzero(~robust)[:count]] = True
    return Changes.between(dataclasses.replace(published, robust=robust), published)


def test_a_false_version_excuses_no_prediction_where_all_sizes_are_the_same_to_the_bit() -> None:
    columns = {"fgsm": climbed(0), "pgd": flipped(3)}
    found = as_seen(dict.fromkeys(columns, ELSEWHERE), columns)
    assert columns["pgd"].verdict(ELSEWHERE) != NOT
    assert found["pgd"] == SAME
    assert columns["pgd"].verdict(found["pgd"]) == NOT
    elsewhere = {"fgsm": climbed(16), "pgd": flipped(3)}  # it does round otherwise
    assert not as_seen(dict.fromkeys(columns, ELSEWHERE), elsewhere)["pgd"].same_device


def test_an_attack_that_has_changed_since_excuses_no_other_column() -> None:
    columns = {"fgsm": climbed(0), "square": climbed(300), "pgd": flipped(3)}
    claimed = dict.fromkeys(columns, ELSEWHERE) | {
        "square": dataclasses.replace(ELSEWHERE, reason="earlier attack")
    }
    assert as_seen(claimed, columns)["pgd"] == SAME
    assert not as_seen(dict.fromkeys(columns, ELSEWHERE), columns)["pgd"].same_device


def test_one_step_of_signs_has_the_same_size_everywhere_and_proves_nothing() -> None:
    published = dataclasses.replace(attacked(), backwards=np.ones(1000, np.int32))
    columns = {"fgsm": Changes.between(published, published)}
    assert not as_seen(dict.fromkeys(columns, ELSEWHERE), columns)["fgsm"].same_device


def queried(factor: float, *, rounded: bool = True) -> Changes:
    """Return changes by which an attack took more queries, and its rounded images fool or not."""
    found = dataclasses.replace(attacked(), queries=np.full(1000, 300, np.int32))
    queries = (found.queries * factor).astype(np.int32)
    return Changes.between(
        dataclasses.replace(found, queries=queries, rounded=np.full(1000, rounded)),
        dataclasses.replace(found, rounded=np.ones(1000, bool)),
    )


def test_elsewhere_queries_and_rounded_images_do_not_all_differ_in_one_direction() -> None:
    assert queried(1).verdict(ELSEWHERE) == REPRODUCED
    assert queried(3).verdict(ELSEWHERE) == NOT
    assert queried(0.5).verdict(ELSEWHERE) == NOT
    assert queried(1, rounded=False).verdict(ELSEWHERE) == NOT


def test_on_the_same_device_sizes_and_counts_are_equal_too() -> None:
    published = outcomes(np.arange(1000) < 500)
    queries = published.queries.copy()
    queries[:50:2] += 1
    queries[1:50:2] -= 1
    found = Outcomes(**{**vars(published), "queries": queries})
    between = Changes.between(published, found)
    assert (between.predictions, between.other) == (0, 50)
    assert between.verdict(SAME) == NOT
    assert between.verdict(ELSEWHERE) == REPRODUCED


def attacked(**changed: tuple[str, float]) -> Outcomes:
    """Return outcomes of an attack that moves each image; ``name=("+", 1)`` changes one image."""
    rng = np.random.default_rng(0)
    sizes = rng.uniform(0.5, 1, 1000).astype(np.float32)
    made = dataclasses.replace(outcomes(np.arange(1000) < 500), l2=sizes, linf=sizes / 20)
    arrays = {name: array.copy() for name, array in vars(made).items()}
    for name, (how, value) in changed.items():
        arrays[name][0] = value if how == "=" else arrays[name][0] * value
    return Outcomes(**arrays)


@pytest.mark.parametrize(
    "one",
    [
        {"robust": ("=", 0)},
        {"robust": ("=", 0), "rounded": ("=", 0)},
        {"rounded": ("=", 0)},
        {"queries": ("=", 1)},
        {"forwards": ("=", 2)},
        {"linf": ("*", 0.9)},
        {"l2": ("*", 0.9)},
        {"l2": ("*", 1.1)},
    ],
)
def test_one_image_that_differs_as_rounding_makes_none_differ_is_not_reproduced(
    one: dict[str, tuple[str, float]],
) -> None:
    """A rival's image could be turned into a fooled one, as the handful that rounding decides."""
    forged = {"pgd": Changes.between(attacked(**one), attacked()), "fgsm": changes(0, 0)}
    conditions = as_seen(dict.fromkeys(forged, SAME), forged)["pgd"]
    assert conditions == SAME
    assert forged["pgd"].verdict(conditions) == NOT


@pytest.mark.parametrize(
    "one",
    [
        {"l2": ("*", 1.01)},
        {"l2": ("*", 1.01), "queries": ("=", 1)},
    ],
)
def test_one_image_that_took_another_way_is_rounding(one: dict[str, tuple[str, float]]) -> None:
    between = Changes.between(attacked(**one), attacked())
    assert between.verdict(SAME) == f"{REPRODUCED} but for 1 image (rounding)"


def test_where_last_bits_differ_on_one_image_another_way_is_taken_on_a_handful() -> None:
    forged = {
        "pgd": Changes.between(attacked(queries=("=", 1)), attacked()),
        "fgsm": sized(1, 1 + 1e-6),
    }
    conditions = as_seen(dict.fromkeys(forged, SAME), forged)["pgd"]
    assert forged["pgd"].verdict(conditions) == f"{REPRODUCED} but for 1 image (rounding)"


def test_elsewhere_the_differing_images_must_not_favor_the_publisher() -> None:
    gained = "net 5 in favor of the published figure"
    expected = f"{REPRODUCED} but for 5 images, {gained} (rounding)"
    assert changes(5, 0).verdict(ELSEWHERE) == expected
    assert changes(7, 0).verdict(ELSEWHERE) == NOT  # as one in 64 by chance, in either direction
    assert changes(19, 19).verdict(BF16) == f"{REPRODUCED} but for 38 images (rounding)"
    assert changes(30, 10).verdict(BF16) == NOT
    assert changes(10, 30).verdict(BF16) == NOT


def test_elsewhere_rounding_gains_the_publisher_only_a_few_images() -> None:
    assert changes(6, 0).verdict(ELSEWHERE) == NOT
    assert changes(0, 6).verdict(ELSEWHERE) == NOT
    assert changes(8, 2).verdict(ELSEWHERE) == NOT
    # Of 100 images 5 are too many, whatever device and precision are claimed.
    assert changes(5, 0, images=100).verdict(BF16) == NOT
    assert changes(6, 1, images=200).verdict(ELSEWHERE) == NOT
    assert changes(24, 14).verdict(BF16) != NOT


def test_elsewhere_rounding_changes_only_a_small_share_of_the_images() -> None:
    assert changes(5, 6).verdict(ELSEWHERE) == NOT
    assert changes(27, 27).verdict(BF16) == NOT
    # On few images chance makes a larger share of them differ.
    assert changes(3, 3, images=100).verdict(BF16) != NOT
    assert changes(5, 5, images=100).verdict(BF16) == NOT
    drawn = Conditions(same_device=False, library=True)
    assert changes(28, 29).verdict(drawn) != NOT
    assert changes(3, 0, images=100).verdict(ELSEWHERE) == NOT


def test_random_numbers_may_change_any_image_but_not_in_one_direction() -> None:
    conditions = Conditions(same_device=True, reason="random numbers")
    expected = f"{REPRODUCED} but for 200 images (random numbers)"
    assert changes(100, 100).verdict(conditions) == expected
    assert changes(130, 70).verdict(conditions) == NOT
    assert changes(70, 130).verdict(conditions) == NOT


def test_the_more_columns_are_compared_the_more_has_to_differ_in_one_of_them() -> None:
    conditions = Conditions(same_device=True, reason="random numbers")
    assert changes(119, 81).verdict(conditions) == NOT  # as in 0.9% of the cases by chance
    assert changes(119, 81).verdict(conditions, columns=2) != NOT
    assert changes(130, 70).verdict(conditions, columns=100) == NOT


def test_a_network_with_other_weights_is_another_one_and_refutes_nothing() -> None:
    """All of its images may be better or worse together: two seeds differ by more than chance."""
    conditions = Conditions(same_device=True, reason="other weights")
    assert changes(0, 0).verdict(conditions) == REPRODUCED
    gained = "other weights: 200 images differ, net 60 in favor of the published figure"
    assert changes(130, 70).verdict(conditions) == gained
    lost = "other weights: 1 image differs, net 1 against the published figure"
    assert changes(0, 1).verdict(conditions) == lost


def test_another_number_of_images_is_not_reproduced() -> None:
    cut = Changes.between(outcomes(np.ones(1, bool)), outcomes(np.ones(100, bool)))
    assert cut.verdict(ELSEWHERE) == NOT


def test_fresh_seeds_refute_a_figure_only_if_they_fool_significantly_more_or_fewer() -> None:
    cases = {"seed": (28, 29), "lucky": (12, 4), "raised": (40, 4), "lowered": (4, 40)}
    lines = [
        {"column": name, "p": changes(*case).sign_p(), "defense": "x"}
        for name, case in cases.items()
    ]
    verdicts = with_verdicts(lines).set_index("column")["verdict"]
    expected = {"seed": AGREES, "lucky": AGREES, "raised": REFUTED, "lowered": REFUTED}
    assert dict(verdicts) == expected
    assert with_verdicts([]).empty
