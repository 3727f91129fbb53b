"""The ranking of GANs from invented figures, and what is said of its noise."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from robench.gan.board import GanBoard
from robench.gan.folder import GanManifest
from robench.gan.measured import Measured, Measurement
from robench.gan.spec import GanCell
from robench.leaderboard.gans.files import Diverged, GanCellFile, GanEvidence, samples_name, stems
from robench.leaderboard.gans.notes import gan_notes, overlap_sentences
from robench.leaderboard.gans.published import GanLeaderboard
from robench.leaderboard.gans.table import leaderboard, metrics_table, paper_table

ZERO = "0" * 64


def board(titles: Sequence[str], seeds: int, **measure: object) -> GanBoard:
    return GanBoard.model_validate(
        {
            "title": "invented",
            "arms": [{"defense": "vanilla", "label": title} for title in titles],
            "seeds": list(range(seeds)),
            "gan": {"steps": 10},
            "measure": measure,
            "paper": {"item": "T", "figures": {titles[0]: {"fid": [20.0]}}},
        }
    )


def evidence(spec: GanBoard, figures: Mapping[str, Sequence[float | None]]) -> list[GanEvidence]:
    """Return GANs with an FID each, and an inception score of a tenth; None has diverged."""
    names = stems(spec)
    found = []
    for title, values in figures.items():
        for seed, value in enumerate(values):
            cell = GanCell(
                defense="vanilla(bn=False)", data="cifar10", data_hash=ZERO, gan=spec.gan, seed=seed
            )
            manifest = GanManifest(
                specification=cell.key, version="abc", environment={}, data_hash=ZERO,
                training_seconds=5.0, peak_memory_mib=1, hashes={}, symptoms={},
            )  # fmt: skip
            measured = Measured(
                measurement=Measurement(
                    extractor="inception", data_hash=ZERO, against="train", images=50_000,
                    samples=50_000, seed=0, weights=ZERO, which="last", step=10,
                ),
                metrics={"fid": value or 0.0, "kid": 0.01, "is": (value or 0.0) / 10},
                version="abc",
                device="cpu",
            )  # fmt: skip
            ended = value is not None
            file = GanCellFile(
                row=title,
                cell=cell,
                discriminator_parameters=7,
                manifest=manifest if ended else None,
                diverged=None if ended else Diverged(reason="a loss", version="abc"),
                measured=(measured,) if ended else (),
            )
            found.append(GanEvidence(names[title, seed], file, ()))
    return found


def invented_gans(
    folder: Path, rows: Mapping[str, tuple[Sequence[float | None], int]]
) -> GanLeaderboard:
    """Return a board of GANs by their FIDs and parameters, with pictures that hold nothing.

    The trainings of a row take half a second per step, and a tenth less for each row before it.
    """
    spec = board([*rows], len(next(iter(rows.values()))[0]))
    figures = {title: values for title, (values, _) in rows.items()}
    found, titles = [], [*rows]
    (folder / "samples").mkdir()
    for one in evidence(spec, figures):
        manifest = one.file.manifest
        if manifest:
            seconds = 5.0 - titles.index(one.file.row)
            manifest = manifest.model_copy(update={"training_seconds": seconds})
            (folder / samples_name(one.name)).write_bytes(b"\x89PNG\r\n\x1a\n")
        update = {"manifest": manifest, "discriminator_parameters": rows[one.file.row][1]}
        found.append(replace(one, file=one.file.model_copy(update=update)))
    return GanLeaderboard("gans", folder, spec, "inception", tuple(found), {})


FIGURES = {"a": [30.0, 34.0], "b": [20.0, 21.0], "c": [20.5, 24.0], "d": [10.0, None]}


def test_less_is_better_and_ranges_that_meet_share_ranks() -> None:
    spec = board([*FIGURES], 2)
    table = leaderboard(spec, "inception", evidence(spec, FIGURES))
    assert list(table["defense"]) == ["b", "c", "a", "d"]
    assert list(table["rank"]) == [1, 2, 3, 4]
    assert table["rank_low"].tolist()[:3] == [1, 1, 3]
    assert table["rank_high"].tolist()[:3] == [2, 2, 3]
    assert table["fid_mean"].tolist()[:3] == [20.5, 22.25, 32.0]
    assert table["fid_std"][0] == pytest.approx(0.5**0.5)
    assert table["flags"].tolist() == ["", "", "", "diverged"]
    assert table.loc[3, ["fid_mean", "rank_low", "seconds_per_step"]].isna().all()
    assert table["seconds_per_step"][0] == 0.5
    assert overlap_sentences(spec, "inception", table) == ["Ranges by fid overlap for 'b' and 'c'."]
    assert "no test of significance" in gan_notes(spec, "inception", table)[0]


def test_more_is_better_for_a_score() -> None:
    spec = board([*FIGURES], 2, rank_by="score")
    table = leaderboard(spec, "inception", evidence(spec, FIGURES))
    assert list(table["defense"]) == ["a", "c", "b", "d"]
    assert table["rank_high"].tolist()[:3] == [1, 3, 3]


def test_one_seed_has_no_range_and_claims_no_order() -> None:
    spec = board(["a", "b"], 1)
    table = leaderboard(spec, "inception", evidence(spec, {"a": [3.0], "b": [2.0]}))
    assert table["rank_low"].isna().all()
    assert table["fid_std"].isna().all()
    notes = gan_notes(spec, "inception", table)
    assert notes == [
        "There is one seed, so nothing here shows how far another seed would move a figure: the "
        "order of the rows may be chance."
    ]


def test_a_board_of_which_all_diverged_has_a_table() -> None:
    spec = board(["a"], 1)
    found = evidence(spec, {"a": [None]})
    table = leaderboard(spec, "inception", found)
    assert table["rank"].tolist() == [1]
    assert table["fid_mean"].isna().all()
    assert metrics_table(spec, found).empty
    assert paper_table(spec, table)["difference"].isna().all()


def test_the_papers_figure_is_beside_ours() -> None:
    spec = board(["a"], 1)
    table = leaderboard(spec, "inception", evidence(spec, {"a": [23.5]}))
    (row,) = paper_table(spec, table).to_dict("records")
    assert (row["paper"], row["ours"], row["difference"]) == (20.0, 23.5, 3.5)


def test_a_row_says_what_it_changes_of_the_recipe() -> None:
    spec = GanBoard.model_validate(
        {
            "title": "invented",
            "arms": [
                {"defense": "vanilla", "label": "a"},
                {"defense": "vanilla", "label": "b", "gan": {"lr": 0.1, "width": 64}},
            ],
            "gan": {"steps": 10},
        }
    )
    table = leaderboard(spec, "inception", evidence(spec, {"a": [1.0], "b": [2.0]}))
    assert dict(zip(table["defense"], table["recipe"], strict=True)) == {
        "a": "", "b": "lr=0.1, width=64",
    }  # fmt: skip
