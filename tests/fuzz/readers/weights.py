"""Models, weights and checkpoints: minifer's own, and those of other libraries."""

import importlib.util
import json
import struct
import zipfile

import numpy as np

from fuzz.readers.base import Reader, Wrong, finite, numbers, shapes
from helpers import runs, torch_bytes
from helpers.photos import draw_photo
from minifer import layers
from minifer.errors import NotFiniteError, WeightsError
from minifer.faces.images import write_png
from minifer.foreign import read_onnx, write_onnx
from minifer.predict.predictor import Predictor
from minifer.weights import architecture, foreign, load_params
from minifer.weights.model_file import save_model

__all__ = ["WEIGHTS"]


def make_model(folder):
    write_png(folder / "photo.png", draw_photo((60, 40, 60), height=120, width=160))
    save_model(folder / "model.npz", runs.model(runs.network(norm=True), run=1))
    return folder / "model.npz"


def read_model(path):
    predictor = Predictor.load(path)
    model = predictor.model
    photo = predictor.photo(path.with_name("photo.png"))
    for face in photo.faces:
        values = list(face.saturations.values())
        if not all(0 <= one <= 1 for one in values) or abs(sum(values) - 1) > 1e-4:
            raise Wrong(f"saturations {values}")
    values = layers.get_all_param_values(model.network)
    return ([model.classes, model.preprocessing, model.notes, photo.status,
             architecture.to_dict(model.network), [one.shape for one in values]],
            numbers(values))


def make_values(folder):
    np.savez(folder / "values.npz", *layers.get_all_param_values(runs.network()))
    return folder / "values.npz"


def read_values(path):
    network = runs.network(seed=1)
    load_params(path, network)
    return finite(network)


def make_checkpoint(folder):
    runs.train(folder, 1)
    return folder / "checkpoint.npz"


def read_checkpoint(path):
    """Go on for an epoch. Training that fails with other numbers is no fault."""
    try:
        result, network = runs.train(path.parent, 2)
    except NotFiniteError:
        return [1, 2], b""
    rows = runs.rows(result.history)
    return ([row.get("epoch") for row in rows],
            repr(rows).encode() + finite(network)[1])


def read_finished(path):
    """Begin anew where a finished run stands."""
    result, network = runs.train(path.parent, 1, resume=False)
    return [row["epoch"] for row in result.history], finite(network)[1]


def torch_arrays():
    arrays = {}
    for layer in layers.get_all_layers(runs.network()):
        if layer.params:
            value = layer.W.get_value()
            arrays[f"{layer.name}.weight"] = value.T if value.ndim == 2 else value
            arrays[f"{layer.name}.bias"] = layer.b.get_value()
    return {name: np.ascontiguousarray(one) for name, one in arrays.items()}


def make_torch(form):
    def make(folder):
        return torch_bytes.write(folder / "weights.pth", torch_arrays(), form)
    return make


def make_torchscript(folder):
    """A whole model, which is a program: always refused."""
    body = torch_bytes.call(torch_bytes.name("__torch__", "Net")) + b"}" + b"b"
    return torch_bytes.write_zip(
        folder / "script.pt", body, {"0": b"\0" * 16},
        **{"constants.pkl": torch_bytes.whole(b")"),
           "code/__torch__.py": b"class Net(Module):\n  __parameters__ = []\n"})


def make_safetensors(folder):
    header, body = {}, b""
    for name, array in torch_arrays().items():
        header[name] = {"dtype": "F32", "shape": list(array.shape),
                        "data_offsets": [len(body), len(body) + array.nbytes]}
        body += array.tobytes()
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path = folder / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def make_keras(root, leaf):
    """``leaf(layer, number, name)`` is where an array lies."""
    def make(folder):
        import h5py
        path = folder / "weights.h5"
        with h5py.File(path, "w") as file:
            for layer in layers.get_all_layers(runs.network()):
                if layer.params:
                    kernel = layer.W.get_value()
                    if kernel.ndim == 4:
                        kernel = kernel.transpose(2, 3, 1, 0)
                    for number, (name, array) in enumerate(
                            [("kernel", kernel), ("bias", layer.b.get_value())]):
                        place = leaf(layer.name, number, name)
                        file[root + place] = array
                        file[root + place].parent.attrs["name"] = layer.name
        return path
    return make


def read_foreign(read, load):
    """The file, and its arrays in a network."""
    def read_both(path):
        arrays, network = read(path), runs.network(seed=1)
        try:
            load(arrays, network)
        except WeightsError as error:  # it knows of arrays alone, not of a file
            raise WeightsError(f"{path}: {error}") from None
        return shapes(arrays), finite(network)[1]
    return read_both


def keras():
    """A reader for each of Keras's ways to name arrays, where h5py is installed."""
    if importlib.util.find_spec("h5py"):
        read = read_foreign(foreign.read_keras, foreign.load_keras_params)
        for name, root, leaf in (("Keras weights", "", "{0}/{0}/{2}:0"),
                                 ("Keras model", "model_weights/", "{0}/{0}/{2}:0"),
                                 ("Keras 3", "layers/", "{0}/vars/{1}")):
            yield Reader(name, "hdf5", make_keras(root, leaf.format), read, "HDF5")
        yield Reader("Keras archive", "zip", make_keras_archive, read_keras_archive,
                     "HDF5")
        yield Reader("Keras in several files", "json", make_keras_shards, read)


def keras_config():
    """The network of ``runs`` as Keras describes it."""
    def entry(kind, name, **config):
        return {"class_name": kind, "config": {"name": name, **config}}

    return {"class_name": "Sequential", "config": {"name": "m", "layers": [
        entry("InputLayer", "input", batch_shape=[None, 8, 8, 1]),
        entry("Conv2D", "conv", filters=4, kernel_size=[3, 3], activation="relu"),
        entry("MaxPooling2D", "pool", pool_size=[2, 2]), entry("Flatten", "flat"),
        entry("Dense", "hidden", units=16, activation="relu"),
        entry("Dense", "output", units=3, activation="softmax")]}}


def make_keras_archive(folder):
    """As ``model.save("m.keras")`` writes it."""
    weights = make_keras("layers/", "{0}/vars/{1}".format)(folder)
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.6.0"}))
        archive.writestr("config.json", json.dumps(keras_config()))
        archive.write(weights, "model.weights.h5")
    weights.unlink()
    return folder / "model.keras"


def read_keras_archive(path):
    """The network that the archive describes, on one picture."""
    model = foreign.read_keras_model(path)
    return ([model.classes, model.notes, architecture.to_dict(model.network)],
            finite(model.network)[1])


def make_keras_shards(folder):
    """Weights in two files, and the list that is damaged."""
    import h5py
    listed: dict = {}
    for part, layer in enumerate(one for one in layers.get_all_layers(runs.network())
                                 if one.params):
        kernel = layer.W.get_value()
        kernel = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel
        name = f"m_{part}.weights.h5"
        with h5py.File(folder / name, "w") as file:
            for number, array in enumerate((kernel, layer.b.get_value())):
                file[f"layers/{layer.name}/vars/{number}"] = array
        listed[f"/layers/{layer.name}/vars"] = [name]
    path = folder / "m.weights.json"
    path.write_text(json.dumps({"weight_map": listed}))
    return path


def make_safetensors_shards(folder):
    """The list of one file, which is damaged."""
    make_safetensors(folder)
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": {
        name: "weights.safetensors" for name in torch_arrays()}}))
    return path


def make_onnx(folder):
    write_onnx(folder / "model.onnx", runs.model(runs.network(norm=True)))
    return folder / "model.onnx"


def read_graph(path):
    """The network of a graph, on one picture; a graph may want another."""
    network = read_onnx(path)
    found = network if isinstance(network, list) else [network]
    return [layers.get_output_shape(one) for one in found], finite(found)[1]


def onnx():
    """A reader of graphs, where the package onnx is installed."""
    if importlib.util.find_spec("onnx"):
        yield Reader("ONNX", "plain", make_onnx, read_graph)


READ_TORCH = read_foreign(foreign.read_torch, foreign.load_torch_params)

WEIGHTS = [
    Reader("model", "zip", make_model, read_model),
    Reader("weights by position", "zip", make_values, read_values),
    Reader("checkpoint, resumed", "zip", make_checkpoint, read_checkpoint),
    Reader("checkpoint, begun anew", "zip", make_checkpoint, read_finished),
    Reader("PyTorch", "zip", make_torch("zip"), READ_TORCH),
    Reader("PyTorch before 1.6", "legacy", make_torch("legacy"), READ_TORCH),
    Reader("TorchScript", "zip", make_torchscript, READ_TORCH),
    Reader("safetensors", "safetensors", make_safetensors,
           read_foreign(foreign.read_safetensors, foreign.load_torch_params)),
    Reader("safetensors in several files", "json", make_safetensors_shards,
           read_foreign(foreign.read_safetensors, foreign.load_torch_params)),
    *keras(), *onnx()]
