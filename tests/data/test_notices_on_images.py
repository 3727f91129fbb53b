"""Images that seem to be others than are meant are not evaluated in silence."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import Command
from torch import Tensor, nn

from robench import ThreatModel, check_model, evaluate
from robench.data import load_dataset
from robench.data.notices import image_notices, scale_notice
from robench.errors import RobenchWarning

MASKS, LABELS = (torch.arange(6 * 16).view(6, 1, 4, 4) % 3 % 2).byte(), torch.arange(6) % 2
BLACK = "the images are all but black, since none of their values is above 1 of 255"


def model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


@pytest.mark.parametrize("images", [MASKS, torch.zeros(1, 1, 2, 2, dtype=torch.uint8)])
def test_bytes_of_zero_and_one_are_named(images: Tensor) -> None:
    assert (scale_notice(images) or "").startswith(BLACK)


@pytest.mark.parametrize("images", [2 * MASKS, MASKS.float(), MASKS[:0]])
def test_bytes_of_two_and_more_usual_floats_and_nothing_are_not(images: Tensor) -> None:
    assert scale_notice(images) is None


@pytest.mark.parametrize("images", [MASKS.float() / 255, MASKS.numpy() / np.float64(255)])
def test_floats_that_were_divided_twice_are_named(images: Any) -> None:
    words = "the images are all but black, since none of their floats is above 1/255: if they were"
    assert (scale_notice(torch.as_tensor(images)) or "").startswith(words)
    with pytest.warns(RobenchWarning, match=words) as caught:
        evaluate(model(), images, LABELS, ["fgsm"])
    assert sum("all but black" in str(each.message) for each in caught) == 1


def test_images_whose_channels_are_last_are_named() -> None:
    """A network that flattens takes them, and sees other images."""
    images = torch.rand(6, 1, 4, 4)
    last = images.permute(0, 2, 3, 1)
    words = r"the images seem to be \(N, H, W, C\), since their shape is \(6, 4, 4, 1\)"
    with pytest.warns(RobenchWarning, match=words) as caught:
        evaluate(model(), last, LABELS, ["fgsm"])
    assert sum("(N, H, W, C)" in str(each.message) for each in caught) == 1
    with pytest.warns(RobenchWarning, match=words):
        check_model(model(), last, LABELS, ThreatModel("linf", 0.1), checks=["stateful"])
    assert image_notices(images) == []
    assert image_notices(torch.rand(1, 3, 3, 3)) == []


def test_an_evaluation_and_the_checks_say_it() -> None:
    with pytest.warns(RobenchWarning, match=BLACK):
        evaluate(model(), MASKS, LABELS, ["fgsm"])
    with pytest.warns(RobenchWarning, match=BLACK):
        check_model(model(), MASKS.numpy(), LABELS, ThreatModel("linf", 0.1), checks=["stateful"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobenchWarning)
        evaluate(model(), 255 * MASKS, LABELS, ["fgsm"])


def test_a_command_says_it_once(robench: Command, tmp_path: Path) -> None:
    np.savez(tmp_path / "masks.npz", images=MASKS.numpy(), labels=LABELS.numpy())
    with pytest.warns(RobenchWarning, match=r"the test images of masks.npz are all but black"):
        load_dataset(str(tmp_path / "masks.npz"))
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef build(): return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))\n"
    )
    done = robench("attack", "--model", f"{tmp_path / 'net.py'}:build", "--data",
                   tmp_path / "masks.npz", "--attacks", "fgsm", "--checks")  # fmt: skip
    assert done.code == 0, done.err
    assert done.err.count("all but black") == 1
