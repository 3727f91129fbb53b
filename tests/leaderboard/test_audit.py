"""Audit of published boards against their own artifacts."""

import re
from dataclasses import replace

import pytest
from published_board import Published
from support import Command

from robench.evaluation import Outcomes
from robench.leaderboard.audit import audit
from robench.leaderboard.published import Leaderboard
from robench.system.provenance import file_hash


def test_weights_that_are_promised_or_listed_and_are_others(published: Published) -> None:
    published.change("board.json", '"title"', '"publish_weights": true, "title"', sums=True)
    found = problems(published)
    assert any("says that it publishes its weights, but weights/" in text for text in found)
    key = Leaderboard.read(published.folder).cells[0].file.cell.key
    path = published.folder / f"weights/{key}.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"other")
    sums = published.folder / "SHA256SUMS"
    sums.write_text(f"{sums.read_text()}{file_hash(path)}  weights/{key}.safetensors\n")
    assert any("is not the file of its manifest" in text for text in problems(published))


def test_a_file_among_the_evidence_that_has_no_checksum(published: Published) -> None:
    for name in ("manifests/more.json", "outcomes/more.npz", "sources/more/more.py"):
        path = published.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        assert f"{name} is not in SHA256SUMS." in audit(Leaderboard.read(published.folder))


def problems(published: Published) -> list[str]:
    return audit(Leaderboard.read(published.folder))


def test_an_honest_board_has_no_problem(published: Published) -> None:
    assert problems(published) == []


def test_a_comparison_of_an_earlier_version_is_called_so(published: Published) -> None:
    published.change("comparisons.csv", "McNemar", "bootstrap", sums=True)
    assert "comparisons.csv is by the bootstrap of earlier versions" in problems(published)[0]


@pytest.mark.parametrize("sums", [False, True])
@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("leaderboard.csv", ",free,", ",standard,", "column training: it says standard"),
        ("comparisons.csv", "McNemar", "t-test", "column method"),
        ("manifests/batch*", '"epochs": 1', '"epochs": 30', "has the hash"),
        ("manifests/batch*", '"seconds": ', '"seconds": 9', "train_seconds_per_epoch"),
        ("manifests/batch*", '"passed": true', '"passed": false', "column flags"),
        ("board.json", '"epochs": 1', '"epochs": 30', "but the board says"),
        ("board.json", '"batchnorm",', "", "is not on the board"),
    ],
)
def test_an_altered_file_is_caught_with_and_without_its_checksum(
    published: Published, name: str, old: str, new: str, message: str, sums: bool
) -> None:
    published.change(name, old, new, sums=sums)
    found = " ".join(problems(published))
    assert message in found
    assert ("checksum differs" in found) == (not sums)


def test_an_improved_figure_is_reported_with_the_true_one(published: Published) -> None:
    path = published.folder / "leaderboard.csv"
    table = Leaderboard.read(published.folder).table
    index = table.columns.get_loc("pgd-4_mean")
    lines = path.read_text().splitlines()
    fields = lines[1].split(",")
    was, fields[index] = fields[index], "0.99"
    path.write_text("\n".join([lines[0], ",".join(fields), *lines[2:]]) + "\n")
    published.sum_up()
    [problem] = problems(published)
    assert re.search(f"column pgd-4_mean: it says 0.99, but its outcomes give {was}", problem)


def test_improved_outcomes_are_caught(published: Published) -> None:
    path = next(iter(sorted(published.folder.glob("outcomes/*/pgd-4*"))))
    old = Outcomes.load(path)
    better = replace(old, robust=old.correct, rounded=old.correct)
    before = file_hash(path)
    better.save(path)
    published.sum_up()
    assert "the outcomes of pgd-4 are not those of the manifest" in " ".join(problems(published))
    # Forging the hash in the manifest as well is caught by the digest and the figures.
    for manifest in published.folder.glob("manifests/*"):
        manifest.write_text(manifest.read_text().replace(before, file_hash(path)))
    published.sum_up()
    found = " ".join(problems(published))
    assert "column pgd-4_mean" in found
    assert "column digest" in found


def test_a_missing_cell_is_caught(published: Published) -> None:
    sums = published.folder / "SHA256SUMS"
    lines = [line for line in sums.read_text().splitlines() if "convnorm" not in line]
    sums.write_text("\n".join(lines) + "\n")
    assert "'convnorm', seed 0, is on the board but has no manifest" in " ".join(
        problems(published)
    )


def test_the_command_says_what_is_wrong_and_exits_with_1(
    robench: Command, published: Published
) -> None:
    done = robench("verify", published.folder, "--rows", "0")
    assert done.code == 0, done.err
    assert "2 rows, 2 cells" in done.out
    published.change("leaderboard.csv", ",free,", ",standard,", sums=False)
    done = robench("verify", published.folder, "--rows", "0")
    assert done.code == 1
    assert done.out.count("wrong: ") >= 2
    assert robench("verify", published.store).code == 2
    assert robench("verify", published.folder, "--rows", "some").code == 2
