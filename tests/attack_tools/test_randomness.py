"""Per-sample random numbers."""

import torch

from robench.attack_tools.randomness import generators, in_ball, permutations, uniform


def test_a_sample_s_numbers_depend_on_seed_and_index_alone() -> None:
    whole = uniform(generators(7, [0, 1, 2, 3]), (5,))
    part = uniform(generators(7, [3, 1]), (5,))
    assert torch.equal(part, whole[[3, 1]])
    assert not torch.equal(uniform(generators(8, [3]), (5,))[0], whole[3])
    assert len(whole.unique()) == 20


def test_orders_are_permutations_of_their_own() -> None:
    orders = permutations(generators(0, range(4)), 50)
    assert all(sorted(order) == list(range(50)) for order in orders.tolist())
    assert len({tuple(order) for order in orders.tolist()}) == 4


def test_points_in_an_l2_ball_fill_it_as_its_volume_does() -> None:
    points = in_ball(generators(0, range(4000)), (2,), "l2", 1.0)
    radii = points.norm(dim=1)
    assert radii.max() <= 1 + 1e-6
    assert abs((radii < 0.5).float().mean().item() - 0.25) < 0.03  # a quarter of the area
