"""Two processes train the same network as one process, up to rounding."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from fit_in_parts import CASES
from fit_in_parts import train as trained

from robench.errors import UserError
from robench.system.processes import Shard
from robench.training.parallel import check_shards, whole_batch

SCRIPT = Path(__file__).parent / "fit_in_parts.py"

train = cache(trained)  # several tests compare with the same training by one process


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of every case, trained by two processes."""
    out = tmp_path_factory.mktemp("parts")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(SCRIPT), str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    results: dict[str, Any] = torch.load(out / "results.pt", weights_only=True)
    return results


@pytest.mark.parametrize("case", CASES)
def test_the_loss_curve_is_that_of_one_process_with_the_same_batches(
    case: str, of_two: dict[str, Any]
) -> None:
    alone, together = train(case), of_two[case]
    # A gradient near zero may have another sign, which moves a pixel by whole steps.
    tolerance = 1e-4 if CASES[case][1].get("method") == "standard" else 2e-2
    assert together["losses"] == pytest.approx(alone["losses"], rel=tolerance)
    for curve in ("train_accuracy", "val_accuracy"):
        assert together[curve] == pytest.approx(alone[curve], abs=0.05)
    assert together["losses"][-1] < together["losses"][0]


@pytest.mark.parametrize(
    "case", [case for case, (_, changes) in CASES.items() if changes.get("method") == "standard"]
)
def test_weights_and_statistics_are_those_of_one_process(case: str, of_two: dict[str, Any]) -> None:
    alone, together = train(case)["state"], of_two[case]["state"]
    assert isinstance(alone, dict)
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_the_network_is_left_with_its_own_batch_norms(of_two: dict[str, Any]) -> None:
    assert of_two["batchnorm"]["kinds"] == train("batchnorm")["kinds"]


def test_an_interrupted_training_of_two_resumes_to_the_same_weights(
    of_two: dict[str, Any],
) -> None:
    for name, tensor in of_two["carried"]["state"].items():
        assert torch.equal(tensor, of_two["resumed"]["state"][name]), name


def test_two_that_draw_unequal_numbers_resume_within_an_epoch_to_the_same_weights(
    of_two: dict[str, Any],
) -> None:
    for name, tensor in of_two["uneven"]["state"].items():
        assert torch.equal(tensor, of_two["uneven resumed"]["state"][name]), name


def test_what_one_process_cannot_write_or_read_both_refuse_in_the_same_sentence(
    of_two: dict[str, Any],
) -> None:
    first, second = of_two["refusals"]
    assert first == second
    unwritable, unseen = first
    assert re.match("cannot write .*folder: it is a folder", unwritable)
    assert re.match("process 1: cannot read the training state .*absent.pt", unseen)


def test_parts_follow_one_another_and_make_up_the_batch() -> None:
    rows = torch.arange(11)
    parts = [Shard(rank, 3).of(rows) for rank in range(3)]
    assert torch.equal(torch.cat(parts), rows)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_batch_with_one_image_too_few_is_refused() -> None:
    assert [whole_batch(20, 8, i) for i in range(3)] == [8, 8, 4]
    check_shards(20, 8, 3, Shard(0, 4))
    with pytest.raises(UserError, match=r"4 image\(s\) for 5 processes"):
        check_shards(20, 8, 3, Shard(0, 5))
