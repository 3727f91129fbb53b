"""Challenges that are forged or damaged are found, with and without the weights."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from weak_board import ROW, Weak, cell_of, only_challenge

from robench.commands.challenge import challenge
from robench.commands.verify import verify
from robench.errors import UserError
from robench.leaderboard.challenge import record
from robench.leaderboard.challenge.files import Challenge, challenge_name, fallen
from robench.leaderboard.challenge.record import add_challenges
from robench.leaderboard.evidence import read_sums, write_sums


def forged(weak: Weak, store: list[Path], **changed: object) -> Path:
    """Publish a challenge with other facts, indices or images, with all sums and tables right."""
    challenge(weak.folder, ROW, weak.file(), stores=store)
    path = only_challenge(weak.folder)
    real = Challenge.load(path)
    facts = {k: v for k, v in changed.items() if k in type(real.facts).model_fields}
    arrays = {k: v for k, v in changed.items() if k not in facts}
    forgery = replace(real, facts=real.facts.model_copy(update=facts), **arrays)  # type: ignore[arg-type]
    names = [name for name in read_sums(weak.folder) if not name.startswith("challenges/")]
    path.unlink()
    write_sums(weak.folder, [weak.folder / name for name in names])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "_check_weights", lambda board, found: None)
        add_challenges(weak.folder, {cell_of(weak.folder).file.cell.key: forgery})
    return weak.folder


def in_ball(norm: str, eps: str) -> np.ndarray:
    """Return the facts of a challenge in a ball."""
    text = f'{{"weights_hash": "{"0" * 64}", "norm": "{norm}", "eps": {eps}, "source": ""}}'
    return np.frombuffer(text.encode(), np.uint8)


@pytest.mark.parametrize(("changed", "message"), [
    ({"images": np.ones((2, 1, 8, 8), np.float32), "indices": np.array([3, 5])},
     "beyond the radius 0.1 of its linf ball, and 1 more leave it as well"),
    ({"images": np.ones((1, 3, 8, 8), np.uint8), "indices": np.array([3])},
     r"has images of the shape \(3, 8, 8\), but those of the data are \(1, 8, 8\)"),
    ({"images": np.ones((1, 1, 8, 8), np.uint8), "indices": np.array([60])},
     "has the index 60, but the board evaluates 60 images"),
    ({"weights_hash": "0" * 64}, "is a challenge of other weights than those of the manifest"),
    ({"eps": 0.2}, "is of another threat model than the board's"),
    ({"norm": "l2"}, "is of another threat model than the board's"),
])  # fmt: skip
def test_a_forged_challenge_is_found_also_without_weights(
    weak: Weak, store: list[Path], changed: dict[str, object], message: str
) -> None:
    found = verify(forged(weak, store, **changed), rows="0")
    assert not found.sound
    problems = [*found.problems, *(found.rerun.problems if found.rerun else ())]
    assert len(problems) == 1
    assert re.search(message, problems[0])


def test_an_image_that_does_not_fool_is_found_where_the_weights_are(
    weak: Weak, store: list[Path]
) -> None:
    robust = np.flatnonzero(cell_of(weak.folder).outcomes["noise"].robust)[:3]
    folder = forged(weak, store, images=weak.clean[robust], indices=robust)
    without = verify(folder, rows="0")
    assert without.sound
    assert any("its challenges were not predicted again" in text for text in without.unchecked)
    found = verify(folder, rows="0", stores=store)
    assert found.rerun is not None
    [problem] = found.rerun.problems
    assert f"the image with the index {robust[0]} does not fool the network, and neither do 2" in (
        problem
    )


@pytest.mark.parametrize(("arrays", "message"), [
    ({"indices": np.array([5, 5])}, "one is negative or there twice"),
    ({"indices": np.array([-1, 5])}, "one is negative or there twice"),
    ({"indices": np.array([1.0, 5.0])}, "its indices are not a list of int64"),
    ({"images": np.full((2, 1, 8, 8), 2, np.float32)}, "its images leave"),
    ({"images": np.full((2, 1, 8, 8), np.nan, np.float32)}, "its images leave"),
    ({"images": np.zeros((3, 1, 8, 8), np.uint8)}, "its images are not one uint8 or float32"),
    ({"images": np.array([{}, 1], object)}, "holds Python objects"),
    ({"about": in_ball("l1", "0.1")}, "'norm' of its array 'about' is wrong"),
    ({"about": in_ball("linf", "1" + "0" * 400)}, "it has a whole number of 401 digits"),
    ({"about": np.frombuffer(b"{}", np.uint8)}, "of its array 'about' is wrong"),
    ({"more": np.zeros(1)}, "it has more than 3 members"),
])  # fmt: skip
def test_what_is_no_challenge_is_a_sentence_of_verify(
    weak: Weak, arrays: dict[str, np.ndarray], message: str
) -> None:
    cell = cell_of(weak.folder)
    assert cell.file.manifest is not None
    about = {"weights_hash": cell.file.manifest.weights_hash, "norm": "linf", "eps": 0.1}
    text = json.dumps({**about, "source": ""}).encode()
    good = {
        "about": np.frombuffer(text, np.uint8),
        "indices": np.array([3, 5]),
        "images": np.zeros((2, 1, 8, 8), np.uint8),
    }
    path = weak.folder / challenge_name(cell.file.cell.key, b"")
    path.parent.mkdir(parents=True)
    np.savez(path, **(good | arrays))
    names = [*read_sums(weak.folder), path.relative_to(weak.folder).as_posix()]
    write_sums(weak.folder, [weak.folder / name for name in names])
    problems = verify(weak.folder, rows="0").problems
    assert len(problems) == 1
    assert re.search(message, problems[0]), problems


def test_a_file_of_no_cell_and_one_without_checksum_are_found(weak: Weak) -> None:
    stray = weak.folder / "challenges" / ("0" * 16) / f"{'1' * 16}.npz"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"")
    name = stray.relative_to(weak.folder).as_posix()
    assert f"{name} is not in SHA256SUMS." in verify(weak.folder, rows="0").problems
    write_sums(weak.folder, [weak.folder / n for n in [*read_sums(weak.folder), name]])
    assert f"{name} belongs to no cell." in verify(weak.folder, rows="0").problems


def test_a_link_out_of_the_folder_is_not_followed_for_figures(tmp_path: Path) -> None:
    outside = tmp_path / "outside.npz"
    np.savez(outside, indices=np.array([1]))
    link = tmp_path / "board" / challenge_name("0" * 16, b"")
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(UserError, match="it is a link that leads out of"):
        fallen([link], 60)
