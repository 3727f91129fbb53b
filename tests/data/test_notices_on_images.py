"""Images that seem to be scaled already are not divided by 255 in silence."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from support import Command
from torch import Tensor, nn

from robench import ThreatModel, check_model, evaluate
from robench.data import load_dataset
from robench.data.notices import scale_notice
from robench.errors import RobenchWarning

MASKS, LABELS = (torch.arange(6 * 16).view(6, 1, 4, 4) % 3 % 2).byte(), torch.arange(6) % 2
BLACK = "the images are all but black, since none of their values is above 1 of 255"


def model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


@pytest.mark.parametrize("images", [MASKS, torch.zeros(1, 1, 2, 2, dtype=torch.uint8)])
def test_bytes_of_zero_and_one_are_named(images: Tensor) -> None:
    assert (scale_notice(images) or "").startswith(BLACK)


@pytest.mark.parametrize("images", [2 * MASKS, MASKS.float(), MASKS[:0]])
def test_bytes_of_two_and_more_floats_and_nothing_are_not(images: Tensor) -> None:
    assert scale_notice(images) is None


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
