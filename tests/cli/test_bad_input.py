"""Bad input gives one clear sentence, exit code 2 and no traceback; no partial output."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from support import TINY_BOARD, Command, Finished

from robench.cli.outputs import file_for_output
from robench.models.checkpoint import save_weights
from robench.system.files import write_bytes


def refused(done: Finished, *parts: str) -> None:
    assert done.code == 2, (done.out, done.err)
    assert done.err.startswith("robench: ")
    assert len(done.err.strip().splitlines()) == 1
    assert "Traceback" not in done.err
    for part in parts:
        assert part in done.err, done.err


def nothing_in(folder: Path) -> bool:
    return not folder.exists() or not list(folder.rglob("*.csv"))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--defenses", "convnrom"], ["no defense is named 'convnrom'", "'convnorm'"]),
        (["--defenses", "convnorm(affin=1)"], ["no option 'affin'", "'affine'"]),
        (["--set", 'evaluation.attacks=["pgf-10"]', "--set", "evaluation.rank_by=clean"],
         ["no attack is named 'pgf-10'", "'pgd'"]),
        (["--set", "data.name=mnist5"], ["no data set is named 'mnist5'", "'mnist5k'"]),
        (["--set", "model.name=resnet19"], ["no backbone is named 'resnet19'", "'resnet18'"]),
        (["--defenses", "ocnn(layers='conv*')"], ["layers = 'conv*' matches no convolution"]),
        (["--set", "training.epoch=1"], ["unknown key 'training.epoch'", "'epochs'"]),
        (["--set", "training.eps=8"], ["training.eps = 8", '"8/255"']),
        (["--set", "evaluation.defaults.eps=8"], ["8/255"]),
        (["--set", "trainig.epochs=1"], ["'training'"]),
        (["--set", "training.epochs"], ["table.key=value"]),
        (["--seeds", "1,two"], ["'two' is not a seed"]),
        (["--set", "evaluation.samples=100000"], ["100000 test images", "evaluation.samples"]),
        (["--device", "gpu"], ["device 'gpu' cannot be used"]),
        (["--device", "meta"], ["device 'meta' cannot be used"]),
        (["--set", "training.lr=inf"], ["training.lr = 'inf'", "finite"]),
        (["--set", "evaluation.defaults.eps=true"], ["eps = true", "stand for no number"]),
        (["--data-dir", "~nobody-of-that-name/x"], ["no home folder is known"]),
        (["--plugin", "none.py"], ["plugin 'none.py' is not an existing Python file"]),
        (["--set", "data.name=image_folder:nowhere"], ["nowhere"]),
        (["--set", "data.crop_padding=100"], ["data.crop_padding is 100", "8x8 pixels"]),
        (["--set", "model.name=vgg16"], ["vgg16", "8x8"]),
    ],
)  # fmt: skip
def test_a_wrong_name_or_value(
    robench: Command, tiny_board: Path, tmp_path: Path, arguments: list[str], parts: list[str]
) -> None:
    out = tmp_path / "out"
    refused(robench("run", tiny_board, "--out", out, *arguments), *parts)
    assert nothing_in(out)


def test_a_board_that_is_not_there(robench: Command) -> None:
    refused(robench("run", "quikc"), "no board 'quikc' found", "'quick'")


def test_a_board_with_a_wrong_key_names_line_and_key(robench: Command, tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text(TINY_BOARD.replace("replays", "replay"))
    refused(robench("run", path), "b.toml, line 16", "unknown key 'training.replay'", "'replays'")


def test_an_output_folder_that_cannot_be_written(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    refused(
        robench("run", tiny_board, "--out", tmp_path / "file"), "is a file, not a folder", "--out"
    )


def test_a_disk_that_is_full(robench: Command, tiny_board: Path) -> None:
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(Exception, match="cannot write"):
        write_bytes(device / "x", b"")
    refused(robench("run", tiny_board, "--out", device), "is a file, not a folder")


def test_a_checkpoint_that_is_missing_truncated_or_not_one(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    refused(robench("attack", tmp_path / "none.safetensors"), "no checkpoint found")
    done = robench("train", "vanilla", "--board", tiny_board, "--out", tmp_path / "out",
                   "--set", "training.epochs=1")  # fmt: skip
    weights = Path(done.out.split("Weights: ")[1].strip())
    content = weights.read_bytes()
    short = tmp_path / "short.safetensors"
    short.write_bytes(content[: len(content) // 2])
    refused(robench("attack", short), "short.safetensors", "not a complete safetensors file")
    short.write_bytes(b"not weights at all")
    refused(robench("attack", short), "not a complete safetensors file")


def test_a_checkpoint_of_another_architecture(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    from robench.models.checkpoint import Network

    network = Network("resnet18", 4, "cifar", "batchnorm", 10, 1, (8, 8), (0.5,), (0.5,))
    other = Network("resnet18", 8, "cifar", "batchnorm", 10, 1, (8, 8), (0.5,), (0.5,))
    path = tmp_path / "w.safetensors"
    save_weights(path, other.build(), network, dataset="digits")
    refused(robench("attack", path), "another architecture", "is needed")
    save_weights(path, torch.nn.Linear(2, 2), network, dataset="digits")
    refused(robench("attack", path), "another architecture", "is missing")


def test_a_data_set_that_does_not_fit_the_checkpoint(robench: Command, tmp_path: Path) -> None:
    from robench.models.checkpoint import Network

    network = Network("resnet18", 4, "cifar", "batchnorm", 3, 3, (8, 8), (0.5,) * 3, (0.5,) * 3)
    path = tmp_path / "w.safetensors"
    save_weights(path, network.build(), network, dataset="my-folder")
    refused(robench("attack", path), "'my-folder'", "--data image_folder:DIR")
    refused(robench("attack", path, "--data", "digits"), "3 classes", "10 classes")


def test_a_network_of_a_folder_that_is_named_like_a_data_set(
    robench: Command, tmp_path: Path
) -> None:
    from robench.models.checkpoint import Network

    network = Network("resnet18", 4, "cifar", "batchnorm", 10, 1, (8, 8), (0.5,), (0.5,))
    path = tmp_path / "w.safetensors"
    save_weights(path, network.build(), network, dataset="digits")
    refused(robench("attack", path), "images named 'digits' of mean (0.5,)", "image_folder:DIR")
    done = robench("attack", path, "--data", "digits", "--attacks", "fgsm", "--samples", 4)
    assert done.code == 0, done.err


def images_in(folder: Path, count: int = 3) -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        Image.new("RGB", (8, 8), (index * 40, 0, 0)).save(folder / f"{index}.png")


def test_a_data_folder_with_one_class(robench: Command, tiny_board: Path, tmp_path: Path) -> None:
    images_in(tmp_path / "data" / "train" / "cat")
    images_in(tmp_path / "data" / "test" / "cat")
    done = robench("run", tiny_board, "--set", f"data.name=image_folder:{tmp_path / 'data'}")
    refused(done, "class")


def test_a_data_folder_with_a_broken_image(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            images_in(tmp_path / "data" / part / name)
    (tmp_path / "data" / "train" / "dog" / "1.png").write_bytes(b"\x89PNG broken")
    done = robench(
        "run", tiny_board, "--set", "data.name=image_folder", "--data-dir", tmp_path / "data",
        "--set", "evaluation.samples=6",
    )  # fmt: skip
    refused(done, "1.png")


def test_a_plugin_that_raises(robench: Command, tiny_board: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("x = 1\nraise ValueError('not today')\n")
    done = robench("run", tiny_board, "--plugin", tmp_path / "bad.py")
    refused(done, "bad.py", "line 2", "ValueError: not today")


def test_training_what_another_process_trains(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    from filelock import FileLock

    out = tmp_path / "out"
    arguments = ["train", "vanilla", "--board", tiny_board, "--out", out]
    robench(*arguments, "--set", "training.lr=1e30")
    cell = next((out / "cells").iterdir())
    with FileLock(cell / ".lock"):
        refused(robench(*arguments, "--set", "training.lr=1e30"), "another robench is at work")


def test_an_unknown_command_or_option_is_refused_by_the_parser(robench: Command) -> None:
    assert robench("rnu").code == 2
    assert robench("run", "--epoch", 3).code == 2


def test_links_to_themselves_pipes_and_folders_in_place_of_files(
    robench: Command, tmp_path: Path
) -> None:
    loop, pipe, file = tmp_path / "loop.py", tmp_path / "pipe", tmp_path / "file"
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    file.touch()
    refused(robench("list", "defenses", "--plugin", loop), "is not an existing Python file")
    for path in (loop, pipe):
        refused(robench("run", path), f"{path} is not a plain file")
    refused(robench("run", tmp_path), f"{tmp_path} is a folder without a board.toml")
    for command in ("verify", "page", "check-submission"):
        refused(robench(command, file), f"{file} is a file, not a folder")


@pytest.mark.parametrize(
    ("command", "out", "says"),
    [
        (["run", "quick"], "file", "it is a file, not a folder; name another place"),
        (["train", "batchnorm"], "file/runs", "file is a file, not a folder"),
        (["spectra", "x"], "file", "it is a file, not a folder"),
        (["reproduce"], "file", "it is a file, not a folder"),
        (["attack", "x"], "folder", "it is a folder; name a file in it"),
        (["show", "x"], "file/a.png", "file is a file, not a folder"),
        (["page", "x"], "folder", "it is a folder; name a file in it"),
        (["export", "x"], "folder", "it is a folder; name a file in it"),
    ],
)
def test_an_output_that_is_a_file_or_a_folder_is_refused_before_any_work(
    robench: Command, tmp_path: Path, command: list[str], out: str, says: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    refused(robench(*command, "--out", tmp_path / out), str(tmp_path), says)


def test_a_name_that_is_too_long(robench: Command, tmp_path: Path) -> None:
    name = "a" * 300
    digits = ["--model", "resnet18", "--data", "digits", "--attacks", "fgsm"]
    refused(robench("attack", *digits, "--out", tmp_path / f"{name}.csv"), "choose a shorter name")
    refused(robench("attack", name, "--attacks", "fgsm"), "choose a shorter name")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_an_output_file_that_is_a_pipe_stays_one(robench: Command, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for option in ("--out", "--csv"):
        command = ["attack"] if option == "--out" else ["certify"]
        done = robench(*command, "nowhere", option, pipe)
        refused(done, f"{option} {pipe}: it is not a plain file")
    assert pipe.is_fifo()


def test_an_output_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    link, target = tmp_path / "link.csv", tmp_path / "target.csv"
    link.symlink_to(target)
    assert file_for_output(link) == target.resolve()
    assert file_for_output(target) == target


def test_a_warning_shows_what_a_terminal_would_take_for_a_command(
    robench: Command, tmp_path: Path
) -> None:
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / name).mkdir(parents=True)
        for index in range(3):
            Image.new("L", (8, 8), 40 * index).save(tmp_path / name / f"{index}.png")
    (tmp_path / "train" / "a" / "x.e\x1b[31mvil").write_text("")
    done = robench("run", "--dry-run", "--set", f"data.name=image_folder:{tmp_path}")
    assert "\x1b" not in done.err + done.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_a_full_disk_behind_the_output(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "robench", "schema"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("robench: the output: No space left on device; free space")
