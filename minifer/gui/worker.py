"""Work in the background, so that the window never waits.

>>> worker = Worker()
>>> worker.ask(lambda: iter(["reading", "done"]), must=True)
>>> worker.close()
>>> list(worker.results())
['reading', 'done', None]
"""

import queue
import threading

from ..errors import MiniferError

__all__ = ["Worker"]


class Worker:
    """A thread that does one job after another.

    A job is a function that returns an iterator. What that yields is a result; so
    is the text of an error that ends it. A None follows the last one.
    """

    def __init__(self):
        self._jobs = queue.Queue()
        self._results = queue.Queue()
        self._newest = 0
        self._thread = threading.Thread(target=self._work, name="minifer gui")
        self._thread.start()

    def ask(self, job, must=False):
        """Have a job done.

        Parameters
        ----------
        job : callable
        must : bool, default False
            Otherwise the next such job overtakes it: it ends after the step at
            hand, and its results are dropped.
        """
        self._newest += not must
        self._jobs.put((None if must else self._newest, job))

    def results(self):
        """Yield what has come since the last time, without waiting for more."""
        while True:
            try:
                number, result = self._results.get_nowait()
            except queue.Empty:
                return
            if self._wanted(number):
                yield result

    def close(self):
        """Drop what may be dropped, finish what must be, and end the thread."""
        self._newest += 1
        self._jobs.put(None)
        self._thread.join()

    def _wanted(self, number):
        return number in (None, self._newest)

    def _work(self):
        while (entry := self._jobs.get()) is not None:
            number, job = entry
            for result in self._steps(job, number):
                self._results.put((number, result))
            self._results.put((number, None))

    def _steps(self, job, number):
        try:
            steps = iter(job())
            while self._wanted(number):
                yield next(steps)
        except StopIteration:
            return
        except MiniferError as error:
            yield str(error)
        except Exception as error:  # ours, and still nothing for the console
            yield f"A mistake in minifer, please report it: {error!r}"
