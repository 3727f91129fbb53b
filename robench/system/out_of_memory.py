"""Whether memory was short, and what is said then; no import here might fail for that."""

from collections.abc import Iterator

OUT_OF_MEMORY = (
    "out of memory; free some, or lower the batch sizes of the board or the attack, or "
    "the width of the network."
)

_SAID = (
    "not enough memory",
    "can't allocate memory",
    "annot allocate memory",
    "out of memory",
    "ALLOC_FAILED",
    "unable to find an engine to execute",
    "Unable to find a valid cuDNN algorithm",
    "failed to map segment",
    "Storage size calculation overflowed",  # for more than a machine can address
    "can't start new thread",
    "NULL without setting an exception",
    "error return without exception set",
)
"""Parts of what torch, CUDA and its libraries, the dynamic loader, Python's threads and Python
itself, which found no memory for the exception, say when memory is short."""

_ONEDNN = "could not create a primitive"
"""All that oneDNN says; with more words after it, an operation is unsupported instead."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether memory was short, whatever was made of that on the way up."""
    for each in chain_of(error):
        said = str(each)
        if isinstance(each, MemoryError) or said == _ONEDNN or any(w in said for w in _SAID):
            return True
    return False


def is_of_machine(error: BaseException | None) -> bool:
    """Return whether an error is the machine's: of its memory, or of a GPU that has failed.

    After the latter, everything that the process does on that GPU fails.
    """
    return is_out_of_memory(error) or is_gpu_failure(error)


def is_gpu_failure(error: BaseException | None) -> bool:
    """Return whether a GPU has failed, whatever was made of that on the way up."""
    # By name: older torch has no such class, and torch is not imported here.
    return any(type(each).__name__ == "AcceleratorError" for each in chain_of(error))


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and what it was raised from or during: the walk along causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
