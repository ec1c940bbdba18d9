"""Work done ahead of time on threads, its results in order, memory bounded.

>>> list(prefetch(len, ["one", "three", ""], threads=2))
[3, 5, 0]
"""

import collections
import itertools
from concurrent.futures import ThreadPoolExecutor

__all__ = ["prefetch"]


def prefetch(function, items, threads, limit=None):
    """Yield ``function(item)`` for each item, in order; threads work in advance.

    Parameters
    ----------
    function : function
        Called on the threads, for several items at once. What it raises comes out
        in the place of its result.
    items : iterable
        May have any length; read on the caller's thread, ``limit`` items ahead.
    threads : int >= 0
        With 0, everything is done by the caller, and nothing ahead.
    limit : int >= 1, optional
        Largest number of results that are being computed or wait to be taken.
        Default: two a thread.

    Yields
    ------
    object
    """
    if threads == 0:
        yield from map(function, items)
        return
    items = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="ahead") as pool:
        waiting = collections.deque(
            pool.submit(function, item)
            for item in itertools.islice(items, limit or 2 * threads))
        try:
            while waiting:
                result = waiting.popleft().result()
                for item in itertools.islice(items, 1):
                    waiting.append(pool.submit(function, item))
                yield result
        finally:  # the caller has stopped, or Ctrl-C: start nothing more
            pool.shutdown(cancel_futures=True)
