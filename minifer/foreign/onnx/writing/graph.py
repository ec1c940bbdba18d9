"""A graph in the making: nodes, one after the other, and the numbers they need."""

from __future__ import annotations

import numpy as np

from ....errors import SettingError
from ..library import onnx_library

__all__ = ["Graph", "NoForm", "known"]


class NoForm(SettingError):
    """What ONNX has no form for.

    Attributes
    ----------
    named : bool
        Whether the text says already which layer it is.
    """

    named = False


class Graph:
    """Nodes and constants.

    Parameters
    ----------
    around : Graph, optional
        The graph that this one is a part of, as the body of a loop: its constants are
        that one's.
    """

    def __init__(self, around=None):
        self.onnx, self.nodes = onnx_library("ONNX"), []
        # A graph inside another sees what lies around it.
        self.names = around.names if around else set()
        self.constants = around.constants if around else {}
        self._fixed = around._fixed if around else []
        self._params = around._params if around else {}
        self._arrays = around._arrays if around else {}

    def name(self, wish):
        """A name that nothing has: the wish, or the wish and a number."""
        name, number = wish, 1
        while name in self.names:
            number += 1
            name = f"{wish}_{number}"
        self.names.add(name)
        return name

    def add(self, kind, *inputs, outputs=1, wish=None, **attributes):
        """Add a node.

        Parameters
        ----------
        kind : str
            ONNX's name of the operator.
        *inputs : str or array
            Names of values; arrays become constants. An empty name leaves one out.
        outputs : int, default 1
        wish : str, optional
            How the first output should be called.
        **attributes
            As the operator has them; those that are None are left out.

        Returns
        -------
        str, or list of str for several outputs
        """
        inputs = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        made = [self.name(wish or kind.lower()) for _ in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(self.onnx.helper.make_node(
            kind, inputs, made, self.name(f"{made[0]}.node"), **given))
        return made[0] if outputs == 1 else made

    def constant(self, value, wish=None):
        """The name of an array that is part of the file; equal small ones are one.

        Parameters
        ----------
        value : array or number
        wish : str, optional
            How numbers that were learnt should be called.
        """
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        array = np.ascontiguousarray(array).reshape(array.shape)
        key = None if array.size > 64 else (array.dtype.str, array.shape,
                                            array.tobytes())
        if key in self._arrays:
            return self._arrays[key]
        name = self.name(wish or "constant")
        if wish is None:  # a node, which those who train the file leave as it is
            self._fixed.append(self.onnx.helper.make_node(
                "Constant", [], [name], value=self.onnx.numpy_helper.from_array(array)))
        else:
            self.constants[name] = array
        if key is not None:
            self._arrays[key] = name
        return name

    def param(self, param, turned=None, suffix=""):
        """The name of a parameter's values, once however often it is used.

        Parameters
        ----------
        param : Param
        turned : function, optional
            What becomes of the values before they are written.
        suffix : str
            Tells apart what different functions make of one parameter.
        """
        key = (param, suffix)
        if key not in self._params:
            value = param.get_value()
            value = value if turned is None else turned(value)
            name = self.name((param.name or "parameter") + suffix)
            self.constants[name] = np.ascontiguousarray(value, np.float32).reshape(
                np.shape(value))
            self._params[key] = name
        return self._params[key]

    # --- what many layers need ---

    def reshape(self, x, before, after, wish=None):
        """``x`` of one shape in another, both with None where a length is free."""
        unknown = [axis for axis, n in enumerate(after) if n is None]
        kept = [axis for axis in unknown if axis < len(before)
                and before[axis] is None and before[:axis] == after[:axis]]
        left = [axis for axis in unknown if axis not in kept]
        if len(left) > 1:
            raise NoForm("a shape that is known but for the batch and one axis more, "
                         f"got {tuple(after)}")
        if len(unknown) == 1:
            kept, left = [], unknown  # -1 says it plainly
        shape = [0 if axis in kept else -1 if axis in left else int(n)
                 for axis, n in enumerate(after)]
        return self.add("Reshape", x, np.array(shape, np.int64), wish=wish)

    def part(self, x, axis, start, stop, step=1):
        """``x`` from ``start`` to ``stop`` along an axis."""
        return self.add("Slice", x, *([int(n)] for n in (start, stop, axis, step)))

    def sum(self, x, axes, keepdims=False):
        """The sum over axes."""
        return self.add("ReduceSum", x, list(axes), keepdims=int(keepdims))

    def mean(self, x, axes, keepdims=False):
        """The mean over axes."""
        return self.add("ReduceMean", x, axes=list(axes), keepdims=int(keepdims))

    def inner(self):
        """A graph inside this one."""
        return Graph(self)

    def finish(self, name, inputs, outputs, whole=True):
        """ONNX's graph of all that was added.

        Parameters
        ----------
        name : str
        inputs, outputs : lists of ONNX's value infos
        whole : bool
            With the constants; a graph inside another has none of its own.
        """
        numbers = [self.onnx.numpy_helper.from_array(array, key)
                   for key, array in self.constants.items()] if whole else []
        nodes = self._fixed + self.nodes if whole else self.nodes
        return self.onnx.helper.make_graph(nodes, name, inputs, outputs, numbers)

    def value(self, name, shape, kind="FLOAT", free="N"):
        """ONNX's description of an input or output; ``free`` names the batch."""
        lengths = [n if n is not None else free if axis == 0 else f"{name}_{axis}"
                   for axis, n in enumerate(shape)]
        return self.onnx.helper.make_tensor_value_info(
            name, getattr(self.onnx.TensorProto, kind), lengths)


def known(what, shape):
    """``shape`` if all lengths are known, or NoForm."""
    if None in shape:
        raise NoForm(f"{what} of known lengths, got {tuple(shape)}")
    return tuple(shape)
