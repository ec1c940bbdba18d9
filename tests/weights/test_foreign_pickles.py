"""Pickles of an attacker are named and never run; those of data give the data."""

import io
import pickle
import struct

import pytest

from helpers.torch_bytes import (EMPTY, text, number, several, numbers, name, call,
                                 mapping, storage, tensor, whole, write_zip,
                                 write_legacy)
from minifer.errors import WeightsError
from minifer.weights.foreign import pickles, read_torch
from minifer.weights.foreign.pickles import Refused, run_pickle


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


# --- what is refused, and never executed --------------------------------------

EVIL = {
    "call": lambda code: code,
    "in a state dict": lambda code: mapping({"w": code}),
    "in a tensor's arguments": lambda code: mapping({"w": tensor(code, [1], [1])}),
    "in a tensor's hooks": lambda code: mapping({"w": call(
        name("torch._utils", "_rebuild_tensor_v2"), storage("FloatStorage", "0", 1),
        number(0), numbers([1]), numbers([1]), b"\x89", code)}),
    "as a storage's type": lambda code: mapping({"w": tensor(several(
        text("storage"), code, text("0"), text("cpu"), number(1)) + b"Q", [1], [1])}),
    "as a persistent id": lambda code: mapping({"w": code + b"Q"}),
    "as state": lambda code: mapping({}) + code + b"b",
}


def evil_calls(marker):
    """What would write the marker, in all the ways that a pickle knows; and a name."""
    shell, python = f"touch {marker}", f"open({str(marker)!r}, 'w').close()"
    return [
        ("os.system", call(name("os", "system"), text(shell))),
        ("posix.system", call(name("posix", "system"), text(shell))),
        ("builtins.eval", call(name("builtins", "eval"), text(python))),
        ("builtins.eval", name("builtins", "eval") + several(text(python)) + b"\x81"),
        ("os.system", text("os") + text("system") + b"\x93" + several(text(shell))
         + b"R"),
        ("INST", b"(" + text(shell) + b"ios\nsystem\n"),
        ("os.system", b"(" + name("os", "system") + text(shell) + b"o"),
        ("torch.load", call(name("torch", "load"), text(shell))),
        ("torch._utils.os.system", call(name("torch._utils", "os.system"),
                                        text(shell))),
        ("EXT1", b"\x82\x01" + several(text(shell)) + b"R")]


@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
@pytest.mark.parametrize("place", EVIL)
def test_code_is_named_and_never_run(tmp_path, path, form, place):
    marker = tmp_path / "marker"
    for wanted, code in evil_calls(marker):
        body = EVIL[place](code)
        if form == "zip":
            write_zip(path, body, {"0": bytes(4)})
        elif form == "legacy":
            write_legacy(path, body, {"0": bytes(4)}, {"0": 1})
        else:
            path.write_bytes(whole(body))
        with pytest.raises(WeightsError, match="not executed") as caught:
            read_torch(path)
        assert not marker.exists()
        found = str(caught.value)
        # Before the magic number nothing may be named, and so a bare pickle stops
        # at its first name.
        harmless = ("'collections.OrderedDict'", "'torch._utils._rebuild_tensor_v2'")
        assert wanted in found or (
            form == "bare" and any(one in found for one in harmless))
        assert "\n" not in found


def test_the_attacks_are_real(tmp_path):
    """Python's own machine runs them: else the test above would prove nothing."""
    marker = tmp_path / "marker"
    for wanted, code in evil_calls(marker):
        if wanted in ("os.system", "builtins.eval", "INST") and b"\x81" not in code:
            pickle.loads(whole(code))
            assert marker.exists()
            marker.unlink()


def test_a_pickled_model_says_what_to_save(path):
    body = name("torchvision.models.resnet", "ResNet") + EMPTY + b"\x81"
    write_zip(path, body, {})
    with pytest.raises(WeightsError, match=r"resnet\.ResNet.*state_dict\(\)"):
        read_torch(path)


@pytest.mark.parametrize("identity", [
    text("storage"), several(text("file"), *[number(1)] * 4), number(3), EMPTY])
def test_a_persistent_id_that_is_no_storage_is_refused(path, identity):
    write_zip(path, mapping({"w": identity + b"Q"}), {})
    with pytest.raises(WeightsError, match="persistent id"):
        read_torch(path)


# --- the machine ---------------------------------------------------------------

@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_the_machine_agrees_with_pickle_on_data(protocol):
    shared = [1, -2, 2 ** 80]
    value = {"a": shared, "b": (None, True, 1.5, "ž"), 3: [shared, (), {}, (1, 2, 3)]}
    back = run_pickle(io.BytesIO(pickle.dumps(value, protocol)), {})
    assert back == value and back["a"] is back[3][0]


def test_the_machine_survives_deep_nesting():
    deep = io.BytesIO(whole(b")" + b"\x85" * 50_000))
    assert isinstance(run_pickle(deep, {}), tuple)
    key = io.BytesIO(whole(b"})" + b"\x85" * 50_000 + b"Ns"))
    with pytest.raises(ValueError, match="TypeError in the pickle"):
        run_pickle(key, {})


def test_only_functions_of_the_table_are_called():
    body = whole(call(name("a", "b"), text("c")))
    assert run_pickle(io.BytesIO(body), {"a.b": str.upper}) == "C"
    for function in (text("print"), name("a", "b")):
        with pytest.raises(Refused, match="no function"):
            run_pickle(io.BytesIO(whole(call(function, text("c")))), {"a.b": "<f4"})


def test_a_damaged_name_brings_no_warning():
    with pytest.raises(Refused, match="the name 'os.sy"):
        run_pickle(io.BytesIO(whole(name("os", r"sy\hstem"))), {})


def test_a_huge_place_in_memory_costs_nothing():
    place = struct.pack("<I", 2 ** 32 - 1)
    body = b"Nr" + place + b"j" + place
    assert run_pickle(io.BytesIO(whole(body)), {}) is None


@pytest.mark.parametrize("code", [b"X", b"B", b"\x8c\xff", b"\x8d", b"\x8a"])
def test_a_string_longer_than_the_file_is_refused(code):
    with pytest.raises((ValueError, Refused)):
        run_pickle(io.BytesIO(b"\x80\x04" + code + b"\xff" * 7 + b"\x7f"), {})


def test_a_pickle_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(pickles, "MOST_STEPS", 1000)
    body = whole(b"(" * 998)
    with pytest.raises(Refused, match="more than 1,000"):
        run_pickle(io.BytesIO(body.replace(b"(.", b"(((.")), {})
    with pytest.raises(ValueError, match="IndexError"):
        run_pickle(io.BytesIO(body), {})
