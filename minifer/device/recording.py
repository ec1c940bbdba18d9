"""Calls on a device's memory, noted while a graph is captured.

A GPU that captures a graph notes what is launched and executes nothing. The emulator
has to execute, since only that tells the shapes of what follows; so it remembers
what every array held before, and puts that back when the capture ends. In both cases
nothing has happened until the graph is launched.

:func:`minifer.device.graphs.capture` begins a recording. The emulator's arrays and
kernels ask :func:`active`, and what a capture cannot hold is turned away by
:func:`refuse`.
"""

import contextlib
import contextvars

import numpy as np

from ..errors import CaptureError

__all__ = ["Recording", "active", "as_captured", "is_capturing", "launch", "refuse",
           "capturing", "products_are_captured"]

_capture = contextvars.ContextVar("capture", default=None)
_as_captured = contextvars.ContextVar("as_captured", default=False)


@contextlib.contextmanager
def capturing(recording):
    """Mark a block in which a graph is captured.

    Parameters
    ----------
    recording : Recording, or what a GPU records with
    """
    token = _capture.set(recording)
    try:
        yield
    finally:
        _capture.reset(token)


@contextlib.contextmanager
def as_captured(whether=True):
    """Mark a block whose numbers are to be those of a captured one, to the last bit.

    Parameters
    ----------
    whether : bool, default True
    """
    token = _as_captured.set(whether)
    try:
        yield
    finally:
        _as_captured.reset(token)


def products_are_captured():
    """Whether products of matrices are to be those that a graph can hold."""
    return is_capturing() or _as_captured.get()


def is_capturing():
    """Whether a graph is being captured, on whatever device."""
    return _capture.get() is not None


def active():
    """The emulator's recording that goes on, or None."""
    recording = _capture.get()
    return recording if isinstance(recording, Recording) else None


def launch(function, args, changed):
    """Call a function of a library that works on a device's memory, by addresses.

    A GPU that captures a graph notes that by itself; for the emulator it is done here.

    Parameters
    ----------
    function : function
    args : tuple
    changed : array of a device
        The array that it changes.
    """
    recording = active()
    if recording is None:
        function(*args)
    else:
        recording.call(function, args, writes=[changed.memory])


def refuse(what):
    """Raise CaptureError if a graph is being captured.

    Parameters
    ----------
    what : str
        What is refused, such as ``"float(), which waits for the device"``.
    """
    if is_capturing():
        raise CaptureError("capture: expected only launches and array operations on "
                           f"the device, got {what}. Do it before or after launch().")


class Recording:
    """Calls to be made again, and what the memory held before they were made.

    Attributes
    ----------
    nodes : list of functions
        Each makes one call again; its results go where they went the first time.
    """

    def __init__(self):
        self.nodes, self._before, self._made = [], {}, {}

    def call(self, function, args, kwargs={}, given=(), writes=(), is_node=None):
        """Make a call and note it.

        Parameters
        ----------
        function : function
            A function of NumPy arrays.
        args, kwargs
            Its arguments.
        given : list of NumPy arrays
            The arrays among them; results may be parts of these.
        writes : list of NumPy arrays
            The arrays that it may change.
        is_node : function of (result, made) -> bool, optional
            Whether the call does something to memory: not if it only looks at given
            arrays in another way. ``made`` are the arrays that are new.

        Returns
        -------
        What the function returned, with scalars as arrays.
        """
        for array in writes:
            self._remember(array)
        result = settled(function(*args, **kwargs))
        made = {number: array for number, array in enumerate(arrays_in(result))
                if not any(np.may_share_memory(array, one) for one in given)}
        for array in made.values():
            self._made[id(_owner(array))] = _owner(array)

        def again():
            found = arrays_in(settled(function(*args, **kwargs)))
            for number, array in made.items():
                np.copyto(array, found[number])

        if is_node is None or is_node(result, made):
            self.nodes.append(again)
        return result

    def undo(self):
        """Put everything back; what was made holds NaN until a launch fills it."""
        for array, before in reversed(self._before.values()):
            array[...] = before
        for array in self._made.values():
            if array.dtype.kind in "fc" and array.flags.writeable:
                array.fill(np.nan)

    def _remember(self, array):
        array = _owner(array)
        if id(array) not in self._made and array.flags.writeable:
            if id(array) not in self._before:
                self._before[id(array)] = array, array.copy()


def _owner(array):
    """The array whose memory this one looks at."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def settled(result):
    """A function's result, with NumPy's scalars as arrays of no dimension."""
    if isinstance(result, np.generic):
        return np.asarray(result)
    if isinstance(result, (tuple, list)) and any(
            isinstance(one, np.generic) for one in result):
        return type(result)(settled(one) for one in result)
    return result


def arrays_in(value):
    """All NumPy arrays in a value, also inside tuples, lists and dicts."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (tuple, list)):
        return []
    return [array for one in value for array in arrays_in(one)]
