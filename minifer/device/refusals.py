"""What NumPy does with an array and CuPy does not, in tables.

The emulator's arrays are NumPy's inside, and could do all of it: then code that works
on the emulator would fail on a GPU. So they refuse what stands here. ``make
cupy-check`` asks the installed CuPy about each entry, and about what is not here.
"""

import numpy as np

__all__ = ["ATTRIBUTES", "FLAGS", "FUNCTIONS", "KEYWORDS", "UFUNCS", "UFUNC_KEYWORDS",
           "UFUNC_METHODS", "HOST_NUMBERS", "Flags", "refuse_as_cupy"]

#: Attributes of a NumPy array that CuPy's has not.
ATTRIBUTES = {"ctypes", "getfield", "resize", "setfield", "setflags"}

#: All that CuPy's ``flags`` have.
FLAGS = ("c_contiguous", "f_contiguous", "owndata", "fnc", "forc")

#: NumPy's functions that CuPy has none for, or none for its arrays.
FUNCTIONS = {"as_strided", "block", "einsum_path", "geomspace", "histogram_bin_edges",
             "insert", "nanpercentile", "nanquantile", "polyder", "polydiv", "polyint",
             "unstack"}

UFUNCS = {"isnat", "matvec", "spacing", "vecdot", "vecmat"}

_SUMS = {"sum", "prod", "max", "min", "amax", "amin", "nansum", "nanprod", "nanmax",
         "nanmin"}
_SPREADS = {"std", "var", "nanstd", "nanvar"}

#: Keywords, and the functions and methods that CuPy has without them.
KEYWORDS = {"initial": _SUMS, "mode": {"take"}, "correction": _SPREADS,
            "mean": _SPREADS, "stable": {"sort", "argsort"},
            "where": _SUMS | _SPREADS | {"mean", "nanmean", "any", "all"},
            "order": {"sort", "argsort", "partition", "argpartition"},
            "keepdims": {"count_nonzero"}, "weights": {"percentile", "quantile"},
            "subok": {"copy", "broadcast_to"}}

UFUNC_KEYWORDS = {"where", "order", "subok"}

#: Methods of a ufunc, and for which ufuncs CuPy has them; None: for all.
UFUNC_METHODS = {"__call__": None, "outer": None, "reduceat": set(),
                 "at": {"add", "maximum", "minimum"}, "reduce": {"add", "multiply"},
                 "accumulate": {"add", "multiply"}}

#: Calls that take a NumPy array of no axes; operators and all others want a number.
HOST_NUMBERS = {"getitem", "setitem", "fill", "copyto", "take", "full_like"}


class Flags:
    """What CuPy tells of how an array lies in memory.

    Parameters
    ----------
    flags : numpy.flagsobj
    """

    def __init__(self, flags):
        for name in FLAGS:
            setattr(self, name, getattr(flags, name))

    def __getitem__(self, name):
        return getattr(self, name.lower())


def refuse_as_cupy(name, method, args, kwargs):
    """Raise TypeError if CuPy does not do this.

    Parameters
    ----------
    name : str
        That of a function, method or ufunc.
    method : str or None
        That of a ufunc.
    args, kwargs
        Its arguments.
    """
    if method is not None:
        having = UFUNC_METHODS.get(method, set())
        if name in UFUNCS or having is not None and name not in having:
            _refuse(f"{name}.{method}" if method != "__call__" else name)
        if any(isinstance(one, (list, tuple)) for one in args):
            _refuse(f"{name} of a list or a tuple")
    elif name in FUNCTIONS:
        _refuse(name)
    for keyword in kwargs:
        if keyword in UFUNC_KEYWORDS if method else name in KEYWORDS.get(keyword, ()):
            if kwargs[keyword] is not np._NoValue:
                _refuse(f"{name} with {keyword}=")


def _refuse(what):
    raise TypeError(f"{what}: expected what CuPy can do, too, got what only NumPy "
                    "does.")
