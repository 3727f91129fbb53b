"""Ctrl-C and SIGTERM wait for a moment at which the work can be saved; a second one does not."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from robench.system.interrupts import postponed_interrupts


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    # Tests that run in the background inherit an ignored Ctrl-C.
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before:
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_an_interrupt_waits_until_it_is_delivered() -> None:
    steps = []

    def work() -> None:
        with postponed_interrupts() as interrupts:
            for step in range(4):
                if step == 2:
                    send(signal.SIGINT)
                    assert interrupts.pending
                steps.append(step)
                interrupts.deliver()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_comes_at_the_end_at_the_latest() -> None:
    with pytest.raises(KeyboardInterrupt), postponed_interrupts():
        send(signal.SIGINT)


def test_a_second_one_comes_at_once() -> None:
    sent = []

    def work() -> None:
        with postponed_interrupts():
            for _ in range(3):
                sent.append(signal.SIGINT)
                send(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert len(sent) == 2


def test_the_handler_of_the_program_gets_it() -> None:
    got: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: got.append(number))
    with postponed_interrupts() as interrupts:
        send(signal.SIGTERM)
        assert not got
        interrupts.deliver()
        assert got == [signal.SIGTERM]
    assert got == [signal.SIGTERM]


def test_one_that_the_program_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with postponed_interrupts() as interrupts:
        send(signal.SIGINT)
        assert not interrupts.pending


def test_other_threads_postpone_nothing() -> None:
    found: list[object] = []

    def work() -> None:
        with postponed_interrupts() as interrupts:
            found.extend([interrupts.pending, signal.getsignal(signal.SIGINT)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False, signal.default_int_handler]
