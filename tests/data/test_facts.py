"""What is known of data sets without reading them."""

import pytest

from robench.data import load_dataset
from robench.data.facts import facts_of
from robench.registry import datasets


@pytest.mark.parametrize("name", ["digits", "mnist5k"])
def test_the_facts_are_those_of_the_images(name: str) -> None:
    facts, read = facts_of(name), load_dataset(name)
    assert facts is not None
    assert facts.shape == (read.in_channels, *read.image_size)
    assert (facts.classes, facts.train) == (read.num_classes, len(read.train))


def test_every_data_set_of_the_suite_but_the_users_own_folders_is_known() -> None:
    unknown = {name for name in datasets if facts_of(name) is None}
    assert "image_folder" in unknown
    assert not unknown & {"cifar10", "cifar100", "emnist", "imagenet", "mnist", "svhn"}


def test_options_choose_the_split() -> None:
    letters, balanced = facts_of("emnist(split='letters')"), facts_of("emnist(upright=True)")
    assert letters is not None
    assert balanced is not None
    assert (letters.classes, balanced.classes) == (26, 47)
    assert facts_of("emnist(split='none')") is None
    assert facts_of("cifar10-jpeg") is None
    assert facts_of("(") is None
