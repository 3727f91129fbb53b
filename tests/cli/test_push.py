"""``robench push``: a published row as a repository of the hub, which ``hf:`` then names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_server import Hub
from support import Command

import robench as package
from robench.models.checkpoint import load_checkpoint

QUICK = Path(package.__file__).resolve().parents[1] / "leaderboards" / "quick"
ROW = ("push", QUICK, "--row", "convnorm", "--to", "hf:me/net")


def published(row: str) -> Path:
    """Return the published weights of a row of quick."""
    [cell] = [c for c in package.Leaderboard.read(QUICK).cells if c.row == row]
    return QUICK / "weights" / f"{cell.file.cell.key}.safetensors"


def newest(hub: Hub, repo: str = "me/net") -> tuple[str, dict[str, bytes]]:
    return hub.repos[repo][-1]


def test_a_pushed_row_is_loaded_with_identical_logits(hub: Hub, robench: Command) -> None:
    done = robench(*ROW)
    commit, files = newest(hub)
    assert done.code == 0, done.err
    assert f"pushed 'convnorm', seed 0, of quick: hf:me/net@{commit}" in done.out
    assert {*files} == {
        ".gitattributes", "README.md", "manifest.json", "robench.json", "weights.safetensors"
    }  # fmt: skip
    assert files["weights.safetensors"] == published("convnorm").read_bytes()
    images = torch.rand(4, 1, 28, 28)
    model = package.load("hf:me/net")
    assert not model.training
    assert torch.equal(model(images), load_checkpoint(published("convnorm"))[0](images))


def test_it_is_attacked_on_the_data_set_of_its_board(hub: Hub, robench: Command) -> None:
    assert robench(*ROW).code == 0
    done = robench("attack", "--model", "hf:me/net", "--attacks", "fgsm", "--eps", "0.2",
                   "--samples", 10, "--no-checks")  # fmt: skip
    assert done.code == 0, done.err
    assert f"hf:me/net@{newest(hub)[0]}; mnist5k, 10 test images" in done.out.replace("\n", " ")
    assert "the row 'convnorm', seed 0, of quick" in done.out


def test_the_card_has_figures_with_intervals_checks_and_the_hub_s_own_results(
    hub: Hub, robench: Command, tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    done = robench("push", QUICK, "--row", "vanilla", "--to", "hf:me/net", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    card = ModelCard((tmp_path / "o" / "README.md").read_text())
    table = package.Leaderboard.read(QUICK).table.set_index("defense").loc["vanilla"]
    results = {result.metric_name: result for result in card.data.eval_results}
    robust = results["Robust accuracy, pgd-20 (Linf 0.2)"]
    assert robust.metric_value == pytest.approx(table["pgd-20_mean"], abs=1e-6)
    assert robust.metric_args["low"] == pytest.approx(table["pgd-20_low"], abs=1e-6)
    assert (robust.dataset_name, robust.metric_args["images"]) == ("mnist5k", 1000)
    low, high = (f"{100 * table[f'pgd-20_{end}']:.1f}%" for end in ("low", "high"))
    assert f"| {100 * table['pgd-20_mean']:.1f}% | {low} to {high} |" in card.text
    for flag in table["flags"].split():
        assert f"**{flag.replace('_', chr(92) + '_')}**" in card.text
    assert "robench verify quick --rows all" in card.text
    assert "resnet18, width 16" in card.text
    assert not hub.repos  # with --out, nothing is sent


def test_a_dry_run_writes_a_folder_that_is_named_after_the_repository(
    hub: Hub, robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = robench(*ROW, "--dry-run")
    assert done.code == 0, done.err
    said = json.loads((tmp_path / "net" / "robench.json").read_text())
    assert (said["row"], said["network"]["width"]) == ("convnorm", 16)
    assert not hub.repos


def test_a_second_push_of_the_same_network_changes_nothing(hub: Hub, robench: Command) -> None:
    assert robench(*ROW).code == 0
    done = robench(*ROW)
    assert (done.code, len(hub.messages)) == (0, 1)
    assert "nothing changed" in done.out


def test_something_else_is_replaced_only_on_request_and_stays_as_a_commit(
    hub: Hub, robench: Command
) -> None:
    assert robench(*ROW).code == 0
    before = newest(hub)[0]
    other = ("push", QUICK, "--row", "batchnorm", "--to", "hf:me/net")
    done = robench(*other)
    assert (done.code, newest(hub)[0]) == (2, before)
    assert "holds other weights: 'convnorm', seed 0, of quick" in done.err
    assert f"stays at hf:me/net@{before}" in done.err
    done = robench(*other, "--replace")
    assert done.code == 0, done.err
    assert f"what was there before stays at hf:me/net@{before}" in done.out
    images = torch.rand(2, 1, 28, 28)
    first, second = (package.load(f"hf:me/net{rev}")(images) for rev in (f"@{before}", ""))
    assert torch.equal(first, load_checkpoint(published("convnorm"))[0](images))
    assert torch.equal(second, load_checkpoint(published("batchnorm"))[0](images))


def test_files_of_somebody_else_are_left_alone(hub: Hub, robench: Command) -> None:
    hub.add("me/net", {"README.md": b"mine"})
    done = robench(*ROW)
    assert done.code == 2
    assert "holds files of something else (README.md)" in done.err
    assert newest(hub)[1] == {"README.md": b"mine"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--row", "convnom", "--to", "hf:me/net"), "no row 'convnom'; did you mean 'convnorm'"),
        (("--row", "convnorm", "--seed", "3", "--to", "hf:me/net"), "has no seed 3; it has 0."),
        (("--row", "convnorm", "--to", "me/net"), "write hf:ORG/NAME"),
        (("--row", "convnorm", "--to", "hf:me/net@dev"), "leave out @dev"),
        (("--row", "convnorm", "--to", "hf:me/net", "--dry-run", "--replace"), "nothing is sent"),
    ],
)
def test_a_mistake_is_one_sentence(
    hub: Hub, robench: Command, words: tuple[str, ...], sentence: str
) -> None:
    done = robench("push", QUICK, *words)
    assert (done.code, hub.repos) == (2, {})
    assert sentence in done.err
    assert done.err.count("\n") == 1


def test_a_token_that_may_not_write_is_one_sentence(
    hub: Hub, robench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_stranger")
    done = robench(*ROW)
    assert (done.code, hub.repos) == (2, {})
    assert "log in with 'hf auth login', or set HF_TOKEN" in done.err


def test_without_the_package_the_extra_is_named(
    robench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "huggingface_hub"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("robench.system.hub", "robench.system.hub_push", "robench.models.hub_networks",
                 "robench.leaderboard.hub_folder", "robench.commands.push"):  # fmt: skip
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for words in (ROW, ("attack", "--model", "hf:me/net")):
        done = robench(*words)
        assert (done.code, "pip install 'robench[hub]'" in done.err) == (2, True)


def test_the_endpoint_is_the_client_s_setting(hub: Hub, robench: Command, tmp_path: Path) -> None:
    assert robench(*ROW).code == 0
    code = "import robench; print(robench.load('hf:me/net').training)"
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | own, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout == "False\n", done.stderr
