"""A cache for threads: what one of them computes, the others wait for."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def once(function: F) -> F:
    """Cache a function's results by its positional arguments; each is computed by one thread only.

    `functools.cache` lets threads that ask at the same time compute the same result twice.
    """
    results: dict[tuple, Any] = {}
    locks: dict[tuple, threading.Lock] = {}
    guard = threading.Lock()

    @wraps(function)
    def cached(*args: Any) -> Any:
        with guard:
            lock = locks.setdefault(args, threading.Lock())
        with lock:
            if args not in results:
                results[args] = function(*args)
            return results[args]

    return cast(F, cached)
