"""SIGTERM and SIGHUP end a command like Ctrl-C: a sentence, and the exit code of a shell."""

import os
import signal
import sys
from collections.abc import Callable

import pytest
from support import Command

from robench import cli
from robench.cli import ENDING, main


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run ``robench run`` with what it does replaced."""

    def run(does: Callable[[], object]) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["robench", "run", "quick"])
        monkeypatch.setattr("robench.cli.making.prepare", lambda *_, **__: does())
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), capsys.readouterr().err

    return run


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_with_a_sentence(
    command: Command, number: signal.Signals, code: int
) -> None:
    before = signal.getsignal(number)
    ended, printed = command(lambda: os.kill(os.getpid(), number))
    assert ended == code
    assert printed.endswith("robench: interrupted; the same command goes on where it stood.\n")
    assert "Traceback" not in printed
    assert signal.getsignal(number) == before


def test_one_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP in ENDING
        handled = cli._handle_termination()
        for number, handler in handled.items():
            signal.signal(number, handler)
        assert signal.SIGHUP not in handled
    finally:
        signal.signal(signal.SIGHUP, before)
