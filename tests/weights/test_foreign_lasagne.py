"""Pickles of weights, as Lasagne's users have them: numbers come out, nothing runs."""

import collections
import pickle

import numpy as np
import pytest

from minifer import layers
from minifer.errors import WeightsError
from minifer.weights import load_params
from minifer.weights.foreign import read_lasagne

ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3),
          np.asfortranarray(np.arange(6.).reshape(2, 3)), np.array(3),
          np.arange(3, dtype=">f8"), np.zeros((0, 2), np.float16), np.array([True])]
#: A list of one array, np.arange(3) as float32, written as Python 2 writes it
#: in protocol 2: bytes are text there.
PYTHON_2 = (
    b"\x80\x02]q\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\n"
    b"q\x03K\x00\x85U\x01b\x87Rq\x04(K\x01K\x03\x85cnumpy\ndtype\nq\x05U\x02f4K"
    b"\x00K\x01\x87Rq\x06(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
    b"b\x89U\x0c\x00\x00\x00\x00\x00\x00\x80?\x00\x00\x00@tba.")


@pytest.mark.parametrize("protocol", range(6))
def test_what_was_pickled_comes_back(protocol, tmp_path):
    content = {"param values": ARRAYS, "model name": "NIN", "mean": np.float64(1.5),
               "synsets": ["cat", "ä", None], "more": (1, True, 2.5, 1 << 70)}
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content, protocol))
    found = read_lasagne(tmp_path / "w.pkl")
    for ours, theirs in zip(found.pop("param values"), ARRAYS, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype.newbyteorder("=")
        assert ours.shape == theirs.shape
    content.pop("param values")
    assert found == content


def test_a_pickle_of_python_2(tmp_path):
    (tmp_path / "w.pkl").write_bytes(PYTHON_2)
    (array,) = read_lasagne(tmp_path / "w.pkl")
    assert array.dtype == np.float32 and array.tolist() == [0, 1, 2]


def test_the_way_to_a_network(tmp_path):
    """The refusal names the reader; what that gives is loaded."""
    net = layers.DenseLayer(layers.InputLayer((None, 3)), 2)
    values = [np.arange(6.).reshape(3, 2), np.ones(2)]
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(values, 2))
    with pytest.raises(WeightsError, match="foreign.read_lasagne"):
        load_params(tmp_path / "w.pkl", net)
    np.savez(tmp_path / "w.npz", *read_lasagne(tmp_path / "w.pkl"))
    load_params(tmp_path / "w.npz", net)
    assert net.W.get_value().tolist() == values[0].tolist()


@pytest.mark.parametrize("content, wants", [
    (print, "the name '__builtin__.print'"),
    ([collections.Counter("ab")], "the name 'collections.Counter'"),
    (np.array([{}, None]), "type of other things|an array of"),
    (np.array(["text"]), "type of other things|an array of"),
    (np.zeros(2, [("x", "f4")]), "type of other things|an array of"),
    (np.datetime64("2016-01-01"), "type of other things|an array of"),
    (np.random.default_rng(0), "the name")])
def test_anything_else_is_refused(content, wants, tmp_path):
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(WeightsError, match=f"pickle of numbers.*({wants})"):
        read_lasagne(tmp_path / "w.pkl")


@pytest.mark.parametrize("cut", [0, 1, 20, 60, len(PYTHON_2) - 1])
def test_a_cut_pickle_is_refused(cut, tmp_path):
    (tmp_path / "w.pkl").write_bytes(PYTHON_2[:cut])
    with pytest.raises(WeightsError, match="w.pkl: "):
        read_lasagne(tmp_path / "w.pkl")


def test_an_array_has_the_bytes_that_its_shape_needs(tmp_path):
    (tmp_path / "w.pkl").write_bytes(PYTHON_2.replace(b"K\x03\x85c", b"K\x04\x85c"))
    with pytest.raises(WeightsError, match="other bytes than it needs"):
        read_lasagne(tmp_path / "w.pkl")
