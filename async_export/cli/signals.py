"""SIGTERM: what Ctrl-C does, without a terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

__all__ = ("Termination", "terminable")


class Termination:
    """Whether SIGTERM arrived.

    Attributes:
        arrived: That.
    """

    def __init__(self) -> None:
        self.arrived = False

    def __call__(self, _number: int, frame: FrameType | None) -> None:
        """Take the signal; a second one must not disturb the cleaning up."""
        if self.arrived:
            return
        self.arrived = True
        interrupt = signal.getsignal(signal.SIGINT)
        # Whoever has a handler for SIGINT, such as asyncio, knows how to end in good order.
        if callable(interrupt):
            interrupt(signal.SIGINT, frame)


@contextmanager
def terminable() -> Iterator[Termination]:
    """Let SIGTERM end what runs here in the way that SIGINT does."""
    termination = Termination()
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            stack.enter_context(_interruptible())
            handler = signal.signal(signal.SIGTERM, termination)
            stack.callback(signal.signal, signal.SIGTERM, handler)
        yield termination


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGINT have its handler where it is ignored, as in the background of a script.

    The signal itself is blocked, so that it is ignored as before.
    """
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if not is_ignored or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
