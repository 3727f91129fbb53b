"""Processes that train together: what is said of those that ended without an answer."""

from robench.runs.gang import _first_error

SAID = """[W1127 socket.cpp:752] could not connect
Traceback (most recent call last):
  File "gang.py", line 1, in <module>
torch.OutOfMemoryError: CUDA out of memory.
E1127 failed (exitcode: 1) local_rank: 0
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
"""


def test_the_first_error_that_was_printed_and_not_torchruns_summary() -> None:
    assert _first_error(SAID) == " (torch.OutOfMemoryError: CUDA out of memory.)"
    assert _first_error("") == ""
