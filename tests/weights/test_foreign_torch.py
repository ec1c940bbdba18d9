"""Files of torch.save: what is read, which lies are found, and PyTorch's own files."""

import functools
import zipfile

import numpy as np
import pytest

from helpers.torch_bytes import (TYPES, text, number, several, numbers, name, call,
                                 mapping, storage, tensor, whole, plain, write_zip,
                                 write_legacy, write)
from minifer.errors import WeightsError
from minifer.weights.foreign import read_torch


def some_arrays():
    rng = np.random.default_rng(0)
    return {"conv1.weight": rng.normal(size=(2, 1, 3, 3)).astype("<f4"),
            "bn1.running_var": rng.random(2), "fc.bias": rng.random(3).astype("<f2"),
            "bn1.num_batches_tracked": np.array(7, "<i8")}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


FOUR = storage("FloatStorage", "0", 4)


# --- what is read ------------------------------------------------------------

@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_tensors_come_back_by_name_bit_for_bit(path, form):
    arrays = some_arrays()
    back = read_torch(write(path, arrays, form))
    assert list(back) == list(arrays)
    for key, array in arrays.items():
        assert back[key].dtype == array.dtype and not back[key].flags.writeable
        assert np.array_equal(back[key], array)


def test_bfloat16_becomes_the_float32_that_it_shortens(path):
    values = np.array([1.5, -2, 3e38, 2 ** -130], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    body = mapping({"w": tensor(storage("BFloat16Storage", "0", 4), [4], [1])})
    back = read_torch(write_zip(path, body, {"0": upper.tobytes()}))["w"]
    assert back.dtype == np.float32
    assert np.array_equal(back.view(np.uint32) >> 16, upper)
    assert back[0] == 1.5 and back[1] == -2


def test_a_tensor_may_be_a_part_of_a_storage_or_turned(path):
    content = np.arange(12, dtype="<f4")
    stored = storage("FloatStorage", "0", 12)
    body = mapping({"part": tensor(stored, [2, 2], [4, 1], offset=5),
                    "turned": tensor(stored, [4, 3], [1, 4]),
                    "param": call(name("torch._utils", "_rebuild_parameter"),
                                  tensor(stored, [12], [1]), b"\x88", mapping({}))})
    back = read_torch(write_zip(path, body, {"0": content.tobytes()}))
    assert np.array_equal(back["part"], [[5, 6], [9, 10]])
    assert np.array_equal(back["turned"], content.reshape(3, 4).T)
    assert np.shares_memory(back["turned"], back["param"])


def test_metadata_of_the_state_dict_is_left_out(path):
    array = np.ones(2, "<f4")
    body = (mapping({"w": plain(array, "0")}) + b"}" + text("_metadata")
            + mapping({"": number(1)}) + b"sb")
    assert list(read_torch(write_zip(path, body, {"0": array.tobytes()}))) == ["w"]


def test_a_checkpoint_gives_its_one_dict_of_tensors(path):
    array = np.ones(2, "<f4")
    body = mapping({"epoch": number(3), "state_dict": mapping({"w": plain(array, "0")}),
                    "optimizer": mapping({"state": mapping({"m": plain(array, "1")})})})
    # Storage 1 is not wanted, and so it is not looked for.
    assert list(read_torch(write_zip(path, body, {"0": array.tobytes()}))) == ["w"]


def test_of_two_dicts_of_tensors_one_must_be_named(path):
    array = np.ones(2, "<f4")
    body = mapping({"model": mapping({"w": plain(array, "0")}),
                    "average": mapping({"v": plain(array, "0")})})
    write_zip(path, body, {"0": array.tobytes()})
    assert list(read_torch(path, entry="average")) == ["v"]
    for entry in (None, "nobody"):
        with pytest.raises(WeightsError, match="'model', 'average' and entry"):
            read_torch(path, entry)


def marked(marks, *shape_and_strides):
    return call(name("torch._utils", "_rebuild_tensor_v2"), FOUR, number(0),
                *map(numbers, shape_and_strides or ([4], [1])), b"\x89", mapping({}),
                mapping(marks))


YES, NO = b"\x88", b"\x89"


@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<f2", "<i8", "<i4"])
@pytest.mark.parametrize("negative", [True, False])
def test_a_tensor_that_is_marked_as_negated_is_negated(path, dtype, negative):
    """So PyTorch saves x.conj().imag: the numbers of x, and a mark."""
    values = np.array([1, -2, 0, 4], dtype)
    stored = storage(TYPES[dtype], "0", 4)
    one = call(name("torch._utils", "_rebuild_tensor_v2"), stored, number(0),
               numbers([2]), numbers([2]), NO, mapping({}),
               mapping({"neg": YES if negative else NO, "conj": NO}))
    body = mapping({"w": one, "same": tensor(stored, [4], [1])})
    back = read_torch(write_zip(path, body, {"0": values.tobytes()}))
    assert np.array_equal(back["w"], -values[::2] if negative else values[::2])
    assert np.array_equal(back["same"], values)
    assert back["w"].dtype == np.dtype(dtype) and not back["w"].flags.writeable


@pytest.mark.parametrize("marks, why", [
    ({"conj": YES}, "mark 'conj', which changes its values"),
    ({"neg": YES, "turned": YES}, "mark 'turned'"), ({"neg": number(1)}, "none of"),
    ({"neg": b"N"}, "none of")])
def test_other_marks_are_refused_in_their_own_words(path, marks, why):
    write_zip(path, mapping({"w": marked(marks)}), {"0": bytes(16)})
    with pytest.raises(WeightsError, match=f"^[^\n]*{why}[^\n]*$"):
        read_torch(path)


def test_more_arguments_than_pytorch_has_are_refused(path):
    one = call(name("torch._utils", "_rebuild_tensor_v2"), FOUR, number(0),
               numbers([4]), numbers([1]), NO, mapping({}), mapping({}), YES)
    write_zip(path, mapping({"w": one}), {"0": bytes(16)})
    with pytest.raises(WeightsError, match="TypeError in the pickle"):
        read_torch(path)


@pytest.mark.parametrize("state, read", [
    (several(YES, NO, mapping({})), True), (several(YES, NO, numbers([1])), False),
    (mapping({"neg": YES}), False), (text("neg"), False)])
def test_state_of_a_tensor_is_flags_or_refused(path, state, read):
    """Old parameters have (requires_grad, volatile, hooks)."""
    one = call(name("torch.nn.parameter", "Parameter"), tensor(FOUR, [4], [1]))
    write_zip(path, mapping({"w": one + state + b"b"}), {"0": bytes(16)})
    if read:
        assert np.array_equal(read_torch(path)["w"], np.zeros(4))
    else:
        with pytest.raises(WeightsError, match="a state of a Tensor, which is not"):
            read_torch(path)


def test_a_number_repeated_by_a_step_of_0_is_read(path):
    body = mapping({"w": tensor(storage("FloatStorage", "0", 1), [2, 3], [0, 0])})
    back = read_torch(write_zip(path, body, {"0": np.float32(7).tobytes()}))
    assert np.array_equal(back["w"], np.full((2, 3), 7))


def test_tensors_that_share_a_storage_are_bounded_together(path):
    """A thousand views of 256 kB: each right, together a thousand times the file."""
    stored = storage("FloatStorage", "0", 1 << 16)
    content = {"0": bytes(4 << 16)}
    views = {f"w{i}": tensor(stored, [1 << 16], [1]) for i in range(1000)}
    write_zip(path, mapping(views), content)
    with pytest.raises(WeightsError, match="262,144,000 bytes of tensors in all, in s"):
        read_torch(path)
    write_zip(path, mapping(dict(list(views.items())[:16])), content)
    assert len(read_torch(path)) == 16


def test_bytes_of_a_mask_are_true_or_false(path):
    body = mapping({"w": tensor(storage("BoolStorage", "0", 3), [3], [1])})
    back = read_torch(write_zip(path, body, {"0": b"\0\1\7"}))["w"]
    assert back.dtype == bool and back.tolist() == [False, True, True]


def test_numbers_beside_a_state_dict_are_not_taken_for_it(path):
    array, accuracy = np.ones(2, "<f4"), np.array(.5, "<f4")
    body = mapping({"net": mapping({"w": plain(array, "0")}),
                    "acc": plain(accuracy, "1")})
    write_zip(path, body, {"0": array.tobytes(), "1": accuracy.tobytes()})
    assert list(read_torch(path)) == ["w"]


def test_a_program_says_that_it_is_none(path):
    write_zip(path, mapping({}), {}, **{"constants.pkl": b""})
    with pytest.raises(WeightsError, match=r"TorchScript.*state_dict\(\)"):
        read_torch(path)


# --- files that lie ------------------------------------------------------------

def of_type(kind, count=number(4)):
    return several(text("storage"), kind, text("0"), text("cpu"), count) + b"Q"


#: Bodies of pickles that do not fit 16 bytes of storage "0", and what they are told.
LIES = {
    "count": (tensor(storage("FloatStorage", "0", 5), [5], [1]),
              "expected 20|numbers for 5"),
    "huge count": (tensor(storage("FloatStorage", "0", 2 ** 62), [1], [1]),
                   "expected 18446744|numbers for 4611686"),
    "no count": (tensor(storage("FloatStorage", "0", 0), [1], [1]),
                 "of 0 numbers|16 bytes in|for 0"),
    "true": (tensor(of_type(name("torch", "ByteStorage"), b"\x88"), [1], [1]),
             "without type, key"),
    "objects": (tensor(of_type(text("|O")), [2], [1]), "without type, key"),
    "no type": (tensor(of_type(b"]"), [4], [1]), "without type, key"),
    "other type": (tensor(storage("LongStorage", "0", 4), [4], [1]),
                   "expected 32|end of the file"),
    "shape": (tensor(FOUR, [5], [1]), "of shape"),
    "offset": (tensor(FOUR, [4], [1], offset=1), "of shape"),
    "huge offset": (tensor(FOUR, [1], [1], offset=2 ** 70), "of shape"),
    "step": (tensor(FOUR, [2], [4]), "of shape"),
    "huge step": (tensor(FOUR, [1], [2 ** 70]), "too large"),
    "step of 0": (tensor(FOUR, [2 ** 40, 2 ** 20], [0, 0]), "of shape"),
    "negative offset": (tensor(FOUR, [1], [1], offset=-1), "without whole"),
    "negative step": (tensor(FOUR, [2], [-1]), "without whole"),
    "negative length": (tensor(FOUR, [-1, -4], [1, 1]), "without whole"),
    "no length": (tensor(FOUR, [0, 2 ** 60], [1, 1]), "without whole"),
    "axes": (tensor(FOUR, [4], [1, 1]), "without whole"),
    "many axes": (tensor(FOUR, [1] * 9, [1] * 9), "without whole"),
    "no storage": (tensor(text("0"), [1], [1]), "without whole"),
    "parameter": (call(name("torch.nn.parameter", "Parameter"), text("0")),
                  "no tensor"),
    "keys": (name("collections", "OrderedDict") + several(several(numbers([1, 2])))
             + b"R", "keys are no names"),
    "missing": (tensor(storage("FloatStorage", "1", 4), [4], [1]),
                "no item named|other storages"),
    "outside": (tensor(storage("FloatStorage", "../data.pkl", 4), [4], [1]),
                "no item named|other storages"),
    "view": (tensor(storage("FloatStorage", "0", 4, numbers([1, 2, 2])), [2], [1]),
             "a view of")}


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_tensor_of_no_numbers_is_read(path, form):
    body = mapping({"w": tensor(storage("FloatStorage", "0", 0), [0, 3], [3, 1])})
    if form == "zip":
        write_zip(path, body, {"0": b""})
    else:
        write_legacy(path, body, {"0": b""}, {"0": 0})
    assert read_torch(path)["w"].shape == (0, 3)


@pytest.mark.parametrize("aside", [
    lambda: call(name("torch", "device"), text("cpu")),
    lambda: name("torch", "float32"),
    lambda: call(name("numpy", "dtype"), text("f8")),
    lambda: call(name("argparse", "Namespace"))])
def test_what_stands_beside_weights_is_passed_over(path, aside):
    body = mapping({"w": plain(np.ones(4, "<f4"), "0"), "args": aside()})
    write_zip(path, body, {"0": np.ones(4, "<f4").tobytes()})
    assert set(read_torch(path)) == {"w"}


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("lie", LIES)
def test_sizes_that_do_not_fit_are_refused(path, form, lie):
    body, why = mapping({"w": LIES[lie][0]}), LIES[lie][1].split("|")
    if form == "zip":
        write_zip(path, body, {"0": bytes(16)})
    else:
        write_legacy(path, body, {"0": bytes(16)}, {"0": 4})
    with pytest.raises(WeightsError, match="^[^\n]+$") as caught:
        read_torch(path)
    found = str(caught.value).partition("(")[2]
    assert any(one in found for one in why)


def test_a_file_without_tensors_says_what_to_save(path):
    write_zip(path, mapping({"epoch": number(1)}), {})
    with pytest.raises(WeightsError, match=r"weights\.pth: expected a dict .* none\. "):
        read_torch(path)


@pytest.mark.parametrize("count", [-1, 0, 3, 2 ** 62])
def test_a_legacy_count_that_lies_is_refused(path, count):
    array = np.ones(4, "<f4")
    body = mapping({"w": plain(array, "0", b"N")})
    write_legacy(path, body, {"0": array.tobytes()}, {"0": count})
    with pytest.raises(WeightsError, match="numbers for 4"):
        read_torch(path)


def test_one_storage_of_two_types_is_refused(path):
    body = mapping({"a": tensor(storage("FloatStorage", "0", 4), [4], [1]),
                    "b": tensor(storage("IntStorage", "0", 4), [4], [1])})
    write_legacy(path, body, {"0": bytes(16)}, {"0": 4})
    with pytest.raises(WeightsError, match="two types"):
        read_torch(path)


def test_numbers_of_the_other_byte_order_are_refused(path):
    array = np.ones(4, "<f4")
    write_zip(path, mapping({"w": plain(array, "0")}), {"0": array.tobytes()},
              byteorder=b"big")
    with pytest.raises(WeightsError, match="highest byte"):
        read_torch(path)


def test_compressed_entries_are_refused_before_they_are_unpacked(path):
    array = np.zeros(4_000_000, "<f4")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", whole(mapping({"w": plain(array, "0")})))
        archive.writestr("m/data/0", array.tobytes())
    with pytest.raises(WeightsError, match=r"\(compressed"):
        read_torch(path)


def test_entries_inside_of_one_another_are_refused(path, tmp_path):
    """A short file that would unpack to twice its size: data/1 lies in data/0."""
    with zipfile.ZipFile(tmp_path / "inner", "w") as inner:
        inner.writestr("m/data/1", bytes(4000))
    record = (tmp_path / "inner").read_bytes().partition(b"PK\1\2")[0]
    body = mapping({key: tensor(storage("ByteStorage", key, count), [count], [1])
                    for key, count in (("0", len(record)), ("1", 4000))})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", whole(body))
        archive.writestr("m/data/0", record)
        hidden = inner.infolist()[0]
        outer = archive.infolist()[-1]
        hidden.header_offset = outer.header_offset + 30 + len(outer.filename)
        archive.filelist.append(hidden)
    with zipfile.ZipFile(path) as archive:
        assert [one.file_size for one in archive.infolist()][1:] == [len(record), 4000]
    with pytest.raises(WeightsError, match=r"\(entries that overlap"):
        read_torch(path)


def test_an_entry_far_behind_the_file_is_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", whole(mapping({})))
        archive.infolist()[0].header_offset = 2 ** 64 - 5
    with pytest.raises(WeightsError, match="expected a whole file"):
        read_torch(path)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_file_cut_anywhere_says_so(path, form):
    content = write(path, some_arrays(), form).read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match="^[^\n]+$"):
            read_torch(path)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_damaged_byte_is_read_or_refused_and_nothing_else(path, form):
    content = write(path, some_arrays(), form).read_bytes()
    refused = 0
    for place in range(0, len(content), 3):
        changed = content[place] ^ (1 + place % 255)
        path.write_bytes(content[:place] + bytes([changed]) + content[place + 1:])
        try:
            read_torch(path)
        except WeightsError:
            refused += 1
    assert refused > len(content) / 12


@pytest.mark.parametrize("content", [
    b"", b"P", b"PK\3\4", b"\x80\x02.", b"\x80\x02N.", b"{}", b"\x80\x02" + b"(" * 99])
def test_other_files_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pth: expected"):
        read_torch(path)


def test_a_missing_file_and_a_folder_say_so(path, tmp_path):
    for wrong in (path, tmp_path):
        with pytest.raises(WeightsError, match="could not be read"):
            read_torch(wrong)


# --- PyTorch itself ------------------------------------------------------------

@pytest.mark.parametrize("save", ["zip", "legacy", "checkpoint"])
def test_what_torch_saves_is_read(path, save):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2),
                                torch.nn.Linear(3, 2))
    state = model.state_dict()
    state["half"], state["brain"] = torch.randn(3).half(), torch.randn(3).bfloat16()
    state["turned"] = torch.randn(3, 4, dtype=torch.float64).T[1:]
    save_it = functools.partial(torch.save, f=path)
    if save == "checkpoint":
        optimizer = torch.optim.SGD(model.parameters(), lr=.1, momentum=.9)
        save_it({"epoch": 3, "model": state, "optimizer": optimizer.state_dict(),
                 "best": .5})
    else:
        save_it(state, _use_new_zipfile_serialization=save == "zip")
    back = read_torch(path)
    assert list(back) == list(state)
    for key, one in state.items():
        theirs = (one.float() if one.dtype == torch.bfloat16 else one).numpy()
        assert back[key].dtype == theirs.dtype and np.array_equal(back[key], theirs)
