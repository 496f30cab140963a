"""What takes time is done meanwhile, so that the page answers to its reader."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from time import monotonic as now_s

# How long nothing needs to be said of what does not answer.
SLOW_AFTER_S = 4.0


class Errand[T](Future[T]):
    """What will be known when a thread has done its task."""

    def __init__(self) -> None:
        super().__init__()
        self._since_s = now_s()

    @property
    def slow(self) -> bool:
        """Whether it takes so long that whoever waits should be told."""
        return not self.done() and late(self._since_s)


def late(since_s: float) -> bool:
    """Whether what was asked at this time, by the monotonic clock, should have been answered by now."""
    return now_s() - since_s > SLOW_AFTER_S


def errand[T](task: Callable[[], T]) -> Errand[T]:
    """Do ``task`` in a thread, which must not touch the page. Whoever takes the result meets what it raised.

    A daemon: nobody waits for an answer from the network when the server is to end.
    """
    sent: Errand[T] = Errand()

    def run() -> None:
        try:
            sent.set_result(task())
        except BaseException as error:
            sent.set_exception(error)

    Thread(target=run, name="tonearm-errand", daemon=True).start()
    return sent
