"""What may be chosen: a range of numbers, whole numbers by a step, or a few values.

A search space is a dict of name -> range. On a command line it is a word a name:

>>> space = parse_space(["lr=log:1e-4:1e-1", "epochs=int:5:50:5", "batch=32,64,128",
...                      "rotation=0:20"])
>>> for name, one in space.items():
...     print(name, repr(one))
lr Float(0.0001, 0.1, log=True)
epochs Int(5, 50, 5)
batch Choice([32, 64, 128])
rotation Float(0.0, 20.0)
"""

import math

from ..errors import SettingError

__all__ = ["Float", "Int", "Choice", "parse_space", "check_space", "space_size"]

FORMS = "LOW:HIGH, log:LOW:HIGH, int:LOW:HIGH, int:LOW:HIGH:STEP or A,B,C"


class Float:
    """A number from ``low`` to ``high``, both included.

    Parameters
    ----------
    low, high : float
        ``low < high``.
    log : bool, default False
        Each factor is as likely as any other, instead of each difference: right for
        learning rates. Needs ``low > 0``.
    """

    def __init__(self, low, high, log=False):
        numbers = all(_is_number(one, (int, float)) for one in (low, high))
        if not numbers or not low < high or not math.isfinite(high - low):
            raise SettingError(f"range: expected two numbers, the lower one first, got "
                               f"{low!r} and {high!r}.")
        if log and low <= 0:
            raise SettingError("range: expected numbers > 0 for a logarithmic scale, "
                               f"got {low!r}. Take a linear one.")
        self.low, self.high, self.log = float(low), float(high), bool(log)
        #: Values to check: where these are allowed, so are the others.
        self.ends = self.low, self.high

    #: How many different values there are.
    size = math.inf

    def draw(self, rng):
        """A value, uniform on its scale."""
        return self._at(rng.uniform())

    def neighbour(self, value, rng, step):
        """A value at most ``step`` (share of the range, on its scale) away."""
        place = abs(self._place(value) + rng.uniform(-step, step))
        return self._at(min(place, 2 - place))  # mirrored at both ends

    def _at(self, place):
        """The value at ``place``, 0 … 1; rounding must not lead out of the range."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + (high - low) * place)
        else:
            value = self.low + (self.high - self.low) * place
        return min(max(value, self.low), self.high)

    def _place(self, value):
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return (math.log(value) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def __repr__(self):
        return f"Float({self.low!r}, {self.high!r}{', log=True' * self.log})"


class _Values:
    """What has ``values``, a sequence of all that it can be."""

    @property
    def size(self):
        """How many different values there are."""
        return len(self.values)

    def draw(self, rng):
        """A value, each as likely."""
        return self.values[int(rng.integers(self.size))]


class Int(_Values):
    """A whole number: ``low``, ``low + step``, … up to ``high``.

    Parameters
    ----------
    low, high : int
        ``low < high``.
    step : int >= 1, default 1
    """

    def __init__(self, low, high, step=1):
        if not all(_is_number(one, int) for one in (low, high, step)) or not (
                low < high and step >= 1):
            raise SettingError(
                "range: expected two whole numbers, the lower one first, and a step >= "
                f"1, got {low!r}, {high!r} and {step!r}.")
        self.values = range(low, high + 1, step)
        self.high = high
        self.ends = self.values[0], self.values[-1]

    def neighbour(self, value, rng, step):
        """Another value, at most ``step`` (share of the range) or one step away."""
        if self.size == 1:
            return value
        most, at = max(1, round(step * (self.size - 1))), self.values.index(value)
        near = self.values[max(0, at - most):at + most + 1]
        others = [one for one in near if one != value]
        return others[int(rng.integers(len(others)))]

    def __repr__(self):
        return f"Int({self.values.start}, {self.high}, {self.values.step})"


class Choice(_Values):
    """One of a few values, of which none is closer to another.

    Parameters
    ----------
    values : sequence of str, int, float, bool or None
        Two or more, all different.
    """

    def __init__(self, values):
        self.values = list(values) if isinstance(values, (list, tuple, range)) else []
        names = {_text(value) for value in self.values}
        if len(self.values) < 2 or len(names) < len(self.values) or not all(
                value is None or isinstance(value, (str, bool))
                or _is_number(value, (int, float)) for value in self.values):
            raise SettingError("choices: expected two or more different numbers or "
                               f"words, got {values!r}.")
        self.ends = tuple(self.values)

    def neighbour(self, value, rng, step):
        """Any other value."""
        others = [one for one in self.values if _text(one) != _text(value)]
        return others[int(rng.integers(len(others)))]

    def __repr__(self):
        return f"Choice({self.values!r})"


def parse_space(words):
    """Read a search space from a command line.

    Parameters
    ----------
    words : sequence of str
        ``NAME=LOW:HIGH`` (a number), ``NAME=log:LOW:HIGH`` (on a logarithmic scale),
        ``NAME=int:LOW:HIGH[:STEP]`` (whole numbers) or ``NAME=A,B,C`` (a few values:
        numbers, true, false, other words).

    Returns
    -------
    dict of str -> Float, Int or Choice

    Raises
    ------
    SettingError
        If a word has another form, or two have one name.
    """
    space = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals and text):
            raise SettingError(f"space: expected NAME=RANGE with RANGE {FORMS}, got "
                               f"'{word}'.")
        if name in space:
            raise SettingError(f"space: expected each name once, got '{name}' twice. "
                               "Leave one out.")
        try:
            space[name] = _parse_range(text)
        except SettingError as error:
            raise SettingError(f"space: {name}={text}: {error}") from error
    return space


def _parse_range(text):
    if "," in text:
        return Choice([_parse_value(one) for one in text.split(",")])
    kind, *parts = text.split(":")
    try:
        if kind == "int" and len(parts) in (2, 3):
            return Int(*map(int, parts))
        if kind == "log" and len(parts) == 2:
            return Float(*map(float, parts), log=True)
        if len(parts) == 1:
            return Float(float(kind), float(parts[0]))
    except SettingError:
        raise
    except ValueError:
        pass  # a word where a number should be
    raise SettingError(f"expected {FORMS}.")


def _parse_value(text):
    if text in ("true", "false"):
        return text == "true"
    for kind in int, float:
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def check_space(space):
    """Raise SettingError unless ``space`` is a dict of name -> range."""
    if not isinstance(space, dict) or not space:
        raise SettingError("space: expected a dict with one name or more, got "
                           f"{space!r}. Give {{'lr': Float(1e-4, 1e-1, log=True)}}.")
    for name, one in space.items():
        if not isinstance(name, str) or not isinstance(one, (Float, Int, Choice)):
            raise SettingError("space: expected names with Float, Int or Choice, got "
                               f"{name!r}: {one!r}.")


def space_size(space):
    """How many different settings there are: a whole number, or infinity."""
    return math.prod(one.size for one in space.values())


def _is_number(value, kinds):
    return (isinstance(value, kinds) and not isinstance(value, bool)
            and math.isfinite(value))


def _text(value):
    """A text that tells True from 1."""
    return repr(value)
