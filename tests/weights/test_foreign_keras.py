"""HDF5 files as Keras writes them: read, refused, and the same outputs as Keras."""

import os
import struct
import sys

import numpy as np
import pytest

from minifer import layers, models, nonlinearities
from minifer.errors import BackendUnavailable, WeightsError
from minifer.weights.foreign import (keras_files, keras_names, load_keras_params,
                                     read_keras)

RNG = np.random.default_rng(0)
ARRAYS = {"conv/kernel": RNG.normal(size=(3, 3, 1, 2)).astype(np.float32),
          "conv/bias": np.zeros(2, np.float32),
          "fc/kernel": RNG.normal(size=(4, 3)).astype(np.float16)}


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.weights.h5"


def test_without_h5py_the_error_says_how_to_get_it(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(BackendUnavailable, match=r"pip install minifer\[keras\]"):
        read_keras(path)


# --- what is read ------------------------------------------------------------

@pytest.mark.parametrize("root", ["", "model_weights/"])
@pytest.mark.parametrize("end", ["", ":0"])
def test_files_up_to_keras_2_give_layer_and_array(h5py, path, root, end):
    with h5py.File(path, "w") as file:
        for name, array in ARRAYS.items():
            file[f"{root}{name.split('/')[0]}/{name}{end}"] = array
        file["optimizer_weights/adam/conv/kernel:0"] = np.ones(3)
    back = read_keras(path)
    assert set(back) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype and np.array_equal(back[name], array)


def test_files_of_keras_3_give_the_layers_own_name_and_a_number(h5py, path):
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = ARRAYS["conv/kernel"]
        file["layers/conv2d/vars"].attrs["name"] = "conv"
        file["layers/body/layers/dense/vars/0"] = ARRAYS["fc/kernel"]
        file["optimizer/vars/0"] = np.ones(3)
    assert set(read_keras(path)) == {"conv/0", "dense/0"}


def test_bfloat16_becomes_the_float32_that_it_shortens(h5py, path):
    with h5py.File(path, "w") as file:
        item = file.create_dataset("layers/dense/vars/0", data=np.array(
            [0x3fc0, 0xc000], "<u2").view("V2"))
        item.attrs["dtype"] = "bfloat16"
    back = read_keras(path)["dense/0"]
    assert back.dtype == np.float32 and back.tolist() == [1.5, -2]


def test_what_a_compiled_model_counts_is_no_layer(h5py, path):
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = ARRAYS["fc/kernel"]
        file["metrics/mean/vars/0"] = file["optimizer/vars/0"] = np.ones(())
    assert set(read_keras(path)) == {"dense/0"}


def numbered(h5py, path, shapes, names=False):
    """A file of Keras 3: layers of these shapes, with or without their names."""
    with h5py.File(path, "w") as file:
        for number, shape in enumerate(shapes):
            layer = "layers/conv2d" + f"_{number}" * (number > 0)
            file[f"{layer}/vars/0"] = np.zeros(shape, np.float32)
            if names:
                file[f"{layer}/vars"].attrs["name"] = f"c{number}"


def test_numbers_in_the_place_of_names_are_read_where_shapes_tell(h5py, path):
    numbered(h5py, path, [(3, 3, 1, 4), (3, 3, 4, 4), (1, 1, 4, 4)])
    assert set(read_keras(path)) == {"conv2d/0", "conv2d_1/0", "conv2d_2/0"}


def test_layers_that_could_be_mistaken_for_one_another_need_names(h5py, path):
    shapes = [(3, 3, 1, 4), (3, 3, 4, 4), (3, 3, 4, 4)]
    numbered(h5py, path, shapes)
    with pytest.raises(WeightsError, match=r"conv2d_1 and conv2d_2 have the same shapes"
                       r".*model\.save_weights"):
        read_keras(path)
    numbered(h5py, path, shapes, names=True)
    assert set(read_keras(path)) == {"c0/0", "c1/0", "c2/0"}


# --- what is refused -----------------------------------------------------------

def compressed(h5py, file):
    file.create_dataset("fc/kernel", data=np.zeros(10 ** 6), compression="gzip")


def not_there(h5py, file):
    file.create_dataset("fc/kernel", (10 ** 9, 10 ** 6), np.float32)


def promised_in_chunks(h5py, file):
    file.create_dataset("fc/kernel", (10 ** 9, 10 ** 6), np.float32, chunks=(10, 10))


def in_another_file(h5py, file):
    file.create_dataset("fc/kernel", (4,), np.uint8,
                        external=[(os.path.abspath(__file__), 0, 4)])


def virtual(h5py, file):
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "kernel", shape=(4,))
    file.create_virtual_dataset("fc/kernel", layout)


def linked(h5py, file):
    file["fc/kernel"] = h5py.ExternalLink("other.h5", "/kernel")


def words(h5py, file):
    file["fc/kernel"] = b"words"


def empty(h5py, file):
    file["fc/kernel"] = h5py.Empty("f4")


def twice(h5py, file):
    file["one/fc/kernel"] = file["two/fc/kernel"] = np.ones(3)


def outside(h5py, file):
    file["kernel"] = np.ones(3)


def nothing(h5py, file):
    file.create_group("fc")


@pytest.mark.parametrize("fill, why", [
    (compressed, "compressed"), (not_there, "bytes of arrays in a file of"),
    (promised_in_chunks, "in chunks"), (in_another_file, "another file"),
    (virtual, "another file"), (linked, "no arrays"), (words, "of type"),
    (empty, "compressed|another file"), (twice, "two with 'fc/kernel'"),
    (outside, "outside of any layer"), (nothing, "no arrays")])
def test_what_keras_does_not_write_is_refused(h5py, path, fill, why):
    with h5py.File(path, "w") as file:
        fill(h5py, file)
    with pytest.raises(WeightsError, match=f"^[^\n]*({why})[^\n]*$"):
        read_keras(path)


def test_groups_that_hold_themselves_end(h5py, path):
    with h5py.File(path, "w") as file:
        file["conv/kernel"] = np.ones(3)
        file["conv/again"] = file["conv"]
        file["conv/top"] = file["/"]
    assert set(read_keras(path)) == {"conv/kernel"}


@pytest.mark.parametrize("value", [3, [3, 4], ["conv", "conv"], "a vlen"])
def test_a_name_that_is_no_text_is_refused_unread(h5py, path, value):
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = ARRAYS["conv/kernel"]
        attributes = file["layers/conv2d/vars"].attrs
        if value == "a vlen":
            value = np.empty((), object)
            value[()] = np.arange(3)
            attributes.create("name", value, (), h5py.vlen_dtype(np.int32))
        else:
            attributes["name"] = value
    with pytest.raises(WeightsError, match="'name' of '/layers/conv2d/vars', expected"):
        read_keras(path)


@pytest.mark.parametrize("depth, fine", [(25, True), (40, False), (3000, False)])
def test_groups_within_one_another_end_soon(h5py, path, depth, fine):
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(depth):
            group = group.create_group("a")
        group["kernel"] = np.ones(3)
    if fine:
        assert set(read_keras(path)) == {"a/kernel"}
    else:
        with pytest.raises(WeightsError, match="^[^\n]*groups within one another"):
            read_keras(path)


def test_a_file_of_very_many_groups_ends_soon(h5py, path, monkeypatch):
    monkeypatch.setattr(keras_names, "MOST_ITEMS", 50)
    with h5py.File(path, "w") as file:
        for number in range(60):
            file.create_group(f"layer{number}")
    with pytest.raises(WeightsError, match="or 50 items"):
        read_keras(path)


def heap(*objects, length=None):
    """A heap of names as HDF5 writes it: (number, promised size, content) each."""
    body = b"".join(struct.pack("<H6xQ", number, size) + content
                    for number, size, content in objects)
    return b"GCOL\1\0\0\0" + struct.pack("<Q", 16 + len(body) if length is None
                                           else length) + body


@pytest.mark.parametrize("content, fine", [
    (heap((1, 3, b"abc_____"), (0, 16, b"")), True), (heap(), True),
    (heap((0, 0, b"")), False), (heap((1, 2 ** 64 - 16, b"")), False),
    (heap((1, 2 ** 64 - 8, b"")), False), (heap((1, 64, b"")), False),
    (heap((1, 3, b"abc_____"), (2, 9, b"")), False)])
def test_heaps_of_names_are_walked_before_hdf5_walks_them(path, content, fine):
    """The files here are heaps alone, which HDF5 does not open."""
    path.write_bytes(b"before" + content + content)
    with open(path, "rb") as file:
        if fine:
            keras_files._check_heaps(file)
        else:
            with pytest.raises(ValueError, match="no end"):
                keras_files._check_heaps(file)


def test_a_zip_archive_that_is_none_of_keras_is_one_line(h5py, path):
    path.write_bytes(b"PK\3\4 and so on")
    with pytest.raises(WeightsError, match=r"\A[^\n]*a damaged file[^\n]*\Z"):
        read_keras(path)


def test_a_file_cut_anywhere_says_so(h5py, path):
    with h5py.File(path, "w") as file:
        for name, array in ARRAYS.items():
            file[name] = array
    content = path.read_bytes()
    for length in range(0, len(content) - 8, 97):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match="^[^\n]+$"):
            read_keras(path)


def test_other_files_are_refused(h5py, path, tmp_path):
    for wrong in (path, tmp_path):
        with pytest.raises(WeightsError, match="could not be read"):
            read_keras(wrong)
    for content in b"PK\3\4 and so on", b"words":
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="expected a whole HDF5 file"):
            read_keras(path)


# --- Keras itself --------------------------------------------------------------

@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("h5py")
    pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


def randomised(model):
    """Give all weights of a Keras model random values, variances positive ones."""
    model.set_weights([RNG.uniform(.5, 1.5, size=w.shape) if w.path.endswith(
        ("moving_variance", "gamma")) else RNG.normal(0, .3, size=w.shape)
        for w in model.weights])
    return model


def keras_chain(keras):
    """Convolutions, batch norms, flatten and dense layers, as system R has them."""
    L = keras.layers
    return keras.Sequential([
        keras.Input((8, 7, 2)),
        L.Conv2D(4, 3, padding="same", activation="relu", name="conv1"),
        L.BatchNormalization(name="bn1"), L.MaxPooling2D(2),
        L.Conv2D(3, (2, 1), strides=(1, 2), use_bias=False, name="conv2"),
        L.Flatten(), L.BatchNormalization(name="bn2", scale=False), L.Dropout(.5),
        L.Dense(6, activation="relu", name="dense1"),
        L.Dense(5, activation="softmax", name="output")])


def our_chain():
    norm = dict(epsilon=1e-3)
    net = layers.InputLayer((None, 2, 8, 7))
    net = layers.Conv2DLayer(net, 4, 3, pad="same", flip_filters=False, name="conv1")
    net = layers.MaxPool2DLayer(layers.BatchNormLayer(net, name="bn1", **norm), 2)
    net = layers.Conv2DLayer(net, 3, (2, 1), stride=(1, 2), b=None, nonlinearity=None,
                             name="conv2")
    net = layers.FlattenLayer(net)
    net = layers.BatchNormLayer(net, gamma=None, name="bn2", **norm)
    net = layers.DenseLayer(layers.DropoutLayer(net), 6, name="dense1")
    return layers.DenseLayer(net, 5, nonlinearity=nonlinearities.softmax, name="output")


def keras_body(keras):
    """ResNet of one block in each of two stages, 4 filters, as keras.applications."""
    L = keras.layers

    def conv_norm(x, filters, size, name, stride=1):
        x = L.Conv2D(filters, size, strides=stride, name=f"{name}_conv",
                     padding="same" if size == 3 else "valid")(x)
        return L.BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(x)

    inputs = keras.Input((32, 32, 3))
    x = L.ZeroPadding2D(3, name="conv1_pad")(inputs)
    x = L.ReLU(name="conv1_relu")(conv_norm(x, 4, 7, "conv1", 2))
    x = L.MaxPooling2D(3, 2, name="pool1_pool")(L.ZeroPadding2D(1, name="pool1_pad")(x))
    for name, filters, stride in (("conv2_block1", 4, 1), ("conv3_block1", 8, 2)):
        short = conv_norm(x, 4 * filters, 1, f"{name}_0", stride)
        x = L.ReLU()(conv_norm(x, filters, 1, f"{name}_1", stride))
        x = L.ReLU()(conv_norm(x, filters, 3, f"{name}_2"))
        x = conv_norm(x, 4 * filters, 1, f"{name}_3")
        x = L.ReLU(name=f"{name}_out")(L.Add(name=f"{name}_add")([short, x]))
    return keras.Model(inputs, x)


@pytest.mark.filterwarnings("ignore")  # Keras calls its own HDF5 format legacy
@pytest.mark.parametrize("file", ["m.weights.h5", "m.h5"])
@pytest.mark.parametrize("theirs, ours", [
    (keras_chain, our_chain),
    (keras_body, lambda: models.keras_resnet((1, 1), width=4, size=32))])
def test_a_loaded_network_computes_what_keras_does(keras, tmp_path, theirs, ours, file):
    model, net = randomised(theirs(keras)), ours()
    save = model.save_weights if file == "m.weights.h5" else model.save
    save(tmp_path / file)
    load_keras_params(read_keras(tmp_path / file), net)
    images = RNG.normal(size=(2, *model.input_shape[1:])).astype(np.float32)
    wanted = model.predict(images, verbose=0)
    got = layers.get_output(net, images.transpose(0, 3, 1, 2), deterministic=True)
    got = got.transpose(0, 2, 3, 1) if got.ndim == 4 else got
    assert np.ptp(wanted) > .1
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
