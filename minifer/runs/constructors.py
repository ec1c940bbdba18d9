"""Arguments of a network's constructor, as words of a command line: NAME=VALUE."""

import inspect

from ..errors import SettingError, visible

__all__ = ["constructor_arguments"]

#: What is not to be chosen: it follows from the data.
GIVEN = ("input_var", "num_classes", "size")
#: Type of a parameter's default -> how its values are written.
FORMS = {bool: "true or false", int: "a whole number", float: "a number",
         tuple: "whole numbers joined by -"}


def constructor_arguments(build, words):
    """Read words for a function, each by the default of the parameter that it names.

    Parameters
    ----------
    build : function
        Makes a network.
    words : sequence of str
        ``NAME=VALUE``, with values as in ``stem=32``, ``dropout=0.25``,
        ``widths=48-96-160`` and ``residual=false``.

    Returns
    -------
    dict
        Keywords for ``build``.

    Raises
    ------
    SettingError
        If a word has another form, names what the function does not have, or is given
        twice.

    Examples
    --------
    >>> constructor_arguments(lambda stem=32, widths=(48, 96): None, ["widths=16-32"])
    {'widths': (16, 32)}
    """
    defaults = {name: one.default for name, one in
                inspect.signature(build).parameters.items()
                if name not in GIVEN and type(one.default) in FORMS}
    found = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in defaults:
            raise SettingError(
                f"--net: expected NAME=VALUE with {', '.join(defaults) or 'no name'} "
                f"of this network, got '{visible(word)}'.")
        if name in found:
            raise SettingError(f"--net: expected {name} once, got it twice.")
        kind = type(defaults[name])
        try:
            found[name] = _read(kind, text)
        except (ValueError, KeyError):
            raise SettingError(f"--net: {name}: expected {FORMS[kind]}, as in "
                               f"{name}={_write(defaults[name])}, got "
                               f"'{visible(text)}'.") from None
    return found


def _read(kind, text):
    if kind is bool:
        return {"true": True, "false": False}[text.lower()]
    if kind is tuple:
        return tuple(map(int, text.split("-")))
    return kind(text)


def _write(value):
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return str(value).lower()
