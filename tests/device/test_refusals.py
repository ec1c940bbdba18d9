"""What the emulator's arrays refuse is what CuPy refuses, entry by entry.

Without a GPU only the emulator's side is asked; ``make cupy-check`` asks CuPy itself.
"""

import inspect
import operator

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.device import arrays, refusals

on_devices = pytest.mark.parametrize("device", DEVICES)


@pytest.fixture
def x(device):
    return arrays.to_device(np.arange(1.0, 7.0), device)


def reductions(keyword):
    return sorted(refusals.KEYWORDS[keyword])


@on_devices
@pytest.mark.parametrize("name", sorted(refusals.ATTRIBUTES))
def test_attributes(x, name):
    assert hasattr(np.ndarray, name) and not hasattr(x, name)


@on_devices
def test_flags(x):
    assert [getattr(x.flags, name) for name in refusals.FLAGS[:3]] == [True, True, True]
    assert x.flags["C_CONTIGUOUS"] and not x.reshape(2, 3).T.flags.c_contiguous
    for name in ("writeable", "aligned", "behaved"):
        assert not hasattr(x.flags, name)


ARGUMENTS = {"where": True, "initial": 1.0, "mode": "clip", "correction": 1,
             "mean": 0.0, "stable": True, "order": "a", "keepdims": True, "subok": True,
             "weights": [1.0] * 6}
MORE = {"percentile": [50], "quantile": [0.5], "partition": [2], "argpartition": [2],
        "broadcast_to": [(6,)]}


@on_devices
@pytest.mark.parametrize("keyword, name", [
    (keyword, name) for keyword in refusals.KEYWORDS for name in reductions(keyword)])
def test_keywords(x, keyword, name):
    index = ([arrays.to_device(np.array([0]), arrays.device_of(x))] if name == "take"
             else MORE.get(name, []))
    with pytest.raises(TypeError, match=keyword):
        getattr(np, name)(x, *index, **{keyword: ARGUMENTS[keyword]})
    if hasattr(np.ndarray, name):
        with pytest.raises(TypeError, match=keyword):
            getattr(x, name)(*index, **{keyword: ARGUMENTS[keyword]})


@on_devices
@pytest.mark.parametrize("keyword", sorted(refusals.UFUNC_KEYWORDS))
def test_keywords_of_ufuncs(x, keyword):
    value = {"where": x > 2, "order": "C", "subok": True}[keyword]
    for f in (np.add, np.sqrt):
        with pytest.raises(TypeError):
            f(*[x] * f.nin, **{keyword: value})


@on_devices
@pytest.mark.parametrize("method", ["at", "reduce", "accumulate", "reduceat"])
@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "subtract", "power"])
def test_methods_of_ufuncs(x, method, name):
    zero = arrays.to_device(np.array([0, 0]), arrays.device_of(x))
    args = {"at": (x, zero, 2.0), "reduceat": (x, [0, 2])}.get(method, (x,))
    if name in refusals.UFUNC_METHODS[method]:
        getattr(getattr(np, name), method)(*args)
    else:
        with pytest.raises((TypeError, NotImplementedError)):
            getattr(getattr(np, name), method)(*args)


#: What the tables must say whatever else they say, as each was once forgotten.
FORGOTTEN = {
    "where": lambda x: np.add(x, x, where=x > 2), "sum where": lambda x: x.sum(
        where=x > 2), "initial": lambda x: np.max(x, initial=0.0),
    "initial of a sum": lambda x: x.sum(initial=1.0),
    "ctypes": lambda x: x.ctypes.data, "setflags": lambda x: x.setflags(write=False),
    "writeable": lambda x: x.flags.writeable, "no axes": lambda x: x * np.array(2.0),
    "as_strided": lambda x: np.lib.stride_tricks.as_strided(x, (2,), (8,)),
    "reduceat": lambda x: np.add.reduceat(x, [0, 2]),
    "mode": lambda x: np.take(x, 0, mode="clip")}


@on_devices
@pytest.mark.parametrize("name", FORGOTTEN)
def test_what_was_once_forgotten(x, name):
    with pytest.raises((TypeError, AttributeError, NotImplementedError)):
        FORGOTTEN[name](x)


CALLS = {"as_strided": lambda x: np.lib.stride_tricks.as_strided(x, (2,), (8,)),
         "block": lambda x: np.block([x, x]), "insert": lambda x: np.insert(x, 0, 1),
         "einsum_path": lambda x: np.einsum_path("i,i", x, x),
         "geomspace": lambda x: np.geomspace(x[0], x[1]),
         "histogram_bin_edges": np.histogram_bin_edges, "polyint": np.polyint,
         "nanpercentile": lambda x: np.nanpercentile(x, 50), "polyder": np.polyder,
         "nanquantile": lambda x: np.nanquantile(x, 0.5),
         "polydiv": lambda x: np.polydiv(x, x)}


@on_devices
@pytest.mark.parametrize("name", sorted(refusals.FUNCTIONS | refusals.UFUNCS))
def test_functions(x, name):
    function = getattr(np, name, None)
    if name != "as_strided" and function is None:
        pytest.skip(f"this NumPy has no {name}")
    pairs = name in ("vecdot", "matvec", "vecmat")
    with pytest.raises(TypeError):
        CALLS.get(name, lambda x: function(*[x.reshape(1, 6)] * (1 + pairs)))(x)


MIXED = {"add": lambda x: x + np.array(0.5), "radd": lambda x: np.array(0.5) + x,
         "iadd": lambda x: operator.iadd(x, np.array(0.5)),
         "ufunc": lambda x: np.multiply(x, np.array(2.0)),
         "where": lambda x: np.where(x > 2, x, np.array(0.0)),
         "clip": lambda x: np.clip(x, np.array(0.0), 1),
         "array": lambda x: x + np.ones(6),
         "list": lambda x: np.add(x, [1.0] * 6), "one": lambda x: float(x[:1]),
         "int": lambda x: int(x[:1]), "index": lambda x: operator.index(x[0]),
         "asarray": lambda x: np.asarray(x), "concatenate": lambda x: np.concatenate(
             [x, np.ones(2)])}


@on_devices
@pytest.mark.parametrize("name", sorted(MIXED))
def test_what_does_not_mix(x, name):
    with pytest.raises(TypeError):
        MIXED[name](x)


@on_devices
def test_where_a_number_on_the_host_is_taken(x):
    x[0] = np.array(5.0)
    np.copyto(x[1:2], np.array(6.0))
    x[2:3].fill(np.array(7.0))
    x[3] += np.float64(1)
    assert arrays.to_host(x).tolist() == [5, 6, 7, 5, 5, 6]
    assert float(x[np.array(1)]) == 6


@on_devices
def test_what_is_not_in_the_tables_works(x):
    for name in ("sum", "prod", "max", "min", "mean", "std", "var", "argmax", "cumsum"):
        np.testing.assert_allclose(arrays.to_host(getattr(np, name)(x)),
                                   getattr(np, name)(arrays.to_host(x)), rtol=1e-14)
    np.copyto(x, 0.0, where=x > 3)
    assert arrays.to_host(np.clip(x, 1, 2)).tolist() == [1, 2, 2, 1, 1, 1]
    assert float(x.sum(keepdims=True)[0]) == 6 and x.any(axis=0)


def test_the_tables_name_what_numpy_has():
    assert all(hasattr(np.ndarray, name) for name in refusals.ATTRIBUTES)
    named = set().union(*refusals.KEYWORDS.values())
    assert not [name for name in named if not hasattr(np, name)]


def missing_keywords(cupy):
    """Pairs of a function and a keyword of the table that NumPy's has and CuPy's has
    not, as far as both tell."""
    found = set()
    for name in dir(np):
        if not hasattr(getattr(np, name), "_implementation") or not hasattr(cupy, name):
            continue
        try:
            ours, theirs = (set(inspect.signature(getattr(module, name)).parameters)
                            for module in (np, cupy))
        except ValueError:
            continue
        if not theirs & {"args", "kwargs"}:
            found |= {(name, one) for one in ours - theirs if one in ARGUMENTS}
    return found


def refused_keywords(x):
    """The keywords that a ufunc of an array does not take."""
    found = set()
    for keyword, value in {"where": x > 2, "order": "C", "subok": True, "dtype": "f8",
                           "casting": "unsafe", "out": x}.items():
        try:
            np.add(x, x, **{keyword: value})
        except TypeError:
            found.add(keyword)
    return found


@pytest.mark.parametrize("device", DEVICES[1:])
def test_the_tables_are_complete(device):
    cupy = arrays.cupy_module()
    missing = {name for name in dir(np) if hasattr(getattr(np, name), "_implementation")
               and not hasattr(cupy, name)}
    dates = {"busday_count", "busday_offset", "is_busday", "datetime_as_string"}
    assert missing - dates <= refusals.FUNCTIONS
    assert {name for name in dir(np) if isinstance(getattr(np, name), np.ufunc)
            and not hasattr(cupy, name)} <= refusals.UFUNCS
    assert missing_keywords(cupy) == {
        (name, keyword) for keyword, names in refusals.KEYWORDS.items()
        for name in names}
    assert refused_keywords(cupy.ones(6)) == refusals.UFUNC_KEYWORDS
    plain = {name for name in dir(np.ndarray) if not name.startswith("_")}
    assert plain - set(dir(cupy.ndarray)) <= refusals.ATTRIBUTES | {"to_device"}
    assert {n for n in dir(cupy.ones(1).flags) if n[0] != "_"} == set(refusals.FLAGS)
