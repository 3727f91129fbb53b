"""The file of ``--resources``: what each piece asks an engine for."""

from pathlib import Path

import pytest

from robench.errors import UserError
from robench.runs.resources import Resources, read_resources


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "resources.toml"


def test_processes_are_ours_and_all_else_is_slurms(file: Path) -> None:
    file.write_text("processes = 4\nmem_gb = 16\nslurm_setup = ['module load cuda']\n")
    scheduler = {"mem_gb": 16, "slurm_setup": ["module load cuda"]}
    assert read_resources(file, "slurm") == Resources(4, scheduler)
    with pytest.raises(UserError, match="'mem_gb' is for --executor slurm; ray takes 'processes'"):
        read_resources(file, "ray")
    file.write_text("processes = 2\n")
    assert read_resources(file, "ray") == Resources(2)


def test_the_mark_with_which_some_editors_begin_a_file_does_not_count(file: Path) -> None:
    file.write_text("\ufeffprocesses = 2\n")
    assert read_resources(file, "ray") == Resources(2)


@pytest.mark.parametrize("value", ["0", "-1", "2.0", "true", "'two'"])
def test_a_number_of_processes_that_is_none_is_refused(file: Path, value: str) -> None:
    file.write_text(f"processes = {value}\n")
    with pytest.raises(UserError, match="give a whole number from 1"):
        read_resources(file, "slurm")


def test_a_file_that_cannot_be_read_is_refused(file: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*resources\.toml"):
        read_resources(file, "slurm")
    file.write_text("processes = \n")
    with pytest.raises(UserError, match=r"cannot read .*resources\.toml"):
        read_resources(file, "slurm")
