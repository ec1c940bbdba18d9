"""Files of torch.save, byte by byte: what tests of the reader write without PyTorch."""

import struct
import zipfile

# --- pickles by hand: each function gives the bytes that push one value -------

TYPES = {"<f8": "DoubleStorage", "<f4": "FloatStorage", "<f2": "HalfStorage",
         "<i8": "LongStorage", "<i4": "IntStorage", "|u1": "ByteStorage"}
EMPTY = b")"


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def several(*values):
    return b"(" + b"".join(values) + b"t"


def numbers(values):
    return several(*map(number, values))


def name(module, last):
    return f"c{module}\n{last}\n".encode()


def call(function, *arguments):
    return function + several(*arguments) + b"R"


def mapping(entries):
    """An OrderedDict of names and pushed values."""
    pairs = b"".join(text(key) + value for key, value in entries.items())
    return name("collections", "OrderedDict") + EMPTY + b"R(" + pairs + b"u"


def storage(kind, key, count, *more):
    return several(text("storage"), name("torch", kind), text(key), text("cpu"),
                   number(count), *more) + b"Q"


def tensor(stored, shape, strides, offset=0):
    return call(name("torch._utils", "_rebuild_tensor_v2"), stored, number(offset),
                numbers(shape), numbers(strides), b"\x89", mapping({}))


def whole(body):
    return b"\x80\x02" + body + b"."


def plain(array, key, *more):
    """The tensor that is all of one storage."""
    stored = storage(TYPES[array.dtype.str], key, array.size, *more)
    return tensor(stored, array.shape, [n // array.itemsize for n in array.strides])


# --- files -------------------------------------------------------------------

def write_zip(path, body, contents, **entries):
    """The archive that torch.save writes, of a pickle's body and storages' bytes."""
    files = {"data.pkl": whole(body), "byteorder": b"little", **entries,
             **{f"data/{key}": content for key, content in contents.items()},
             "version": b"3\n"}
    with zipfile.ZipFile(path, "w") as archive:
        for last, content in files.items():
            archive.writestr(f"model/{last}", content)
    return path


def write_legacy(path, body, contents, counts):
    system = b"}(" + text("little_endian") + b"\x88u"
    keys = b"](" + b"".join(map(text, contents)) + b"e"
    path.write_bytes(
        b"".join(map(whole, [number(0x1950a86a20f9469cfc6c), number(1001), system,
                             body, keys]))
        + b"".join(struct.pack("<q", counts[key]) + content
                   for key, content in contents.items()))
    return path


def write(path, arrays, form="zip"):
    """A state dict of these arrays, with one storage each."""
    more = [b"N"] if form == "legacy" else []
    body = mapping({key: plain(array, str(place), *more)
                    for place, (key, array) in enumerate(arrays.items())})
    contents = {str(place): array.tobytes()
                for place, array in enumerate(arrays.values())}
    if form == "zip":
        return write_zip(path, body, contents)
    counts = {str(place): array.size for place, array in enumerate(arrays.values())}
    return write_legacy(path, body, contents, counts)
