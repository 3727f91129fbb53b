"""``robench push``: a published row as a repository of the hub, which ``hf:`` then names."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hub_server import Hub
from support import Command
from torchvision.models import shufflenet_v2_x0_5

import robench as package
from robench.board.loading import read_board
from robench.leaderboard.submission import external_submission
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


@pytest.fixture
def third_party(tiny_board: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Publish a network that robench did not train as the row ``net`` of a board of its own."""

    def published_as(architecture: str) -> Path:
        board = read_board(tiny_board / "board.toml")
        few = {"attacks": ("fgsm",), "samples": 20, "rank_by": "fgsm"}
        spec = board.model_copy(update={"evaluation": board.evaluation.model_copy(update=few)})
        torch.save(shufflenet_v2_x0_5(num_classes=10).state_dict(), tmp_path / "weights.pt")
        external_submission("net", architecture, tmp_path / "weights.pt", spec, tmp_path / "theirs")
        return tmp_path / "theirs"

    return published_as


def test_a_library_s_network_is_pushed_and_built_by_its_library(
    hub: Hub, robench: Command, third_party: Callable[[str], Path]
) -> None:
    board = third_party("torchvision:shufflenet_v2_x0_5(num_classes=10)")
    done = robench("push", board, "--row", "net", "--to", "hf:me/net")
    assert done.code == 0, done.err
    state = torch.load(board.parent / "weights.pt")
    plain = shufflenet_v2_x0_5(num_classes=10)
    plain.load_state_dict(state)
    images = torch.rand(2, 1, 8, 8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    logits = plain.eval()((images - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    assert torch.allclose(package.load(f"{board}/net")(images), logits, atol=1e-6)
    assert torch.equal(package.load("hf:me/net")(images), package.load(f"{board}/net")(images))
    done = robench("attack", f"{board}/net")
    assert done.code == 2
    assert "was not trained by robench; name what builds it: --model 'torchvision:sh" in done.err


def test_code_of_a_network_s_author_is_neither_pushed_nor_run(
    hub: Hub, robench: Command, third_party: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(
        "from torchvision.models import shufflenet_v2_x0_5\n"
        "class Gray(shufflenet_v2_x0_5().__class__):\n"
        "    def forward(self, x): return super().forward(x.expand(-1, 3, -1, -1))\n"
        "def build(): return Gray([4, 8, 4], [24, 48, 96, 192, 1024], num_classes=10)\n"
    )
    board = third_party(f"{tmp_path / 'net.py'}:build")
    done = robench("push", board, "--row", "net", "--to", "hf:me/net")
    assert (done.code, hub.repos) == (2, {})
    assert "is built by code of its author (net.py:build)" in done.err
    with pytest.raises(package.UserError, match=r"which robench\.load does not run: read it in"):
        package.load(f"{board}/net")


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
