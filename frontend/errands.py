"""What takes time is done meanwhile, so that the page answers to its reader."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread


def errand[T](task: Callable[[], T]) -> Future[T]:
    """Do ``task`` in a thread, which must not touch the page. Whoever takes the result meets what it raised.

    A daemon: nobody waits for an answer from the network when the server is to end.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(task())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name="tonearm-errand", daemon=True).start()
    return future
