"""A lack of memory is one sentence, whoever notices it first."""

import pytest
from support import Command

from robench.system.out_of_memory import (
    OUT_OF_MEMORY,
    is_gpu_failure,
    is_of_machine,
    is_out_of_memory,
)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("Storage size calculation overflowed with sizes=[1000000000, 1000000000]"),
        RuntimeError("can't start new thread"),
        RuntimeError("could not create a primitive"),
        SystemError("<function attack at 0x7f> returned NULL without setting an exception"),
        SystemError("error return without exception set"),
        ImportError("libx.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory", "a/module.py"),
    ],
)
def test_a_lack_of_memory_is_one_sentence(
    robench: Command, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("robench.commands.reproduce.states", fail)
    done = robench("reproduce")
    assert done.code == 2
    assert done.err == f"robench: {OUT_OF_MEMORY}\n"


def test_other_errors_of_these_types_stay_what_they_are(
    robench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("robench.commands.reproduce.states", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        robench("reproduce")


def test_what_follows_from_a_lack_of_memory_counts() -> None:
    error = RuntimeError("the archive is damaged")
    assert not is_out_of_memory(error)
    error.__cause__ = MemoryError()
    assert is_out_of_memory(error)


class AcceleratorError(RuntimeError):
    """Has the name of what torch raises when a GPU fails."""


def test_a_failed_gpu_is_the_machine_s_whatever_was_made_of_it() -> None:
    lost = AcceleratorError("CUDA error: an illegal memory access was encountered")
    wrapped = ValueError("the gradient cannot be computed")
    wrapped.__cause__ = lost
    assert is_gpu_failure(lost)
    assert is_gpu_failure(wrapped)
    assert is_of_machine(wrapped)
    assert not is_out_of_memory(wrapped)
    assert is_of_machine(MemoryError())
    assert not is_gpu_failure(MemoryError())
    assert not is_of_machine(ValueError("the gradient cannot be computed"))
