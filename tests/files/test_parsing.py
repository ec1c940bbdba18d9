"""One door for files that are read: whatever fails behind it is one line."""

import io
import os
import struct
import zipfile
import zlib

import pytest

from minifer.errors import DatasetError, LabelError, WeightsError
from minifer.files import naming, open_zip, parse_json, read_bytes, read_json, reading


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file.bin").write_bytes(b"content")
    return tmp_path / "file.bin"


# --- the door -----------------------------------------------------------------

@pytest.mark.parametrize("error", [
    ValueError("two\nlines"), KeyError("a"), zlib.error("bad"), struct.error("short"),
    MemoryError(), RecursionError("deep"), AssertionError(), EOFError(), TypeError(),
    NotImplementedError("lzma"), OSError(5, "Input/output error"), UnicodeDecodeError(
        "utf-8", b"\xff", 0, 1, "no"), AttributeError("x"), SystemError("y")], ids=repr)
def test_whatever_a_parser_raises_is_one_line_with_the_name(path, error):
    with pytest.raises(DatasetError, match=r"^[^\n]+file\.bin: expected words, got a "
                       r"damaged file[^\n]+\. Write it\.$") as caught:
        with reading(path, "words", DatasetError, "Write it."):
            raise error
    assert caught.value.__cause__ is error


def test_our_own_errors_keep_their_class_and_get_the_name_once(path):
    for text in "row 3 is bad.", f"{path}: row 3 is bad.":
        with pytest.raises(LabelError) as caught:
            with reading(path, "labels", DatasetError):
                raise LabelError(text)
        assert str(caught.value) == f"{path}: row 3 is bad."


def test_control_c_is_no_damaged_file(path):
    with pytest.raises(KeyboardInterrupt):
        with reading(path, "words", DatasetError):
            raise KeyboardInterrupt


def test_the_file_is_closed_however_the_block_ends(path):
    with reading(path, "words", DatasetError) as file:
        assert file.read() == b"content"
    assert file.closed
    with pytest.raises(DatasetError):
        with reading(path, "words", DatasetError) as file:
            raise ValueError
    assert file.closed


@pytest.mark.parametrize("place", ["none", "", "file.bin/below", "a\0b"])
def test_what_cannot_be_opened_is_one_line(path, place):
    with pytest.raises(WeightsError, match="could not be read"):
        with reading(os.path.join(path.parent, place), "words", WeightsError):
            pass


def test_no_path_at_all_is_one_line():
    for wrong in 3, None, b"\xff":  # a number would be a file descriptor
        with pytest.raises(WeightsError, match="could not be read"):
            with reading(wrong, "words", WeightsError):
                pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_not_waited_for_and_a_device_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for wrong in tmp_path / "pipe", "/dev/zero":
        with pytest.raises(WeightsError, match="a pipe or a device"):
            with reading(wrong, "words", WeightsError):
                pass


def test_names_stand_before_texts_once():
    for text in "no rows.", "a.csv: no rows.":
        with pytest.raises(LabelError, match=r"^a\.csv: no rows\.$"):
            with naming("a.csv"):
                raise LabelError(text)


# --- what is in it --------------------------------------------------------------

def test_no_more_bytes_than_agreed():
    assert read_bytes(io.BytesIO(b"four"), 4, "words") == b"four"
    with pytest.raises(ValueError, match="more than 3 bytes of words"):
        read_bytes(io.BytesIO(b"four"), 3, "words")


@pytest.mark.parametrize("text", [b'{"a": 1, "a": 2}', b"\xff", b"{", b"[" * 10 ** 5,
                                  b"9" * 5000, b'{"a": {"b": 1, "b": 1}}'])
def test_json_that_is_refused(text):
    with pytest.raises((ValueError, RecursionError)):
        parse_json(text)


@pytest.mark.parametrize("content", [b"[1]", b"7", b"", b"{", b'"x"',
                                     b" " * (1 << 24) + b"{}"], ids=len)
def test_a_json_file_holds_an_object_of_some_size(path, content):
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"file\.bin: expected notes"):
        read_json(path, "notes", DatasetError)
    path.write_bytes(b'{"a": [1, 2]}')
    assert read_json(path, "notes", DatasetError) == {"a": [1, 2]}


# --- archives ---------------------------------------------------------------------

def archive(*entries, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as opened:
        for name, content in entries:
            opened.writestr(name, content)
    return file


def patched(file, signature, offset, content):
    """The archive with bytes changed at an offset from the last such signature."""
    data = bytearray(file.getvalue())
    place = data.rindex(signature) + offset
    data[place:place + len(content)] = content
    return io.BytesIO(bytes(data))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_of_stored_and_deflated_entries_open(method):
    file = archive(("a", b"x" * 100_000), ("b", b""), method=method)
    with open_zip(file) as opened:
        assert opened.read("a") == b"x" * 100_000 and opened.read("b") == b""


@pytest.mark.parametrize("file, why", [
    (archive(("a", b"x" * 99), method=zipfile.ZIP_LZMA), "packed in another way"),
    (archive(("a", b"x" * 99), method=zipfile.ZIP_BZIP2), "packed in another way"),
    (patched(archive(("a", b"x")), b"PK\1\2", 8, b"\1"), "encrypted"),
    (patched(archive(("a", b"xy")), b"PK\1\2", 24, struct.pack("<I", 3)),
     "promises 3 bytes"),
    (patched(archive(("a", b"x" * 999), method=zipfile.ZIP_DEFLATED), b"PK\1\2", 24,
             struct.pack("<I", 1 << 31)), "promises 2,147,483,648 bytes"),
    (patched(archive(("a", b"x"), ("b", b"y")), b"PK\1\2", 46, b"a"), "of one name"),
    (patched(archive(("a", b"x")), b"PK\1\2", 20, struct.pack("<II", 10 ** 6, 10 ** 6)),
     "overlap or leave")], ids=["lzma", "bzip2", "encrypted", "longer", "a bomb",
                                "twice", "behind the end"])
def test_archives_that_promise_what_they_cannot_hold(file, why):
    with pytest.raises(ValueError, match=why):
        open_zip(file)
