"""The ``.safetensors`` format: a header in JSON, then plain numbers.

Eight bytes give the length of the header; the header gives type, shape and place of
each tensor; the places follow one another without a gap. There is nothing to
execute, and all that a header can lie about is checked before it is believed.
https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ..._types import FilePath
from ...errors import WeightsError, quoted
from ...files import parse_json, reading
from .shards import beside

__all__ = ["read_safetensors"]

#: The format's own limit for its header, in bytes.
LONGEST_HEADER = 100_000_000
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8",
         "I32": "<i4", "I16": "<i2", "I8": "|i1", "U64": "<u8", "U32": "<u4",
         "U16": "<u2", "U8": "|u1", "BOOL": "|b1", "C64": "<c8",
         "F8_E4M3": "|u1", "F8_E5M2": "|u1"}
#: Types of fewer than eight bits, and scales alone: the format has them, NumPy has not.
NOT_READ = ("F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ")


def read_safetensors(path: FilePath) -> dict[str, np.ndarray]:
    """Read the tensors of a ``.safetensors`` file, or of several.

    Parameters
    ----------
    path : str or path-like
        The file, or the ``.safetensors.index.json`` of tensors in several files, which
        lie beside it.

    Returns
    -------
    dict of str -> array
        Tensors by name, read-only, in the file's types and order; bfloat16 and the
        floats of 8 bits (E4M3, E5M2) become float32. Names are those that its writer
        gave.

    Raises
    ------
    WeightsError
        If the file is missing or truncated, or its header does not fit it.

    See Also
    --------
    load_torch_params : puts them into a network, where names are torchvision's.
    """
    with reading(path, "a whole .safetensors file", WeightsError,
                 "Get it again.") as file:
        start = file.read(8)  # a length, in a file of tensors
        if start[:1] == b"{" and b"\0" not in start:
            file.seek(0)
            found: dict = {}
            for part in beside(path, file, endings=(".safetensors",)):
                more = read_safetensors(part)
                if found.keys() & more.keys():
                    raise ValueError("a tensor that is in two of its files")
                found.update(more)
            return found
        file.seek(0)
        header, body = _split(file.read())
        return _arrays(header, body)


def _split(data):
    """The header as a dict, and the bytes behind it."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, LONGEST_HEADER):
        raise ValueError(f"a header of {length} bytes in a file of {len(data)}")
    header = parse_json(data[8:8 + length])
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")
    header.pop("__metadata__", None)
    return header, memoryview(data)[8 + length:]


def _arrays(header, body):
    """Views of ``body``, once all places are known to follow one another."""
    for name, entry in header.items():
        _check(name, entry)
    end = 0
    # What is empty lies where the next one begins.
    for name in sorted(header, key=lambda one: header[one]["data_offsets"]):
        start, stop = header[name]["data_offsets"]
        if start != end or stop > len(body):
            raise ValueError(f"{quoted(name)} lies at {start} to {stop}, expected "
                             f"from {end} and not behind {len(body)}")
        end = stop
    if end != len(body):
        raise ValueError(f"{len(body) - end} bytes that belong to no tensor")
    return {name: _array(entry, body) for name, entry in header.items()}


def _check(name, entry):
    """An entry's type, and that its shape fills its place."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        raise ValueError(f"{quoted(name)} has no type")
    if entry["dtype"] in NOT_READ:
        raise WeightsError(
            f"expected tensors of a type that NumPy has, got {quoted(name)} of type "
            f"{entry['dtype']}. Save them as float32.")
    if entry["dtype"] not in TYPES:
        raise ValueError(f"{quoted(name)} is of type {quoted(entry['dtype'])}, "
                         f"expected one of {', '.join(TYPES)}")
    shape, place = entry.get("shape"), entry.get("data_offsets")
    if not (_whole(shape, least=0) and len(shape) <= 8
            and _whole(place, least=0) and len(place) == 2):
        raise ValueError(f"{quoted(name)} has no whole shape and data_offsets")
    wanted = math.prod(shape) * np.dtype(TYPES[entry["dtype"]]).itemsize
    if place[1] - place[0] != wanted:
        raise ValueError(f"{quoted(name)} of shape {shape} has {place[1] - place[0]} "
                         f"bytes, expected {wanted}")


def _whole(numbers, least):
    return isinstance(numbers, list) and all(type(n) is int and n >= least
                                             for n in numbers)


def _array(entry, body):
    start, stop = entry["data_offsets"]
    numbers = np.frombuffer(body[start:stop], TYPES[entry["dtype"]])
    if entry["dtype"] == "BOOL":
        numbers = numbers.view(np.uint8) != 0
        numbers.flags.writeable = False
    if entry["dtype"] == "BF16":
        numbers = (numbers.astype("<u4") << 16).view("<f4")
        numbers.flags.writeable = False
    if entry["dtype"].startswith("F8_"):
        numbers = _eight_bits(entry["dtype"])[numbers]
        numbers.flags.writeable = False
    return numbers.reshape(entry["shape"])


@functools.lru_cache(maxsize=2)
def _eight_bits(dtype):
    """The value of each byte: sign, exponent, fraction (Micikevicius et al. 2022)."""
    bits = np.arange(256)
    fraction_bits, bias = (3, 7) if dtype == "F8_E4M3" else (2, 15)
    exponent = (bits >> fraction_bits) & (127 >> fraction_bits)
    fraction = (bits & ((1 << fraction_bits) - 1)) / (1 << fraction_bits)
    value = np.where(exponent == 0, fraction * 2.0 ** (1 - bias),
                     (1 + fraction) * 2.0 ** (exponent - float(bias)))
    if dtype == "F8_E4M3":  # all ones is NaN, there is no infinity
        value[(bits & 127) == 127] = np.nan
    else:
        value[exponent == 31] = np.where(fraction[exponent == 31] == 0, np.inf, np.nan)
    return np.where(bits & 128, -value, value).astype(np.float32)
