"""A network from Keras's own description of it, with its weights.

Keras saves a model as a list of layers, each with the layers below it. Images are
(N, H, W, C) there and (N, C, H, W) here: each value is kept as it is needed, with
channels first for convolutions, last where Keras counts values in its own order
(flattening, reshaping), and the axes change places in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


from ... import layers
from ..._types import FilePath
from ...errors import WeightsError, one_line, quoted
from ...files import naming
from ...layers.param import Param
from ..model_file import Model
from .keras_calls import Unknown, Value
from .keras_files import description_of, read_keras
from .keras_layers import MAKERS, make
from .parameters import fit_keras_params

__all__ = ["read_keras_model"]

MOST_LAYERS, DEEPEST = 5000, 16
#: Models that stand within others.
INNER = ("Sequential", "Functional", "Model")


def read_keras_model(path: FilePath, classes: Sequence[str] = (),
                     preprocessing: dict[str, Any] | None = None) -> Model:
    """Read a whole model of Keras: its network and its weights.

    Parameters
    ----------
    path : str or path-like
        A ``.keras`` file, or ``.h5`` or ``.hdf5`` of ``model.save``. Keras is not
        needed, and nothing in the file is executed.
    classes : sequence of str, optional
        Names of the outputs, in order; Keras does not keep them. Default: "0", "1", …
    preprocessing : dict, optional
        How an image becomes an input, as :class:`minifer.faces.Preprocessing` has it.

    Returns
    -------
    minifer.weights.Model
        Its layers have Keras's names. Images are (N, C, H, W); sequences (N, T, D) and
        tables (N, D) are as in Keras.

    Raises
    ------
    WeightsError
        If the file has weights alone, or a layer or an option that minifer has not:
        the message names it.
    BackendUnavailable
        If h5py is not installed.

    Notes
    -----
    The outputs are Keras's up to rounding, in prediction. Layers that only change
    images while training (``RandomFlip`` and its kin) are left out, since they belong
    to the data here (:mod:`minifer.data.augment`).
    """
    description = description_of(path)
    if description is None:
        raise WeightsError(
            f"{path}: expected a model with its description, got weights alone. Save "
            "it by model.save, or build the network and use load_keras_params.")
    arrays = read_keras(path)
    with naming(path):
        try:
            network, named = _Graph(description).build()
        except Unknown as error:
            raise WeightsError(
                f"expected layers that minifer has, got {error}. Build the network by "
                "hand and use load_keras_params.") from None
        except WeightsError:
            raise
        except Exception as error:  # descriptions hold options of any kind
            raise WeightsError(
                f"the description cannot be built ({one_line(error)}). It is damaged, "
                "or was written by another version.") from error
        fit_keras_params(arrays, named)
    outputs = network.output_shape[-1]
    names = tuple(classes) or tuple(map(str, range(outputs or 0)))
    return Model(network, names, preprocessing or {},
                 {"source": f"Keras {description['keras_version']}"})


class _Graph:
    """Builds the layers of one description.

    Parameters
    ----------
    description : dict
    inputs : list of Value, optional
        What an inner model gets.
    """

    def __init__(self, description, inputs=None, depth=0):
        if depth > DEEPEST:
            raise ValueError("models within models without end")
        self.kind, self.config = description["class_name"], description["config"]
        self.version = description["keras_version"]
        self.inputs, self.depth = inputs, depth
        self.values: dict = {}
        self.named: dict = {}
        self.seen: set = set()

    def build(self):
        """The output layer, and all layers with parameters by Keras's names."""
        return self.run().layer, self.named

    def run(self):
        """The output's value."""
        entries = (self.config if isinstance(self.config, list)
                   else self.config["layers"])
        if len(entries) > MOST_LAYERS:
            raise ValueError(f"more than {MOST_LAYERS:,} layers")
        if self.kind == "Sequential":
            return self._in_a_row(entries)
        return self._as_a_graph(entries)

    def _in_a_row(self, entries):
        value = self.inputs[0] if self.inputs else None
        for entry in entries:
            if entry["class_name"] == "InputLayer":
                value = value or self._input(entry["config"])
                continue
            if value is None:
                config = entry["config"]
                first = config if _shape(config) else self.config
                if not _shape(first) and "layers" in config:  # an inner model's own
                    first = config["layers"][0]["config"]
                value = self._input({**first, "name": "input"})
            value = self._apply(entry, [value])
        if value is None:
            raise ValueError("no layers")
        return value

    def _as_a_graph(self, entries):
        given = [name for name, *_ in _places(self.config["input_layers"])]
        if self.inputs is not None and len(given) != len(self.inputs):
            raise Unknown(f"an inner model of {len(given)} inputs that gets "
                          f"{len(self.inputs)}")
        for place, name in enumerate(given):
            entry = next(one for one in entries if one["config"]["name"] == name)
            self.values[name, 0] = (self._input(entry["config"]) if self.inputs is None
                                    else self.inputs[place])
        left = [(entry, number, node) for entry in entries
                for number, node in enumerate(entry["inbound_nodes"],
                                              self._first_node(entry, entries))
                if entry["class_name"] != "InputLayer"]
        while left:
            waiting = []
            for entry, number, node in left:
                below = _below(node, entry)
                if all(one in self.values for one in below):
                    name = entry["config"]["name"]
                    self.values[name, number] = self._apply(
                        entry, [self.values[one] for one in below])
                else:
                    waiting.append((entry, number, node))
            if len(waiting) == len(left):
                raise ValueError("layers that wait for one another")
            left = waiting
        outputs = _places(self.config["output_layers"])
        if len(outputs) != 1:
            raise Unknown(f"a model of {len(outputs)} outputs, expected one")
        name, number = outputs[0][:2]
        return self.values[name, number]

    def _first_node(self, entry, entries):
        """The number of a layer's first node: inner models may leave out their own."""
        if entry["class_name"] not in INNER:
            return 0
        name = entry["config"]["name"]
        asked = [at for one in entries for node in one["inbound_nodes"]
                 for below, at in _below(node, one) if below == name]
        asked += [at for below, at, *_ in _places(self.config["output_layers"])
                  if below == name]
        return min(asked, default=0)

    def _input(self, config):
        shape = _shape(config)
        if not shape:
            raise Unknown("a model whose input has no shape yet")
        batch, *shape = shape
        if len(shape) < 3:
            return Value(layers.InputLayer((None, *shape), name=config["name"]), False)
        shape = (None, shape[-1], *shape[:-1])
        return Value(layers.InputLayer(shape, name=config["name"]), True)

    def _apply(self, entry, below):
        """A layer on values; a second time with the same parameters."""
        kind, config = entry["class_name"], entry["config"]
        if kind in INNER:
            inner = _Graph({**entry, "keras_version": self.version}, below,
                           self.depth + 1)
            value = inner.run()
            made = inner.named
        else:
            if kind not in MAKERS:
                raise Unknown(f"the layer {quoted(str(kind))} "
                              f"{quoted(str(config.get('name')))}")
            value, made = make(kind, config, below, self.version)
        again = (kind, config["name"]) in self.seen
        self.seen.add((kind, config["name"]))
        for name, layer in made.items():
            if name in self.named and again:
                _share(self.named[name], layer)
            elif name in self.named:
                raise WeightsError(
                    f"expected layers of different names, got two named {quoted(name)}."
                    " Name them in Keras, and save it again.")
            else:
                self.named[name] = layer
        return value


def _share(first, other):
    """Let two layers of one kind have one set of parameters."""
    mine = {param: ours for param, ours in zip(other.params, first.params)}
    for name, value in vars(other).items():
        if isinstance(value, Param):
            setattr(other, name, mine[value])
    other.params = dict(first.params)


def _shape(config):
    """Shape of a batch, or None."""
    if not isinstance(config, dict):
        return None
    shape = (config.get("batch_input_shape") or config.get("batch_shape")
             or config.get("build_input_shape"))
    if shape is None and isinstance(config.get("input_shape"), (list, tuple)):
        shape = [None, *config["input_shape"]]
    return shape


def _places(listed):
    """[[name, node, tensor], …], which may be one such alone."""
    if listed and isinstance(listed[0], str):
        listed = [listed]
    return [tuple(one) for one in listed]


def _below(node, entry):
    """(layer's name, its node) of each input of a node, as Keras 2 or 3 writes it."""
    if isinstance(node, dict):
        arrays = [one["config"]["keras_history"] for one in _tensors(node["args"])]
        if any(True for _ in _tensors(list(node.get("kwargs", {}).values()))):
            raise Unknown(f"the layer {quoted(entry['config']['name'])} with values "
                          "among its options")
    else:
        arrays = node
        if any(len(one) > 3 and one[3] for one in node):
            raise Unknown(f"the layer {quoted(entry['config']['name'])} with options "
                          "of a call")
    if not arrays or any(one[2] != 0 for one in arrays):
        raise Unknown(f"the layer {quoted(entry['config']['name'])} on one of several "
                      "outputs of a layer")
    return [(one[0], one[1]) for one in arrays]


def _tensors(values):
    for value in values:
        if isinstance(value, list):
            yield from _tensors(value)
        elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            yield value
