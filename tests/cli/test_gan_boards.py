"""Boards of GANs through the command line: run, resume, status."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gan_boards import BOARD, folder_of_images
from PIL import Image
from support import Command
from torch import Tensor, nn

from robench.board.writing import board_text
from robench.gan.spec import GanCell
from robench.leaderboard.evidence import read_sums, write_sums
from robench.leaderboard.gans.published import GanLeaderboard
from robench.leaderboard.gans.table import tables_text
from robench.system.files import write_text


class Means(nn.Module):
    """Features of a network that is computed in no time: means of colors and of quadrants."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        halves = nn.functional.adaptive_avg_pool2d(images.float() / 255, 2)
        return (halves.flatten(1)[:, :5],)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(autouse=True)
def _stub(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch_fidelity")
    monkeypatch.setattr("robench.gan.metrics.extractors.efficientnet_lite0", lambda _: Means())


@pytest.fixture(scope="module")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"runs": tmp_path_factory.mktemp("kept") / "runs"}


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(BOARD)
    return path


@pytest.fixture
def runs(robench: Command, board: Path, data: Path, tmp_path: Path, _kept: dict[str, Path]) -> Path:
    """A copy of a folder in which the board was run once for all tests."""
    if not _kept["runs"].exists():
        done = robench("run", board, "--data-dir", data, "--out", _kept["runs"], "--quiet")
        assert done.code == 0, done.err
    shutil.copytree(_kept["runs"], tmp_path / "runs")
    return tmp_path / "runs"


def test_a_board_is_run_once_and_published(
    robench: Command, board: Path, data: Path, runs: Path
) -> None:
    folder = runs / "tiny"
    table = pd.read_csv(folder / "leaderboard.csv")
    assert sorted(table["defense"]) == ["averaged,' -1", "spectral_norm"]  # no formula
    column = "fd_efficientnet_lite0"
    assert list(table[f"{column}_mean"]) == sorted(table[f"{column}_mean"])
    assert not any("fid" in name or name.startswith("is_") for name in table)
    metrics = pd.read_csv(folder / "metrics.csv")
    assert len(metrics) == 2 * 2 * 2  # rows, seeds, steps
    assert set(metrics["step"]) == {2, 4}
    assert set(metrics["weights"]) == {"last", "ema"}
    ends = metrics[(metrics["step"] == 4) & (metrics["defense"] == "spectral_norm")][column]
    row = table[table["defense"] == "spectral_norm"].iloc[0]
    assert row[f"{column}_mean"] == pytest.approx(ends.mean(), rel=1e-4)
    assert row[f"{column}_std"] == pytest.approx(ends.std(), rel=1e-3)
    assert (row[f"{column}_low"], row[f"{column}_high"]) == pytest.approx(
        (ends.min(), ends.max()), rel=1e-4
    )
    curves = pd.read_csv(folder / "curves.csv")
    assert list(curves["step"]) == [2, 4] * 4
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"samples/spectral_norm-seed1.png", "manifests/averaged___1-seed2.json", "board.toml",
            "board.json", "SHA256SUMS"} <= names  # fmt: skip
    assert len([name for name in names if name.startswith("weights/")]) == 4
    assert str(data) not in (folder / "board.json").read_text()

    before = {p: p.stat().st_mtime_ns for p in runs.rglob("*") if p.is_file() and p.name[0] != "."}
    done = robench("run", board, "--data-dir", data, "--out", runs, "--quiet")
    assert done.code == 0, done.err
    assert "Each row has 2 seeds" in done.out
    assert "neither FID nor KID" in done.out
    after = {p: p.stat().st_mtime_ns for p in runs.rglob("*") if p.is_file() and p.name[0] != "."}
    assert after == before  # nothing was computed or written again


def test_a_tracker_gets_the_losses_and_the_distance_over_the_steps(
    robench: Command, board: Path, data: Path, runs: Path
) -> None:
    run = ("run", board, "--data-dir", data, "--out", runs, "--quiet", "--log", "csv")
    for _ in range(2):
        done = robench(*run)
        assert done.code == 0, done.err
        assert f"Logs: {runs / 'logs'}" in done.out
    folder = runs / "logs" / "csv" / "tiny" / "averaged___1-seed2"
    logged = pd.read_csv(folder / "metrics.csv").set_index("step")
    params = json.loads((folder / "hparams.json").read_text())
    log = pd.read_csv(runs / "gans" / params["cell"] / "training.csv", index_col="step")
    for loss in ("discriminator_loss", "generator_loss"):
        assert logged[loss].dropna().to_dict() == pytest.approx(log[loss].to_dict())
    metrics = pd.read_csv(runs / "tiny" / "metrics.csv")
    own = metrics[(metrics["defense"] == "averaged,' -1") & (metrics["seed"] == 2)]
    column = "fd_efficientnet_lite0"
    distances = own.set_index("step")[column].to_dict()
    assert set(distances) == {2, 4}
    assert logged[column].dropna().to_dict() == pytest.approx(distances, rel=1e-4)
    assert params["gan.averaging"] == 0.5


def test_table_3_is_listed_with_its_state(robench: Command, runs: Path) -> None:
    (runs / "tiny").rename(runs / "paper-table3-cpu")  # as if it had been run with changes
    done = robench("reproduce", "--out", runs, "--json")
    assert done.code == 0, done.err
    found = {each["board"]: each for each in json.loads(done.out) if each["item"] == "Table 3"}
    assert found.keys() == {"paper-table3", "paper-table3-cpu"}
    assert found["paper-table3"]["state"] in ("not run", "published")
    reduced = found["paper-table3-cpu"]
    if reduced["state"] != "published":
        assert reduced["state"] == "run, changed"
        assert reduced["provenance"].startswith("seeds 1, 2; 12 samples; ")


def test_a_dry_run_says_what_is_left_and_stores_nothing(
    robench: Command, board: Path, data: Path, runs: Path, tmp_path: Path
) -> None:
    run = ("run", board, "--data-dir", data, "--dry-run")
    done = robench(*run, "--json", "--jobs", 2, "--out", tmp_path / "new")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [(c["row"], c["seed"], c["state"]) for c in found["cells"]] == [
        (row, seed, "waiting") for row in ("spectral_norm", "averaged, -1") for seed in (1, 2)
    ]
    assert all(c["training"] > 0 and c["measuring"] > 0 for c in found["cells"])
    total = sum(c["training"] + c["measuring"] for c in found["cells"])
    assert found["seconds"] == pytest.approx(total / 2)
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    stored = robench(*run, "--out", runs)
    assert stored.code == 0, stored.err
    assert "Nothing is left to compute." in stored.out


def test_status_says_how_far_each_gan_is(
    robench: Command, board: Path, data: Path, runs: Path
) -> None:
    (metrics, *_) = sorted(runs.glob("gans/*/metrics/*.json"))
    metrics.unlink()
    done = robench("status", board, "--data-dir", data, "--out", runs, "--json")
    assert done.code == 0, done.err
    states = [cell["state"] for cell in json.loads(done.out)]
    assert sorted(states) == ["done", "done", "done", "measuring"]


def test_a_gan_that_diverges_stops_no_other(
    robench: Command, board: Path, data: Path, tmp_path: Path
) -> None:
    board.write_text(BOARD.replace('weights = "ema"', "gan = {lr = 1e30}").replace("[1, 2]", "[1]"))
    done = robench("run", board, "--data-dir", data, "--out", tmp_path / "runs", "--quiet")
    assert done.code == 0, done.err
    assert "averaged, -1, seed 1: training diverged" in done.out
    table = pd.read_csv(tmp_path / "runs" / "tiny" / "leaderboard.csv")
    assert list(table["flags"].fillna("")) == ["", "diverged"]
    assert table["fd_efficientnet_lite0_mean"].isna().tolist() == [False, True]
    assert table["rank_low"].isna().all()  # one seed
    assert "There is one seed" in done.out


def test_a_gan_that_fails_stops_no_other(
    robench: Command, board: Path, data: Path, runs: Path
) -> None:
    (spec, *_) = sorted(runs.glob("gans/*/manifest.json"))
    spec.write_text("{}")
    for path in runs.glob("gans/*/metrics/*.json"):
        path.unlink()
    done = robench("run", board, "--data-dir", data, "--out", runs, "--quiet")
    assert done.code == 2
    assert "manifest.json is damaged" in done.err
    assert "the same command goes on from there" in done.err
    assert len([*runs.glob("gans/*/metrics/*.json")]) == 6  # two for each of the three others


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("steps = 4", "stepps = 4"), "line 19: unknown key 'gan.stepps'; did you mean 'steps'"),
        (("averaging = 0.5\n", ""), "needs averaged weights; set gan.averaging"),
        (("snapshots = 1\n", ""), "measure.snapshots needs generators on the way"),
        (("samples = 12", "samples = 12, images = 99"), "compares with 99 test images"),
        (('"spectral_norm"', '"spectral_nrm"'), "did you mean 'spectral_norm'"),
        (('"spectral_norm"', '"vanilla", "vanilla"'), "two rows are called 'vanilla'"),
        (("lr = 0.01", "lr = 0.01\n[paper]\nitem = 'T'\n[paper.figures.vanila]\nfid = [1]"),
         "is not a row"),
    ],
)  # fmt: skip
def test_a_wrong_board_gets_one_sentence(
    robench: Command, board: Path, data: Path, tmp_path: Path, change: tuple[str, str],
    sentence: str,
) -> None:  # fmt: skip
    assert change[0] in BOARD
    board.write_text(BOARD.replace(*change, 1))
    done = robench("run", board, "--data-dir", data, "--out", tmp_path / "runs", "--quiet")
    assert done.code == 2
    assert sentence in done.err
    assert not [*(tmp_path / "runs").rglob("*.json")]


def test_commands_on_classifiers_say_that_it_is_a_board_of_gans(
    robench: Command, board: Path, runs: Path
) -> None:
    for command in (
        ("train", "vanilla", "--board", board),
        ("export", runs / "tiny"),
    ):
        done = robench(*command)
        assert done.code == 2
        assert "board of GANs" in done.err


def test_a_row_of_averaged_weights_shows_their_samples(runs: Path) -> None:
    folder = runs / "tiny"
    manifest = json.loads((folder / "manifests" / "averaged___1-seed1.json").read_text())
    key = GanCell.model_validate(manifest["cell"]).key
    shown = (folder / "samples" / "averaged___1-seed1.png").read_bytes()
    assert shown == (runs / "gans" / key / "samples_ema.png").read_bytes()
    assert shown != (runs / "gans" / key / "samples.png").read_bytes()


def published_again(folder: Path) -> None:
    """Make the checksums of a folder those of its files, as a forger would."""
    write_sums(folder, [folder / name for name in read_sums(folder)])


def changed(folder: Path, name: str, change: dict[str, object]) -> None:
    """Change values of a manifest; keys are paths such as ``manifest.hashes.samples.png``."""
    path = folder / "manifests" / f"{name}.json"
    values = json.loads(path.read_text())
    for key, value in change.items():
        first, *inner = key.split("/")
        part = values
        for step in [first, *inner][:-1]:
            part = part[int(step)] if step.isdecimal() else part[step]
        part[[first, *inner][-1]] = value
    path.write_text(json.dumps(values))


def test_a_sound_board_is_verified_and_measured_again(
    robench: Command, data: Path, runs: Path
) -> None:
    shutil.rmtree(runs / "gans")  # the weights are in the folder of the board
    done = robench("verify", runs / "tiny", "--rows", "all", "--data-dir", data, "--quiet",
                   "--store", runs)  # fmt: skip
    assert done.code == 0, done.out + done.err
    assert "wrong" not in done.out
    assert "2 of 2 rows drawn again" in done.out
    assert "samples of 4 generators, and their metrics" in done.out
    without = robench("verify", runs / "tiny", "--rows", 1, "--data-dir", runs, "--quiet")
    assert without.code == 3
    assert "not checked: metrics were not computed again" in without.out
    other = shutil.copytree(data, runs / "other")
    (other / "train" / "a" / "0.png").unlink()
    refused = robench("verify", runs / "tiny", "--data-dir", other, "--quiet")
    assert refused.code == 2
    assert "was measured on other images" in refused.err
    for option in (("--retrain",), ("--fresh-seed", 1)):
        refused = robench("verify", runs / "tiny", *option)
        assert refused.code == 2
        assert "is for boards of classifiers" in refused.err


COLUMN = "fd_efficientnet_lite0"
GAN = "spectral_norm-seed1"


def edited_table(folder: Path) -> None:
    path = folder / "leaderboard.csv"
    path.write_text(
        re.sub(r"spectral_norm(.*?),(\d+)\.", r"spectral_norm\1,9\2.", path.read_text())
    )


def edited_metric(folder: Path) -> None:
    changed(folder, GAN, {f"measured/0/metrics/{COLUMN}": 0.001})


def edited_metric_and_tables(folder: Path) -> None:
    edited_metric(folder)
    rewritten_tables(folder)


def rewritten_tables(folder: Path) -> None:
    for name, text in tables_text(GanLeaderboard.read(folder).computed).items():
        (folder / name).write_text(text)


def edited_weights(folder: Path) -> None:
    path = next((folder / "weights").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")


def swapped_grids(folder: Path, row: str = "spectral_norm") -> None:
    one, other = (folder / "samples" / f"{row}-seed{seed}.png" for seed in (1, 2))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def swapped_grids_and_hashes(folder: Path, row: str = "spectral_norm", kind: str = "") -> None:
    swapped_grids(folder, row)
    for seed in (1, 2):
        grid = (folder / "samples" / f"{row}-seed{seed}.png").read_bytes()
        digest = hashlib.sha256(grid).hexdigest()
        changed(folder, f"{row}-seed{seed}", {f"manifest/hashes/samples{kind}.png": digest})


def swapped_grids_of_averages(folder: Path) -> None:
    swapped_grids_and_hashes(folder, "averaged___1", "_ema")


def added_file(folder: Path) -> None:
    (folder / "samples" / "more.png").write_bytes(b"")


def other_recipe(folder: Path) -> None:
    changed(folder, GAN, {"cell/gan/lr": 0.5})


def no_symptoms(folder: Path) -> None:
    changed(folder, GAN, {"manifest/symptoms": {"zero_loss": "mine"}})


def foreign_metric(folder: Path) -> None:
    path = folder / "manifests" / f"{GAN}.json"
    values = json.loads(path.read_text())
    values["measured"][0]["metrics"]["fid"] = 3.1
    path.write_text(json.dumps(values))
    rewritten_tables(folder)


def other_deviation(folder: Path) -> None:
    changed(folder, GAN, {"measured/0/metrics/kd_efficientnet_lite0_std": 123.0})
    rewritten_tables(folder)


def one_percent_better(folder: Path) -> None:
    for path in (folder / "manifests").glob("*.json"):
        values = json.loads(path.read_text())
        for measured in values["measured"]:
            measured["metrics"] = {k: 0.9905 * v for k, v in measured["metrics"].items()}
        path.write_text(json.dumps(values))
    rewritten_tables(folder)


def one_sample_replaced(folder: Path) -> None:
    path = folder / "samples" / f"{GAN}.png"
    with Image.open(path) as picture:
        shown = np.array(picture.convert("RGB"))
    shown[2:34, 2:34] ^= 32  # in the mean over all 64 samples, half a level
    Image.fromarray(shown).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    changed(folder, GAN, {"manifest/hashes/samples.png": digest})


def praised_version(folder: Path) -> None:
    changed(folder, GAN, {"manifest/version": "0.1.0, reviewed and confirmed"})
    rewritten_tables(folder)


def odd_device(folder: Path) -> None:
    changed(folder, GAN, {"measured/0/device": "cpu\nwrong: nothing"})


def odd_environment(folder: Path) -> None:
    changed(folder, GAN, {"manifest/environment": {"confirmed by": "the authors"}})


def fewer_images(folder: Path) -> None:
    for path in (folder / "manifests").glob("*.json"):
        values = json.loads(path.read_text())
        for measured in values["measured"]:
            measured["measurement"]["images"] -= 1
        path.write_text(json.dumps(values))
    rewritten_tables(folder)


FORGERIES = {
    foreign_metric: "its measurement 1 does not have the metrics of",
    other_deviation: "spectral_norm, seed 1: kd_efficientnet_lite0_std is",
    one_percent_better: f"spectral_norm, seed 1: {COLUMN} is",
    one_sample_replaced: "does not show the samples of its weights",
    praised_version: "'0.1.0, reviewed and confirmed' is neither a commit nor a version",
    odd_device: "is no device",
    odd_environment: "its environment has 'confirmed by', which is no version",
    fewer_images: "images, and the board asks for",
    edited_table: "leaderboard.csv, row",
    edited_metric: "follows from the evidence",
    edited_metric_and_tables: f"spectral_norm, seed 1: {COLUMN} is",
    edited_weights: "is not the file that its manifest describes",
    swapped_grids: "is not the file that its manifest describes",
    swapped_grids_and_hashes: "does not show the samples of its weights",
    swapped_grids_of_averages: "does not show the samples of its weights",
    added_file: "samples/more.png is not in SHA256SUMS",
    other_recipe: "its recipe is not that of the board",
    no_symptoms: "its symptoms are not those that its log shows",
}


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_forgeries_with_right_checksums_are_found(
    robench: Command, data: Path, runs: Path, forge: Callable[[Path], None]
) -> None:
    forge(runs / "tiny")
    published_again(runs / "tiny")
    done = robench("verify", runs / "tiny", "--rows", "all", "--data-dir", data, "--quiet")
    assert done.code == 1, done.out + done.err
    assert FORGERIES[forge] in done.out


def test_a_page_and_a_board_without_checksums_are_said_to_be_unchecked(
    robench: Command, data: Path, runs: Path
) -> None:
    folder = runs / "tiny"
    verify = ("verify", folder, "--data-dir", data, "--quiet")
    assert "no checksum" not in robench(*verify).out
    (folder / "page.html").write_text("<title>the best GAN of all</title>")
    (folder / "board.toml").write_text('title = "another board"')
    write_sums(folder, [folder / name for name in read_sums(folder) if name != "board.toml"])
    done = robench(*verify)
    assert done.code == 0, done.out + done.err
    for name in ("page.html", "board.toml"):
        assert f"not checked: {name}, which has no checksum." in done.out


def test_two_rows_that_are_one_training_by_their_options_are_noted(
    robench: Command, board: Path, data: Path, tmp_path: Path
) -> None:
    board.write_text(
        BOARD.replace("[1, 2]", "[1]").replace(
            'label = "averaged, -1"\nweights = "ema"',
            'label = "a"\n[[arms]]\ndefense = "vanilla"\nlabel = "b"\ngan = {log_every = 4}',
        )
    )
    runs = tmp_path / "runs"
    done = robench("run", board, "--data-dir", data, "--out", runs, "--quiet")
    assert done.code == 0, done.err
    done = robench("verify", runs / "tiny", "--data-dir", data, "--quiet")
    assert done.code == 0, done.out + done.err
    assert (
        "not checked: b-seed1 has the weights of a-seed1, as an option without effect gives."
        in done.out
    )


def test_changed_and_foreign_files_are_named(robench: Command, data: Path, runs: Path) -> None:
    swapped_grids(runs / "tiny")
    done = robench("verify", runs / "tiny", "--data-dir", data)
    assert done.code == 1
    assert "samples/spectral_norm-seed1.png is not as published (checksum differs)" in done.out
    sums = runs / "tiny" / "SHA256SUMS"
    sums.write_text(f"{sums.read_text()}{'0' * 64}  ../../etc/passwd\n")
    done = robench("verify", runs / "tiny", "--data-dir", data)
    assert done.code == 2
    assert "is not a checksum" in done.err


def test_the_page_holds_everything_and_loads_nothing(robench: Command, runs: Path) -> None:
    done = robench("page", runs / "tiny")
    assert done.code == 0, done.err
    page = (runs / "tiny" / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "img-src data:; base-uri" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "no FID and no KID" in page
    assert "also in rows of averaged ones" in page
    assert page.count("</script>") == 7 + 1  # seven scripts and the data: none ends early
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    charts = {chart["id"]: chart for chart in json.loads(text)["charts"]}
    assert list(charts) == ["distance", "discriminator_loss", "generator_loss", "diversity"]
    assert [step for step, _ in charts["distance"]["curves"]["0"]] == [2, 4]
    changed(runs / "tiny", GAN, {"row": "<b>"})
    refused = robench("page", runs / "tiny")
    assert refused.code == 2
    assert "is of '<b>', seed 1, and not of 'spectral_norm'" in refused.err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"measure": {"extractor": "inception"}}, "the board measures by 'inception', and figures"),
        ({"paper": {"item": "T", "figures": {"vanilla": {"kid": [1.0]}}}}, "'kid', which is not a"),
    ],
)
def test_a_head_whose_parts_do_not_belong_together_is_one_sentence(
    robench: Command, runs: Path, change: dict[str, dict[str, object]], sentence: str
) -> None:
    path = runs / "tiny" / "board.json"
    values = json.loads(path.read_text())
    for name, part in change.items():
        values["board"][name] = (values["board"].get(name) or {}) | part
    path.write_text(json.dumps(values))
    published_again(runs / "tiny")
    for command in ("verify", "page"):
        done = robench(command, runs / "tiny")
        assert done.code == 2
        assert sentence in done.err


def test_rows_without_weights_are_not_said_to_be_drawn(
    robench: Command, data: Path, runs: Path
) -> None:
    folder = runs / "tiny"
    listed = [name for name in read_sums(folder) if not name.startswith("weights/")]
    shutil.rmtree(folder / "weights")
    forge = json.loads((folder / "board.json").read_text())
    forge["board"]["publish_weights"] = False
    (folder / "board.json").write_text(json.dumps(forge))
    write_text(folder / "board.toml", board_text(GanLeaderboard.read(folder).board))
    write_sums(folder, [folder / name for name in listed])
    done = robench("verify", folder, "--rows", "all", "--data-dir", data, "--quiet")
    assert done.code == 3, done.out + done.err
    assert "0 of 2 rows drawn again from weights and seed." in done.out


def test_a_folder_of_other_samples_is_refused(robench: Command, runs: Path, tmp_path: Path) -> None:
    first = next(p for p in (runs / "gans").iterdir() if (p / "manifest.json").exists())
    out = tmp_path / "samples"
    assert robench("gan", "sample", first, "--count", "2", "--out", out).code == 0
    again = robench("gan", "sample", first, "--count", "1", "--out", out)
    assert again.code == 2
    assert "has samples already, such as 00000.png; remove them, or name another" in again.err


def test_a_damaged_note_of_a_divergence_is_one_sentence(
    robench: Command, board: Path, data: Path, runs: Path
) -> None:
    cell = next(path for path in (runs / "gans").iterdir() if path.is_dir())
    (cell / "diverged.json").write_text("{}")
    done = robench("status", board, "--out", runs, "--data-dir", data)
    assert done.code == 2
    assert "diverged.json is damaged; remove it" in done.err


def test_a_board_of_inception_s_metrics_is_verified(
    robench: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scored(Means):
        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            features = super().forward(images)[0]
            return features, 10 * features

    monkeypatch.setattr("robench.gan.metrics.extractors.inception", lambda *_: Scored())
    board = tmp_path / "inception.toml"
    board.write_text(BOARD.replace('"efficientnet_lite0"', '"inception"'))
    assert robench("run", board, "--out", tmp_path, "--data-dir", data, "--quiet").code == 0
    done = robench("verify", tmp_path / "inception", "--rows", "all", "--data-dir", data, "--quiet")
    assert done.code == 0, done.out + done.err
    assert "2 of 2 rows drawn again" in done.out
