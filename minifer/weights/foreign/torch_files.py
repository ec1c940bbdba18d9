"""Weights that PyTorch saved: ``torch.save(model.state_dict(), path)``.

A file of ``torch.save`` is a pickle in which each tensor is a call,
``_rebuild_tensor_v2(storage, offset, size, stride, …)``, and the storages' numbers
lie beside it: in a zip archive as ``data/0``, ``data/1``, … (since PyTorch 1.6), or
one behind the other after the pickle (before). The pickle is run by
:mod:`minifer.weights.foreign.pickles`, and so it can name tensors and dicts, and
nothing else.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from dataclasses import dataclass

import numpy as np

from ..._types import FilePath
from ...errors import WeightsError, quoted
from ...files import open_zip, reading
from .pickles import Refused, run_pickle

__all__ = ["read_torch"]

LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950a86a20f9469cfc6c, 1001
#: Two bytes that NumPy has no type for: the upper half of a float32.
BFLOAT16 = "bfloat16"
STORAGES = {"torch.DoubleStorage": "<f8", "torch.FloatStorage": "<f4",
            "torch.HalfStorage": "<f2", "torch.BFloat16Storage": BFLOAT16,
            "torch.LongStorage": "<i8", "torch.IntStorage": "<i4",
            "torch.ShortStorage": "<i2", "torch.CharStorage": "|i1",
            "torch.ByteStorage": "|u1", "torch.BoolStorage": "|b1",
            "torch.ComplexFloatStorage": "<c8", "torch.ComplexDoubleStorage": "<c16",
            "torch.storage.UntypedStorage": "|u1"}
#: Types whose tensors lie in storages of bytes.
UNTYPED = {"torch.uint16": "<u2", "torch.uint32": "<u4", "torch.uint64": "<u8"}
#: What may stand beside weights, and is passed over: settings, devices, types.
ASIDE = ("torch.device", "argparse.Namespace", "pathlib.PosixPath", "pathlib.Path",
         "pathlib.WindowsPath", "datetime.datetime", "numpy.dtype",
         *(f"torch.{name}" for name in (
             "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32",
             "int64", "uint8", "bool", "complex64", "complex128", "strided",
             "contiguous_format", "channels_last")),
         *(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")))
#: Also what is empty has lengths that can be.
MOST_NUMBERS = 1 << 48
#: Tensors that share storages may have so many bytes together, or so many times the
#: storages' own.
SHARED, TIMES = 1 << 20, 16


@dataclass(frozen=True)
class Storage:
    """So many numbers of a type, which lie in the file under a key."""

    key: str
    dtype: str
    count: int

    @property
    def nbytes(self):
        return self.count * _itemsize(self.dtype)


def _itemsize(dtype):
    return 2 if dtype == BFLOAT16 else np.dtype(dtype).itemsize


@dataclass(frozen=True)
class Tensor:
    """A view of a storage: where it starts, its lengths, and its steps."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple
    negative: bool = False

    @property
    def nbytes(self):
        return math.prod(self.shape) * _itemsize(self.storage.dtype)

    def of(self, numbers):
        """The array, as a view of the storage's ``numbers``."""
        if 0 in self.shape:
            return np.empty(self.shape, numbers.dtype)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        if last >= len(numbers):
            raise ValueError(f"a tensor of shape {self.shape} in a storage of "
                             f"{len(numbers)} numbers")
        array = np.lib.stride_tricks.as_strided(
            numbers[self.offset:], self.shape,
            [step * numbers.itemsize for step in self.strides], writeable=False)
        if self.negative:
            array = np.negative(array)
            array.flags.writeable = False
        return array


def read_torch(path: FilePath, entry: str | None = None) -> dict[str, np.ndarray]:
    """Read the tensors of a ``.pth`` or ``.pt`` file, without PyTorch.

    Parameters
    ----------
    path : str or path-like
        Written by ``torch.save`` from a ``state_dict()``, or from a dict that has
        one among its entries (with an epoch, an optimizer's state, …).
    entry : str, optional
        Which entry holds the weights; needed only where several could.

    Returns
    -------
    dict of str -> array
        The tensors by name, read-only, in the file's types and order; bfloat16
        becomes float32. Tensors that share a storage share it here too; one that
        PyTorch has marked to be negated (``x.conj().imag``) is.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, of another kind, or names anything but
        tensors: nothing in it is ever executed.

    See Also
    --------
    load_torch_params : puts them into a network.
    """
    with reading(path, "a whole file of torch.save", WeightsError) as file:
        zipped = file.read(4) == b"PK\3\4"
        file.seek(0)
        try:
            if zipped:
                return _read_zip(file, entry)
            return _read_legacy(io.BytesIO(file.read()), entry)
        except Refused as error:
            raise WeightsError(
                f"expected tensors alone, got a pickle with {error}, which is not "
                "executed. Load files you trust only, saved from model.state_dict()."
            ) from error


def _read_zip(file, entry):
    """Read the format since PyTorch 1.6."""
    with open_zip(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if any(name.endswith("/constants.pkl") for name in members):
            raise WeightsError("expected a state dict, got a program (TorchScript), "
                               "which is not executed. Save model.state_dict().")
        if any(one.compress_type != zipfile.ZIP_STORED for one in members.values()):
            raise ValueError("compressed entries; torch.save writes none")
        pickles = [name for name in members if name.count("/") == 1
                   and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"{len(pickles)} entries named data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        if root + "byteorder" in members:
            _check_order(archive.read(root + "byteorder") == b"little")

        def numbers(storage):
            content = archive.read(f"{root}data/{storage.key}")
            if len(content) != storage.nbytes:
                raise ValueError(f"{len(content)} bytes in data/{storage.key}, "
                                 f"expected {storage.nbytes}")
            return content

        content = run_pickle(io.BytesIO(archive.read(pickles[0])), _names(), _storage)
        return _arrays(_state_dict(content, entry), numbers)


def _check_order(little_endian):
    if little_endian is not True:
        raise ValueError("numbers whose highest byte is first")


def _read_legacy(data, entry):
    """Read the old format: five pickles, then length and bytes of each storage."""
    if run_pickle(data, {}) != LEGACY_MAGIC or run_pickle(data, {}) != LEGACY_PROTOCOL:
        raise ValueError("not the number a file of torch.save begins with")
    system = run_pickle(data, {})
    _check_order(isinstance(system, dict) and system.get("little_endian"))
    storages, places = {}, {}

    def storage_of(identity):
        storage = _storage(identity)
        if storages.setdefault(storage.key, storage) != storage:
            raise ValueError(f"two types of storage {quoted(storage.key)}")
        return storage

    content = run_pickle(data, _names(), storage_of)
    keys = run_pickle(data, {})
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or (
            set(keys) != set(storages)):
        raise ValueError("other storages than its tensors need")
    for key in keys:
        (count,) = struct.unpack("<q", data.read(8))
        end = data.tell() + storages[key].nbytes
        if count != storages[key].count or end > len(data.getbuffer()):
            raise ValueError(f"{count} numbers for {storages[key].count}, or the end "
                             "of the file within them")
        places[key] = slice(data.tell(), end)
        data.seek(end)
    return _arrays(_state_dict(content, entry),
                   lambda storage: data.getbuffer()[places[storage.key]])


def _names():
    """All that a pickle of tensors may name."""
    return {**{name: _Aside for name in ASIDE}, **{name: name for name in UNTYPED},
            "_codecs.encode": lambda text, encoding="latin1": b"",
            "torch._utils._rebuild_tensor_v3": _untyped_tensor,
            "collections.OrderedDict": _ordered_dict,
            "torch._utils._rebuild_tensor": _tensor,
            "torch._utils._rebuild_tensor_v2": _tensor,
            "torch._utils._rebuild_parameter": _parameter,
            "torch.nn.parameter.Parameter": _parameter,
            "torch.Size": _size, **STORAGES}


class _Aside:
    """Something beside the weights, of which nothing is kept."""

    def __init__(self, *parts):
        pass

    def set_state(self, state):
        """Passed over."""


def _untyped_tensor(storage, offset, shape, strides, requires_grad, hooks, dtype,
                    marks=None):
    """A tensor of a type without storages of its own: its offset is in bytes' place."""
    if not isinstance(storage, Storage) or dtype not in UNTYPED or (
            storage.dtype != "|u1"):
        raise Refused(f"a tensor of type {quoted(str(dtype))}")
    size = np.dtype(UNTYPED[dtype]).itemsize
    if storage.count % size:
        raise ValueError("a storage that holds no whole numbers")
    whole = Storage(storage.key, UNTYPED[dtype], storage.count // size)
    return _tensor(whole, offset, shape, strides, requires_grad, hooks, marks)


def _ordered_dict(pairs=()):
    if not all(isinstance(name, str) for name, _ in pairs):
        raise ValueError("an OrderedDict whose keys are no names")
    return dict(pairs)


def _tensor(storage, offset, shape, strides, requires_grad=False, hooks=None,
            marks=None):
    whole = all(isinstance(part, tuple) and all(type(n) is int and n >= least
                                                for n in part)
                for part, least in ((shape, 0), (strides, 0), ((offset,), 0)))
    whole = whole and (0 not in shape
                       or math.prod(n or 1 for n in shape) < MOST_NUMBERS)
    if not (isinstance(storage, Storage) and whole and len(shape) == len(strides) <= 8):
        raise ValueError("a tensor without whole storage, offset, lengths and steps")
    return Tensor(storage, offset, shape, strides, _is_negative(marks))


def _is_negative(marks):
    """What PyTorch notes of a tensor whose values are other than its storage says."""
    if marks is not None and (not isinstance(marks, dict) or any(
            type(on) is not bool for on in marks.values())):
        raise ValueError("a tensor with notes that are none of PyTorch's")
    others = [name for name, on in (marks or {}).items() if on and name != "neg"]
    if others:
        raise WeightsError(
            f"expected plain tensors, got one with the mark {quoted(str(others[0]))}, "
            "which changes its values. Save tensor.resolve_conj().clone().")
    return bool(marks and marks.get("neg"))


def _parameter(tensor, requires_grad=True, hooks=None):
    if not isinstance(tensor, Tensor):
        raise ValueError("a parameter that is no tensor")
    return tensor


def _size(lengths=()):
    return tuple(lengths)


def _storage(identity):
    """``('storage', type, key, device, count)``, and in old files a view."""
    if not (isinstance(identity, tuple) and len(identity) in (5, 6)
            and identity[0] == "storage"):
        raise Refused("a persistent id that is no storage")
    _, dtype, key, _, count, *view = identity
    if not (isinstance(dtype, str) and dtype in STORAGES.values()
            and isinstance(key, str) and type(count) is int and count >= 0):
        raise ValueError("a storage without type, key and size")
    if view not in ([], [None]):
        raise ValueError("a view of a storage: save it again with a newer PyTorch")
    return Storage(key, dtype, count)


def _state_dict(content, entry):
    """The dict of tensors: the content itself, or the one entry that is such."""
    def tensors(value):
        return {} if not isinstance(value, dict) else {
            name: one for name, one in value.items() if isinstance(one, Tensor)}

    found = {} if not isinstance(content, dict) else {
        name: tensors(value) for name, value in content.items() if tensors(value)}
    # A tensor beside dicts of tensors is a number that was noted, such as an accuracy.
    if entry is None and not found and tensors(content):
        return tensors(content)
    if entry is None and len(found) == 1:
        (entry,) = found
    if entry not in found:
        names = ", ".join(quoted(str(name)) for name in list(found)[:5])
        raise WeightsError(
            f"expected a dict of tensors, got {names or 'none'}"
            + (f" and entry={entry!r}. Choose one with entry." if found else
               ". Save model.state_dict()."))
    return found[entry]


def _arrays(tensors, numbers):
    """Read the storages that are needed, each once, and view them as arrays."""
    storages = {tensor.storage for tensor in tensors.values()}
    there = sum(storage.nbytes for storage in storages)
    total = sum(tensor.nbytes for tensor in tensors.values())
    if total > max(SHARED, TIMES * there):  # steps of 0 make many numbers of one
        largest = max(tensors.values(), key=lambda tensor: tensor.nbytes)
        raise ValueError(f"a tensor of shape {largest.shape}, and {total:,} bytes of "
                         f"tensors in all, in storages of {there:,}")
    read = {}
    for tensor in tensors.values():
        if tensor.storage not in read:
            read[tensor.storage] = _decoded(numbers(tensor.storage),
                                            tensor.storage.dtype)
    return {name: tensor.of(read[tensor.storage]) for name, tensor in tensors.items()}


def _decoded(content, dtype):
    if dtype == BFLOAT16:
        return (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
    if dtype == "|b1":
        return np.frombuffer(content, np.uint8) != 0
    return np.frombuffer(content, dtype)
