"""ONNX files, of which nothing is believed that their bytes contradict."""

from __future__ import annotations

import math
import os

import numpy as np

from ....errors import WeightsError, quoted
from ....files import open_file, read_bytes, reading
from ..library import onnx_library

__all__ = ["read_proto", "Tensors"]

#: Protocol buffers hold no more.
LARGEST = (1 << 31) - 1


def read_proto(path):
    """The file's ``ModelProto``, parsed and no more.

    Raises
    ------
    WeightsError
        If it cannot be read, or is no ONNX file.
    """
    onnx = onnx_library(path)
    with reading(path, "a whole ONNX file", WeightsError) as file:
        proto = onnx.ModelProto()
        proto.ParseFromString(read_bytes(file, LARGEST, "an ONNX file"))
        if not proto.opset_import or not proto.HasField("graph"):
            raise ValueError("no graph in it")
    return proto


class Tensors:
    """The numbers of a file, beside which others may lie.

    Parameters
    ----------
    folder : str or None
        Where files that are named in it must lie; None allows none.
    """

    def __init__(self, folder):
        self.onnx = onnx_library("ONNX")
        self.folder = folder

    def array(self, tensor):
        """A tensor as an array.

        Raises
        ------
        WeightsError
            If its size is not that of its shape, its type has no place in NumPy, or it
            lies in a file outside of the folder.
        """
        what, kinds = f"tensor {quoted(tensor.name)}", self.onnx.TensorProto
        if min(tensor.dims, default=0) < 0:
            raise WeightsError(f"{what}: expected lengths >= 0, got "
                               f"{tuple(tensor.dims)}.")
        if tensor.data_type in (kinds.STRING, kinds.UNDEFINED) or (
                tensor.data_type not in kinds.DataType.values()):
            raise WeightsError(f"{what}: expected numbers, got type "
                               f"{tensor.data_type}.")
        if tensor.data_location == kinds.EXTERNAL:
            self._fetch(tensor, what)
        try:
            value = np.array(self.onnx.numpy_helper.to_array(tensor))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsError(f"{what}: expected numbers of shape "
                               f"{tuple(tensor.dims)}, got others. The file is "
                               "damaged.") from error
        if value.dtype.kind not in "fiub":
            value = value.astype(np.float32)  # bfloat16 and smaller, all exact
        return value

    def _fetch(self, tensor, what):
        """Put the bytes of a file beside into a tensor that names it."""
        said = {one.key: one.value for one in tensor.external_data}
        name = said.get("location", "")
        if self.folder is None:
            raise WeightsError(f"{what}: expected numbers in the file, got the name "
                               f"{quoted(name)} of another.")
        folder = os.path.realpath(self.folder)
        path = os.path.realpath(os.path.join(folder, name))
        if os.path.isabs(name) or os.path.commonpath([folder, path]) != folder:
            raise WeightsError(
                f"{what}: expected a file in the folder of the model, got "
                f"{quoted(name)}, which lies outside. Nothing was read from it.")
        size = math.prod(tensor.dims) * self._itemsize(tensor, what)
        try:
            offset, length = (int(said.get(key, default)) for key, default
                              in (("offset", 0), ("length", size)))
            with open_file(path) as file:
                file.seek(0, os.SEEK_END)
                if length != size or offset < 0 or offset + length > file.tell():
                    raise WeightsError(
                        f"{what}: expected {size:,} bytes in {quoted(name)}, got "
                        f"{length:,} from {offset:,} on of {file.tell():,}.")
                file.seek(offset)
                data = file.read(length)
        except (OSError, ValueError) as error:
            if isinstance(error, WeightsError):
                raise
            raise WeightsError(f"{what}: {quoted(name)} could not be read "
                               f"({error}).") from error
        tensor.ClearField("external_data")
        tensor.data_location = self.onnx.TensorProto.DEFAULT
        tensor.raw_data = data

    def _itemsize(self, tensor, what):
        try:
            dtype = self.onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            return np.dtype(dtype).itemsize
        except (KeyError, TypeError) as error:
            raise WeightsError(f"{what}: expected numbers of a known type, got "
                               f"{tensor.data_type}.") from error
