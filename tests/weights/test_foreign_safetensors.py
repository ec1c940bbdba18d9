"""Files in the .safetensors format, written here: read, or refused with a line."""

import json
import struct

import numpy as np
import pytest

from minifer.errors import WeightsError
from minifer.weights.foreign import read_safetensors

TYPES = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "|u1": "U8"}


def parts(arrays):
    """The header, as a dict, and the body of a file of these arrays."""
    header, body = {}, b""
    for name, array in arrays.items():
        place = [len(body), len(body) + array.nbytes]
        header[name] = {"dtype": TYPES[array.dtype.str], "shape": list(array.shape),
                        "data_offsets": place}
        body += array.tobytes()
    return header, body


def write(path, header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    path.write_bytes(struct.pack("<Q", length) + text + body)
    return path


def some_arrays():
    rng = np.random.default_rng(0)
    return {"fc.weight": rng.normal(size=(2, 3)).astype("<f4"),
            "bn1.running_var": rng.random(2), "fc.bias": rng.random(3).astype("<f2"),
            "count": np.array(7, "<i8")}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def test_tensors_come_back_by_name_bit_for_bit(path):
    arrays = some_arrays()
    header, body = parts(arrays)
    back = read_safetensors(write(path, {"__metadata__": {"format": "pt"}, **header},
                                  body))
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and not back[name].flags.writeable
        assert np.array_equal(back[name], array)


def test_bfloat16_becomes_the_float32_that_it_shortens(path):
    header = {"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    back = read_safetensors(write(path, header, struct.pack("<2H", 0x3fc0, 0xc000)))
    assert back["w"].dtype == np.float32 and back["w"].tolist() == [1.5, -2]
    assert not back["w"].flags.writeable


def test_masks_and_whole_numbers_without_a_sign_are_read(path):
    header = {"mask": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]},
              "n": {"dtype": "U16", "shape": [], "data_offsets": [2, 4]}}
    back = read_safetensors(write(path, header, b"\0\7\xff\xff"))
    assert back["mask"].tolist() == [False, True] and back["mask"].dtype == bool
    assert back["n"] == 65535 and not back["mask"].flags.writeable


def test_places_may_stand_in_any_order_in_the_header(path):
    header, body = parts(some_arrays())
    back = read_safetensors(write(path, dict(reversed(header.items())), body))
    assert np.array_equal(back["fc.weight"], some_arrays()["fc.weight"])


#: What a header may claim of the 8 bytes of "b" (2 of float32) behind 8 of "a".
LIES = {
    "leaves the file": ({"data_offsets": [8, 24], "shape": [4]}, "not behind 16"),
    "behind the file": ({"data_offsets": [80, 88]}, "from 8 and"),
    "overlaps": ({"data_offsets": [4, 12]}, "from 8 and"),
    "same place": ({"data_offsets": [0, 8]}, "from 8 and"),
    "gap": ({"shape": [1], "data_offsets": [12, 16]}, "from 8 and"),
    "shorter": ({"shape": [1], "data_offsets": [8, 12]}, "4 bytes that belong to no"),
    "backwards": ({"data_offsets": [16, 8]}, "has -8 bytes, expected 8"),
    "shape": ({"shape": [3]}, "has 8 bytes, expected 12"),
    "huge shape": ({"shape": [2 ** 40, 2 ** 40]}, "has 8 bytes, expected"),
    "other size": ({"dtype": "F64"}, "has 8 bytes, expected 16"),
    "negative": ({"data_offsets": [-8, 0]}, "no whole shape and"),
    "negative shape": ({"shape": [-1, -2]}, "no whole shape and"),
    "empty": ({"shape": [0, 2 ** 63], "data_offsets": [16, 16]}, "from 8 and"),
    "many axes": ({"shape": [2] + [1] * 9}, "no whole shape and"),
    "fraction": ({"shape": [2.0]}, "no whole shape and"),
    "true": ({"shape": [2, True]}, "no whole shape and"),
    "no shape": ({"shape": None}, "no whole shape and"),
    "three places": ({"data_offsets": [8, 16, 16]}, "no whole shape and"),
    "unknown type": ({"dtype": "F9"}, "of type 'F9', expected one"),
    "no type": ({"dtype": 7}, "has no type")}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_does_not_fit_the_file_is_refused(path, lie):
    header, body = parts({name: np.ones(2, "<f4") for name in "ab"})
    change, why = LIES[lie]
    header["b"].update(change)
    with pytest.raises(WeightsError, match=rf"^[^\n]*\([^\n]*{why}[^\n]*$"):
        read_safetensors(write(path, header, body))


@pytest.mark.parametrize("text, why", [
    (b"[]", "no object"), (b"7", "no object"), (b"{", "line 1"), (b"\xff", "decode"),
    (b'{"a": 1}', "has no type"), (b'{"a": [1]}', "has no type"),
    (b"[" * 100_000, "recursion"),
    (b'{"a": {"shape": [' + b"9" * 5000 + b"]}}", "5000"),
    (b'{"a": {}, "a": {}}', "stands twice")])
def test_a_header_that_is_no_table_of_tensors_is_refused(path, text, why):
    with pytest.raises(WeightsError, match=r"^[^\n]{,400}$") as caught:
        read_safetensors(write(path, text))
    assert why in str(caught.value).partition("(")[2]


@pytest.mark.parametrize("length", [1, 10 ** 6, 2 ** 63, 2 ** 64 - 1])
def test_a_wrong_length_of_the_header_is_refused(path, length):
    header, body = parts(some_arrays())
    why = "Expecting" if length < 2 else f"a header of {length} bytes"
    with pytest.raises(WeightsError, match=rf"whole .safetensors file, .*\({why}"):
        read_safetensors(write(path, header, body, length))


def test_bytes_behind_the_last_tensor_are_refused(path):
    header, body = parts(some_arrays())
    with pytest.raises(WeightsError, match="3 bytes that belong to no tensor"):
        read_safetensors(write(path, header, body + b"abc"))


def test_a_file_cut_anywhere_says_so(path):
    content = write(path, *parts(some_arrays())).read_bytes()
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match="^[^\n]+$"):
            read_safetensors(path)


def test_a_damaged_byte_is_read_or_refused_and_nothing_else(path):
    content = write(path, *parts(some_arrays())).read_bytes()
    refused = 0
    for place in range(len(content)):
        changed = content[place] ^ (1 + place % 255)
        path.write_bytes(content[:place] + bytes([changed]) + content[place + 1:])
        try:
            read_safetensors(path)
        except WeightsError:
            refused += 1
    assert refused > len(content) / 3


def test_a_missing_file_and_a_folder_say_so(path, tmp_path):
    for wrong in (path, tmp_path):
        with pytest.raises(WeightsError, match="could not be read"):
            read_safetensors(wrong)


def test_what_the_library_writes_is_read(path):
    library = pytest.importorskip("safetensors.numpy")
    arrays = some_arrays()
    library.save_file(arrays, path, metadata={"format": "np"})
    back = read_safetensors(path)
    assert set(back) == set(arrays)
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)


def write_tensors(path, tensors):
    """``{name: (type, shape, bytes)}`` as a file."""
    header, body = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def test_floats_of_eight_bits_complex_numbers_and_nothing(path):
    write_tensors(path, {"a": ("F8_E4M3", [5], bytes([0x38, 0x01, 0x7e, 0x7f, 0xc0])),
                 "b": ("F8_E5M2", [4], bytes([0x3c, 0x01, 0x7c, 0xc0])),
                 "c": ("C64", [1], np.array([1 + 2j], "<c8").tobytes()),
                 "d": ("F32", [0, 3], b"")})
    found = read_safetensors(path)
    np.testing.assert_array_equal(found["a"], [1, 2 ** -9, 448, np.nan, -2])
    np.testing.assert_array_equal(found["b"], [1, 2 ** -16, np.inf, -2])
    assert found["c"][0] == 1 + 2j and found["d"].shape == (0, 3)


def test_types_of_fewer_bits_say_what_to_do(path):
    write_tensors(path, {"a": ("F4", [2], b"\0")})
    with pytest.raises(WeightsError, match="of type F4. Save them as float32"):
        read_safetensors(path)


def test_several_files_with_a_list(path, tmp_path):
    one = ("F32", [1], bytes(4))
    for n in range(2):
        write_tensors(tmp_path / f"part-{n}.safetensors", {f"w{n}": one})
    listed = tmp_path / "model.safetensors.index.json"
    listed.write_text(json.dumps({"metadata": {}, "weight_map": {
        "w0": "part-0.safetensors", "w1": "part-1.safetensors"}}))
    assert set(read_safetensors(listed)) == {"w0", "w1"}
    listed.write_text(json.dumps({"weight_map": {"w": "../part-0.safetensors"}}))
    with pytest.raises(WeightsError, match="of its own folder"):
        read_safetensors(listed)
