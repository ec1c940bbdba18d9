"""Headers of .npy and .npz are compared before they are believed."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minifer.errors import WeightsError
from minifer.files.arrays import open_arrays, read_header

TYPES = ["|b1", "|u1", "<i2", ">i4", "<f2", "<f4", ">f8", "<c16", "<U3", "|S2", "|V4",
         "<M8[ns]", "<m8[D]"]


def header(shape="(3,)", descr="'<f4'", order="False"):
    """The first bytes of an .npy, whatever they say."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode("latin1")


def saved(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def write(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def read(path):
    with open_arrays(path, WeightsError) as file:
        file.check_size()
        return file.read_all()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "arrays.npz"


# --- what NumPy writes is read ----------------------------------------------------

@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(st.sampled_from(TYPES), st.lists(st.integers(0, 4), max_size=4), st.booleans(),
       st.booleans())
def test_what_numpy_writes_comes_back(tmp_path_factory, kind, shape, turned, packed):
    path = tmp_path_factory.mktemp("arrays") / "a.npz"
    dtype = np.dtype(kind)
    bytes_ = np.random.default_rng(0).integers(
        0, 2 if kind == "|b1" else 100, int(np.prod(shape)) * dtype.itemsize, np.uint8)
    array = (bytes_.view(dtype) if dtype.kind != "U" else
             np.full(int(np.prod(shape)), "abc", dtype)).reshape(shape)
    array = np.asfortranarray(array) if turned and shape else array
    (np.savez_compressed if packed else np.savez)(path, array, other=np.ones(2))
    back = read(path)
    assert list(back) == ["other", "arr_0"] or list(back) == ["arr_0", "other"]
    assert back["arr_0"].dtype == dtype and back["arr_0"].shape == array.shape
    assert back["arr_0"].tobytes() == array.tobytes()
    assert back["other"].flags.writeable


@pytest.mark.parametrize("shape", ["(3L, 4L)", "(3, 4)", "(3,4,)", "( 3 , 4 )"])
def test_shapes_as_old_and_other_programs_write_them(shape):
    found = read_header(io.BytesIO(header(shape)))
    assert found.shape == (3, 4) and found.dtype == np.float32 and found.nbytes == 48


def test_records_of_plain_fields_are_read():
    kind = [("image", "u1", (8, 8)), ("name", "<U5")]
    file = io.BytesIO(saved(np.zeros((), kind)))
    assert read_header(file).dtype == np.dtype(kind) and len(file.read()) == 84


# --- what is refused ----------------------------------------------------------------

@pytest.mark.parametrize("content, why", [
    (b"", "no .npy"), (b"\x93NUMPY\4\0", "no .npy"), (b"words and words", "no .npy"),
    (b"\x93NUMPY\2\0\0\0\0\1", "a header of 16,777,216 bytes"),
    (header("(1,"), ""), (header("(-1,)"), "shape"), (header("(1.5,)"), "shape"),
    (header("(True,)"), ""), (header("'x'"), "shape"), (header("None"), ""),
    (header("(1or 2,)"), ""), (header("(" * 3000 + ")" * 3000), ""),
    (header(f"({'1,' * 33})"), "shape"), (header(f"({2 ** 63},)"), "shape"),
    (header(descr="'|O'"), "pickled objects"), (header(descr="'<U0'"), "no bytes"),
    (header(descr="'f4,f4'"), "array of"), (header(descr="'\\d'"), ""),
    (header(descr="'(9,)f4'"), "array of"), (header(descr="'<f3'"), ""),
    (header(descr="3"), ""), (header(descr="[('a', '|O')]"), "pickled objects"),
    (header(descr="[('a', '<f4', (-1,))]"), "whole shapes"), (header(descr="[()]"), ""),
    (header(order="1"), "shape"), (header(order="None"), ""), (header()[:30], ""),
    (b"\x93NUMPY\1\0\2\0{}", "without descr")], ids=lambda one: ascii(one)[:50])
def test_headers_that_are_none(path, content, why):
    with pytest.raises(WeightsError, match=rf"arrays\.npz: expected [^\n]*{why}"):
        read(write(path, {"a.npy": content}))


def growth(task):
    """What a task allocates at most, in bytes."""
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(1000000, 1000000)", "(4,)",
                                   "(2,)", "(0, 5)", "(99999999999, 99999999999)"])
def test_a_header_that_promises_what_is_not_there(path, shape):
    write(path, {"a.npy": header(shape) + bytes(12)}, zipfile.ZIP_DEFLATED)

    def refused():
        with pytest.raises(WeightsError, match=r"'a' of float32 .* in \d+ bytes"):
            read(path)
    assert growth(refused) < 1e6


def test_a_small_archive_of_much_nothing_is_refused_before_it_is_unpacked(path):
    """Some 70 kB that would be 72 MB: more than is given to a caller with no wish."""
    content = header("(18000000,)") + bytes(72_000_000)
    write(path, {"a.npy": content}, zipfile.ZIP_DEFLATED)
    del content

    def refused():
        with pytest.raises(WeightsError, match="arrays of 72,000,000 bytes"):
            read(path)
    assert growth(refused) < 5e6


@pytest.mark.parametrize("entries, why", [
    ({"letter.txt": b"Dear reader"}, "'letter.txt', which is no array"),
    ({"a": saved(np.ones(3))}, "'a', which is no array"),
    ({"a.npy": saved(np.ones(3)) + b"more"}, "in 156 bytes"),
    ({"a.npy": saved(np.ones(3))[:-1]}, "in 151 bytes")])
def test_members_that_are_no_arrays(path, entries, why):
    with pytest.raises(WeightsError, match=f"^[^\n]*{why}"):
        read(write(path, entries))


@pytest.mark.parametrize("text, why", [
    (np.ones(3), "expected text"), (np.frombuffer(b"{", np.uint8), "Expecting"),
    (np.zeros(2 << 20, np.uint8), "expected text"), (np.array("{}"), "expected text")],
    ids=["numbers", "no JSON", "long", "letters"])
def test_text_is_a_bounded_array_of_bytes(path, text, why):
    np.savez_compressed(path, meta=text)
    with pytest.raises(WeightsError, match=why):
        with open_arrays(path, WeightsError) as file:
            file.text("meta")
