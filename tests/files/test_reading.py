"""What is opened is a file; nothing is waited for or read without end."""

import hashlib
import os
import pathlib

import pytest

from minifer import data
from minifer.errors import DatasetError, WeightsError
from minifer.files import open_file, read_csv, sha256, utf8_path
from minifer.weights import foreign
from minifer.weights.model_file import load_model


def test_a_file_is_opened_as_ever(tmp_path):
    (tmp_path / "f").write_text("zażółć", "utf-8")
    with open_file(tmp_path / "f") as file:
        assert file.read() == "zażółć".encode()
    with open_file(tmp_path / "f", "r", encoding="utf-8") as file:
        assert file.read() == "zażółć"
    assert sha256(tmp_path / "f") == hashlib.sha256("zażółć".encode()).hexdigest()


@pytest.mark.parametrize("read, error", [
    (load_model, WeightsError), (foreign.read_torch, WeightsError),
    (foreign.read_safetensors, WeightsError), (foreign.read_keras, WeightsError),
    (data.load_fer2013, DatasetError), (read_csv, DatasetError), (sha256, OSError)])
@pytest.mark.parametrize("device", [False, True])
def test_a_pipe_and_a_device_are_refused_at_once(tmp_path, read, error, device):
    path = "/dev/zero" if device else tmp_path / "fifo.h5"
    if not device:
        os.mkfifo(path)
    with pytest.raises(error, match="it is a pipe or a device, not a file"):
        read(path)


def test_a_name_for_libraries_that_know_unicode_only(tmp_path):
    path = tmp_path / os.fsdecode(b"Zdj\xeacie.mp4")
    path.write_bytes(b"x")
    with utf8_path(path) as name:
        assert name.encode("utf-8").endswith(b".mp4")
        assert pathlib.Path(name).read_bytes() == b"x"
    assert not os.path.lexists(name)
    with utf8_path("zażółć.mp4") as name:
        assert name == "zażółć.mp4"
