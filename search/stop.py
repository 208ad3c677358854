"""How a long run is stopped by whoever started it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stop:
    """What Ctrl-C and SIGTERM do: stop at once, but at the next good place where work is under way.

    A second signal always stops at once, and a third lets the system end the process.

    Args:
      told: called, from the signal handler, when the first signal was only noted.
    """

    def __init__(self, told: Callable[[], None]):
        self._told = told
        self._asked = self._patient = False
        self._before: dict[int, Any] = {}

    def asked(self) -> bool:
        """Whether to stop."""
        return self._asked

    @contextmanager
    def patiently(self) -> Iterator[None]:
        """Inside, the first signal only makes `asked` true."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def __enter__(self) -> "Stop":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: object) -> None:
        if self._patient and not self._asked:
            self._asked = True
            self._told()
            return
        self._asked = True
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt
