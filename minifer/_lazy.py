"""Rooms that open when they are entered: names imported when they are first used.

``import minifer`` then does not wait for what a script never touches, such as OpenCV.
"""

import importlib

from . import _moved

__all__ = ["door"]


def door(package, homes):
    """The functions that make a package's names appear when they are asked for.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    homes : dict of str -> str
        Public name -> the module of this package that defines it; None: the name is
        a module itself.

    Returns
    -------
    __getattr__, __dir__ : functions
        For the package to keep under these names (PEP 562).

    Examples
    --------
    >>> find, names = door("minifer", {"shared_area": "faces.boxes"})
    >>> find("shared_area")([0, 0, 2, 2], [0, 0, 2, 2])
    4
    >>> names()
    ['shared_area']
    """
    def __getattr__(name):
        if name in homes:
            module = importlib.import_module(f"{package}.{homes[name] or name}")
            return getattr(module, name) if homes[name] else module
        return _moved.attribute(package, name)

    def __dir__():
        return sorted(homes)

    return __getattr__, __dir__
