"""What robench doctor finds on a machine, and what it calls wrong."""

import json
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace

import pytest
import torch
from packaging.requirements import Requirement
from support import Command

from robench.commands import doctor
from robench.commands.doctor import diagnose


def problems() -> dict[str, str]:
    return {found.topic: found.problem for found in diagnose() if found.problem}


def test_it_names_the_version_the_packages_and_the_devices() -> None:
    found = {each.topic: each.text for each in diagnose()}
    assert found["robench"].startswith(version("robench"))
    assert found["torch"] == version("torch")
    assert {"torchvision", "torchattacks", "foolbox", "pandas"} < set(found)
    assert "cores" in found["threads"]
    assert ("cuda" in found) != torch.cuda.is_available()


def test_here_nothing_is_wrong_but_perhaps_the_memory() -> None:
    assert set(problems()) <= {"memory"}


def test_a_package_that_is_absent_too_old_or_broken_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def other(name: str) -> str:
        if name == "foolbox":
            raise PackageNotFoundError(name)
        return "1.0" if name == "pandas" else version(name)

    real = doctor.importlib.import_module

    def broken(name: str) -> object:
        if name == "scipy":
            raise ImportError("libgfortran.so.5: cannot open shared object file")
        return real(name)

    monkeypatch.setattr(doctor, "version", other)
    monkeypatch.setattr(doctor, "importlib", SimpleNamespace(import_module=broken))
    found = problems()
    assert found["foolbox"].startswith("it is not installed: pip install 'foolbox")
    assert found["pandas"].startswith("robench needs pandas>=2.2: pip install 'pandas>=2.2'")
    assert "libgfortran.so.5" in found["scipy"]


def test_a_checkout_that_is_not_installed_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", absent)
    assert problems()["robench"] == "it is not installed: pip install -e ."


def test_a_development_version_of_torch_will_do() -> None:
    installed = version("torch").partition("+")[0]
    assert not doctor._package(Requirement(f"torch>={installed}")).problem
    assert doctor._package(Requirement("torch<1")).problem.startswith("robench needs torch<1")


def test_little_memory_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    little = SimpleNamespace(available=2**28)
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: little)
    assert problems()["memory"].startswith("a narrow network takes up to 1.5 GiB")


def test_the_commands_print_what_was_found(robench: Command) -> None:
    done = robench("doctor")
    assert done.code in (0, 1), done.err
    assert done.out.startswith("robench  ")
    found = json.loads(robench("doctor", "--json").out)
    assert {"topic": "torch", "text": version("torch"), "problem": ""} in found
    assert robench("--version").out.startswith(f"robench {version('robench')}, code ")
