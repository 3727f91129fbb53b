"""Mean and std before a network of one's own: by name or by number, and said in words."""

import pytest
import torch

from robench.data import load_dataset
from robench.data.statistics import MEAN_STD
from robench.errors import UserError
from robench.models.normalization import IDENTITY, Normalization, choose_normalization


@pytest.mark.parametrize("name", MEAN_STD)
def test_a_well_known_data_set_is_named_without_loading_it(name: str) -> None:
    chosen = choose_normalization(name)
    assert chosen is not None
    assert (chosen.mean, chosen.std) == MEAN_STD[name]
    assert str(chosen).endswith(f"({name})")


def test_any_other_data_set_is_loaded_for_its_mean_and_std() -> None:
    digits, chosen = load_dataset("digits"), choose_normalization("digits")
    assert chosen is not None
    assert chosen.mean == digits.mean
    mnist = load_dataset("mnist5k")
    assert (mnist.mean, mnist.std) == MEAN_STD["mnist"]


def test_a_folder_is_read_whichever_way_it_is_named() -> None:
    for name in ("./none_here", "image_folder:none_here"):
        with pytest.raises(UserError, match="no image folder none_here found"):
            choose_normalization(name)


def test_numbers_and_fractions_are_read() -> None:
    chosen = choose_normalization(None, "0.5, 127.5/255,0.4", "(0.1,0.2,0.3)")
    assert chosen is not None
    assert chosen.mean == (0.5, 0.5, 0.4)
    assert str(chosen) == (
        "images are normalized with mean 0.5, 0.5, 0.4 and std 0.1, 0.2, 0.3 (--mean and --std)"
    )
    images = torch.rand(2, 3, 4, 4)
    expected = (images - torch.tensor(chosen.mean).view(3, 1, 1)) / torch.tensor(chosen.std).view(
        3, 1, 1
    )
    assert torch.equal(chosen.layer()(images), expected)


def test_none_leaves_images_unchanged() -> None:
    assert choose_normalization("none") is IDENTITY
    assert choose_normalization() is None
    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(IDENTITY.layer()(images), images)


@pytest.mark.parametrize(
    ("name", "mean", "std", "sentence"),
    [
        ("cifar11", None, None, "no mean and std are known for 'cifar11'; did you mean 'cifar10'"),
        ("cifar10", "0.5", "0.5", "either --normalize or --mean and --std"),
        (None, "0.5", None, "--mean and --std belong together"),
        (None, None, "0.5", "--mean and --std belong together"),
        (None, "a,b", "1,1", "--mean 'a,b': give numbers separated by commas"),
        (None, "0.5", "0.5,0.5", "the mean has 1 values and the std 2"),
        (None, "125.3", "63.0", "125.3 cannot be a mean or std of images in .0, 1.; divide"),
        (None, "-3", "1", "-3 cannot be a mean or std"),
        (None, "0.5", "0", "the std is 0; it must be above 0"),
        (None, "0.5", "nan", "must be finite numbers"),
        (None, "0.5", "-0.2", "the std is -0.2"),
    ],
)
def test_what_is_no_mean_and_std_is_refused(
    name: str | None, mean: str | None, std: str | None, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        choose_normalization(name, mean, std)


def test_for_gray_images_colors_are_averaged() -> None:
    color = Normalization((0.4, 0.5, 0.6), (0.1, 0.2, 0.3), "x")
    assert color.of_channels(3) is color
    assert color.of_channels(1).mean == pytest.approx((0.5,))
