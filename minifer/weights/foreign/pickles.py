"""Pickles without Python: a machine that builds data and does nothing else.

A pickle is a program for a machine with a stack and a memory. Python's own machine
imports any function that the program names, and calls it: a file of weights can so
delete a disk. The machine here knows the two dozen instructions that make numbers,
strings, tuples, lists and dicts. A name is looked up in a small table of the
caller's, never imported; any other name or instruction stops the machine.
``pickletools``, of the standard library, takes the bytes apart.
"""

import pickletools
import warnings

from ...errors import quoted

__all__ = ["Refused", "run_pickle"]

#: Instructions a file may have: those of ResNet-152's weights are about 35,000.
MOST_STEPS = 2_000_000
LITERALS = frozenset([
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "INT", "LONG", "FLOAT", "STRING",
    "UNICODE"])
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


class Refused(Exception):
    """The pickle wants something that data does not need; the text names it."""


def run_pickle(file, names, persistent=None):
    """Run the pickle that starts at the position of ``file``.

    Parameters
    ----------
    file : io.BytesIO
        An open file; it is left behind the pickle's last instruction.
    names : dict of str -> object
        What ``"module.name"`` stands for. Functions in it may be called by the
        pickle, with any arguments.
    persistent : callable, optional
        Turns a persistent id (any data) into an object, as in :mod:`pickle`.

    Returns
    -------
    object
        What the pickle leaves. Further state of dicts (``_metadata`` of PyTorch's)
        is dropped, and flags of other objects are (whether they learn).

    Raises
    ------
    Refused
        At a name, an instruction or a persistent id that is not known.
    ValueError
        If the bytes are no pickle, or end before it does.

    Examples
    --------
    >>> import io, pickle
    >>> run_pickle(io.BytesIO(pickle.dumps({"a": [1, 2.5]})), {})
    {'a': [1, 2.5]}
    >>> run_pickle(io.BytesIO(pickle.dumps(print)), {})
    Traceback (most recent call last):
        ...
    minifer.weights.foreign.pickles.Refused: the name 'builtins.print'
    """
    machine = _Machine(names, persistent)
    try:
        with warnings.catch_warnings():  # damaged names may look like escape sequences
            warnings.simplefilter("ignore", DeprecationWarning)
            for step, (opcode, argument, _) in enumerate(pickletools.genops(file)):
                if opcode.name == "STOP":
                    return machine.top()
                if step == MOST_STEPS:
                    raise Refused(f"more than {MOST_STEPS:,} instructions")
                machine.step(opcode.name, argument)
    except (IndexError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__} in the pickle") from error


class _Machine:
    """A stack, the stacks below it that marks have put aside, and a memory."""

    def __init__(self, names, persistent):
        self.names, self.persistent = names, persistent
        self.stack, self.below, self.memory = [], [], {}

    def step(self, code, argument):
        """Carry out one instruction."""
        match code:
            case "PROTO" | "FRAME":
                pass
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                self.push(CONSTANTS[code])
            case _ if code in LITERALS:
                self.push(argument)
            case "MARK":
                self.below.append(self.stack)
                self.stack = []
            case "EMPTY_TUPLE":
                self.push(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.push(tuple(self.pop_many(int(code[-1]))))
            case "TUPLE":
                self.push(tuple(self.pop_to_mark()))
            case "EMPTY_LIST":
                self.push([])
            case "APPEND" | "APPENDS":
                items = self.pop_many(1) if code == "APPEND" else self.pop_to_mark()
                self.top(list).extend(items)
            case "EMPTY_DICT":
                self.push({})
            case "SETITEM" | "SETITEMS":
                items = self.pop_many(2) if code == "SETITEM" else self.pop_to_mark()
                _fill(self.top(dict), items)
            case "LIST":
                self.push(self.pop_to_mark())
            case "DICT":
                items = self.pop_to_mark()
                self.push({})
                _fill(self.top(), items)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memory[argument] = self.top()
            case "MEMOIZE":
                self.memory[len(self.memory)] = self.top()
            case "GET" | "BINGET" | "LONG_BINGET":
                self.push(self.memory[argument])
            case "GLOBAL":
                self.push(self.look_up(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                self.push(self.look_up(*self.pop_many(2)))
            case "REDUCE" | "NEWOBJ":
                function, arguments = self.pop_many(2)
                if not callable(function):
                    raise Refused("a call of what is no function")
                self.push(function(*arguments))
            case "BUILD":
                (state,) = self.pop_many(1)
                _check_state(self.top(), state)
            case "BINPERSID" if self.persistent is not None:
                self.push(self.persistent(*self.pop_many(1)))
            case _:
                raise Refused(f"the instruction {code}")

    def look_up(self, module, name):
        """What a name stands for."""
        if not (isinstance(module, str) and isinstance(name, str)):
            raise TypeError("expected a name")
        if f"{module}.{name}" not in self.names:
            raise Refused(f"the name {quoted(f'{module}.{name}')}")
        return self.names[f"{module}.{name}"]

    def push(self, value):
        self.stack.append(value)

    def top(self, kind=object):
        """The value on top of the stack, which must be of a kind."""
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"expected {kind.__name__}")
        return self.stack[-1]

    def pop_many(self, count):
        """Take so many values from the stack, the topmost last."""
        return [self.stack.pop() for _ in range(count)][::-1]

    def pop_to_mark(self):
        """Take all values above the last mark, and the mark."""
        items, self.stack = self.stack, self.below.pop()
        return items


def _check_state(target, state):
    """State may be dropped where it cannot change what the object holds."""
    if isinstance(target, dict):
        return
    if hasattr(target, "set_state"):
        target.set_state(state)
        return
    if not isinstance(state, tuple) or not all(
            part is None or isinstance(part, bool) or part == {} for part in state):
        raise Refused(f"a state of a {type(target).__name__}")


def _fill(target, items):
    """Put key, value, key, value, … into a dict."""
    keys, values = items[::2], items[1::2]
    # Hashing a deeply nested tuple would overflow Python's own stack.
    if len(keys) != len(values) or not all(isinstance(k, (str, int)) for k in keys):
        raise TypeError("expected keys and values")
    target.update(zip(keys, values))
