"""A wrong command line is one sentence, as all bad input is; no usage is printed around it."""

import pytest
import torch
from support import Command


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("list nosuch", "invalid value for 'kind': 'nosuch' is not one of 'defenses', 'attacks', "
         "'datasets', 'models', 'checks', 'training-methods', 'boards'; see 'robench list --help'"),
        ("export x --format xml", "invalid value for '--format': 'xml' is not one of 'markdown', "
         "'latex', 'long-csv', 'parquet', 'vnnlib'; see 'robench export --help'"),
        ("nosuch", "no such command 'nosuch'; see 'robench --help'"),
        ("gan nosuch", "no such command 'nosuch'; see 'robench gan --help'"),
        ("--nosuch", "no such option: --nosuch; see 'robench --help'"),
        ("run quick --plugin",
         "option '--plugin' requires an argument; see 'robench run --help'"),
        ("gan train --plugin",
         "option '--plugin' requires an argument; see 'robench gan --help'"),
        ("new defense", "missing argument 'name'; see 'robench new defense --help'"),
        ("plan --difference 200",
         "a difference of 200 percentage points is not between 0 and 100"),
        ("attack --model resnet18 --data digits --attacks fgsm --norm l1",
         "--norm l1: use linf or l2"),
        ("run quick --inception w.pth",
         "--inception goes with a board of GANs; leave it out"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_sentence_without_the_usage(
    robench: Command, arguments: str, sentence: str
) -> None:
    done = robench(*arguments.split())
    assert done.code == 2
    assert done.err == f"robench: {sentence}.\n"


def test_a_group_of_commands_without_one_prints_its_help(robench: Command) -> None:
    for group in ("gan", "new"):
        done = robench(group)
        assert "Commands:" in done.err
        assert "robench: " not in done.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="cuda is a device here")
def test_a_device_that_is_not_here_is_not_suggested(robench: Command) -> None:
    done = robench("run", "quick", "--device", "cuda")
    assert done.code == 2
    assert "device 'cuda' cannot be used" in done.err
    assert done.err.endswith("; try cpu.\n")
