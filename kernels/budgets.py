"""How many registers each kernel may use.

A multiprocessor has 65,536 registers for at most 2,048 threads. At 64 a thread, half
of those threads fit, four blocks of 256: enough for one block to compute while
another waits for memory. Who needs more gives a reason, here.
"""

from typing import NamedTuple

__all__ = ["Budget", "DEFAULT", "EXCEPTIONS", "budget_of", "complaints"]


class Budget(NamedTuple):
    """At most so many registers a thread, and why so many."""

    registers: int
    reason: str


DEFAULT = Budget(64, "half of a multiprocessor's threads fit")

#: (file, kernel) -> Budget
EXCEPTIONS = {}


def budget_of(file, name):
    """The budget of a kernel.

    Parameters
    ----------
    file : str
        Such as ``"conv.cu"``.
    name : str
    """
    return EXCEPTIONS.get((file, name), DEFAULT)


def complaints(file, usages):
    """What is wrong with a compiled file, a line for each finding.

    Parameters
    ----------
    file : str
    usages : dict of str -> minifer.kernels.nvrtc.Usage
        From :func:`minifer.kernels.nvrtc.compile_file`.

    Returns
    -------
    list of str
        Empty if no kernel spills, and each stays within its budget.
    """
    found = []
    for name, usage in usages.items():
        allowed = budget_of(file, name)
        if usage.spilled:
            found.append(f"{file}: {name} spills {usage.spilled} bytes a thread. Keep "
                         "fewer values alive at a time.")
        if usage.registers > allowed.registers:
            found.append(f"{file}: {name} uses {usage.registers} registers, its budget "
                         f"is {allowed.registers} ({allowed.reason}).")
    return found
