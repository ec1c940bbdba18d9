"""Damage that knows a format, and sets its checksums right so that readers meet it."""

import ast
import hashlib
import io
import json
import pickletools
import re
import struct
import zipfile
import zlib

import numpy as np

from fuzz.mutations import ODD, any_bytes, json_text, json_value, several, text

__all__ = ["FORMATS", "damage"]


def damage(rng, data, kind):
    """Return ``data``, a valid file of a ``kind`` of ``FORMATS``, damaged.

    A change that knows the format comes first, as it has to understand the file.
    """
    knows = FORMATS.get(kind)
    fate = rng.random() if knows else 1
    if fate < .7:
        data = knows(rng, data)
    if fate > .5:
        data = several(rng, 1, 3, any_bytes, data)
    return data


# --- NumPy ----------------------------------------------------------------------

DTYPES = ("<f8", "<f4", "<f2", ">f4", "<i8", "<i4", "|u1", "|i1", "|b1", "<c8", "<c16",
          "<U4", "|S4", "|V8", "|O", "<M8[s]", "<m8[D]", "|V0", "<U0", "f", "x")


def _shape(rng, shape):
    lengths = list(shape)
    what = rng.randrange(6)
    if what == 0:
        return tuple(reversed(lengths))
    if what == 1:
        return (int(np.prod(lengths)),)
    if what == 2:
        return (*lengths, 1)
    if what == 3 and lengths:
        return tuple(lengths[1:])
    if lengths and what == 4:
        lengths[rng.randrange(len(lengths))] = rng.choice(ODD)
        return tuple(lengths)
    return rng.choice(((), (0,), (-1,), (10 ** 12,), (2 ** 40, 2 ** 40), (1,) * 40,
                       "4", 4, (4.0,), None, [4], (True,)))


def npy(rng, data):
    """Change the header of an ``.npy`` file, or its numbers."""
    start = 10 if data[6] == 1 else 12
    length = int.from_bytes(data[8:start], "little")
    text, body = data[start:start + length].decode("latin1"), data[start + length:]
    header, what = ast.literal_eval(text), rng.randrange(10)
    if what < 3:
        header["shape"] = _shape(rng, header["shape"])
    elif what < 6:
        header["descr"] = rng.choice((*DTYPES, [("a", rng.choice(DTYPES))], None, 4))
    elif what == 6:
        header["fortran_order"] = rng.choice((not header["fortran_order"], 2, None))
    elif what == 7:
        del header[rng.choice(list(header))]
    elif what == 8:
        kind = np.dtype(header["descr"])
        if kind.kind == "f" and len(body) >= kind.itemsize:
            at = rng.randrange(len(body) // kind.itemsize) * kind.itemsize
            odd = np.array(rng.choice((np.nan, np.inf, -1e30, 1e-30, 65504)), kind)
            body = body[:at] + odd.tobytes() + body[at + kind.itemsize:]
        else:
            body = any_bytes(rng, body)
    else:
        body = any_bytes(rng, body)
    text = repr(header) + "\n"
    if rng.random() < .1:
        text = rng.choice((text[:-3], "(" * 200 + text, text * 2, "x" * 9000, "1+1",
                           text.replace("'", '"""', 1)))
    return data[:8] + len(text).to_bytes(start - 8, "little") + text.encode() + body


def npy_of_json(rng, data):
    """Change the JSON that stands in an ``.npy`` file as bytes."""
    array = np.load(io.BytesIO(data))
    return _npy(np.frombuffer(json_text(rng, array.tobytes()), np.uint8))


def _npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


def summed_behind(rng, data):
    """Change an ``.npy`` file that ends with its SHA-256, and mend the sum."""
    new = rng.choice((npy, any_bytes))(rng, data[:-32])
    return new + hashlib.sha256(new).digest()


def summed_before(rng, data):
    """Change a file that begins with the SHA-256 of the rest, and mend the sum."""
    new = any_bytes(rng, data[32:])
    return hashlib.sha256(new).digest() + new


# --- zip: .npz and .pth -----------------------------------------------------------

#: MB that a packed member unpacks to.
BOMB = 320


def archive(rng, data):
    """Change the members of a zip archive; its checksums are right again."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = [[one.filename, file.read(one)] for one in file.infolist()]
    one, other = rng.choice(members), rng.choice(members)
    how, bomb, what = zipfile.ZIP_STORED, None, rng.randrange(16)
    if what == 0:
        one[1], other[1] = other[1], one[1]
    elif what == 1:
        one[0] = rng.choice((other[0], one[0] + "x", "../" + one[0], "", "x" * 3000,
                             one[0].upper(), one[0].replace("0", "00", 1)))
    elif what == 2:
        members.remove(one)
    elif what == 3:
        members += [list(one)]
    elif what == 4:
        how = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    elif what == 5:
        bomb = rng.choice((one[0], "arr_99.npy", "x"))
        members = [pair for pair in members if pair[0] != bomb]
    elif what == 6:
        rng.shuffle(members)
    else:
        one[1] = _member(rng, *one)
    data = _write(members, how, bomb)
    return _lie(rng, data) if rng.random() < .15 else data


def _member(rng, name, content):
    if rng.random() < .15:
        return any_bytes(rng, content)
    if name.endswith(".json.npy"):
        return npy_of_json(rng, content)
    if name.endswith(".npy"):
        return npy(rng, content)
    return (pickle if name.endswith(".pkl") else any_bytes)(rng, content)


def _write(members, how, bomb):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how, compresslevel=1) as new:
        for name, content in members:
            info = zipfile.ZipInfo(name)  # a name may stand twice without a warning
            info.compress_type = how
            new.NameToInfo.pop(name, None)
            new.writestr(info, content)
        if bomb:
            new.compression = zipfile.ZIP_DEFLATED
            with new.open(bomb, "w") as member:
                header = _npy(np.zeros(0, np.float32))
                member.write(header.replace(b"(0,)", b"(%d,)" % (BOMB * 2 ** 18)))
                for _ in range(BOMB):
                    member.write(bytes(2 ** 20))
    return file.getvalue()


def _lie(rng, data):
    """Let headers say another size, way of packing, flag or place than is true."""
    magic = rng.choice((b"PK\1\2", b"PK\3\4", b"PK\5\6"))
    places = [match.start() for match in re.finditer(magic, data)]
    data = bytearray(data)
    if places:
        size, offset = rng.choice(((2, 6), (2, 8), (2, 10), (2, 12), (4, 16), (4, 18),
                                   (4, 20), (4, 22), (4, 24), (2, 28), (4, 42)))
        at = rng.choice(places) + offset
        data[at:at + size] = (rng.choice((1, 8, 12, 14, 99, *ODD))
                              % 256 ** size).to_bytes(size, "little")
    return bytes(data)


def pickle(rng, data):
    """Remove, repeat or exchange whole instructions of a pickle."""
    starts = [at for _, _, at in pickletools.genops(data)] + [len(data)]
    steps = [data[a:b] for a, b in zip(starts, starts[1:])]
    at, to = rng.randrange(len(steps)), rng.randrange(len(steps))
    length, what = rng.choice((1, 1, 2, 5, 20)), rng.randrange(5)
    if what == 0:
        del steps[at:at + length]
    elif what == 1:
        steps[to:to] = steps[at:at + length] * rng.choice((1, 2, 20_000))
    elif what == 2:
        steps[at], steps[to] = steps[to], steps[at]
    elif what == 3:
        number = rng.choice(ODD)
        whole = [k for k, one in enumerate(steps) if one[:1] in b"KMJ\x8a"]
        content = number.to_bytes(9, "little", signed=True)
        steps[rng.choice(whole or [at])] = b"\x8a\x09" + content
    else:
        steps[at] = any_bytes(rng, steps[at])
    return b"".join(steps)


def legacy(rng, data):
    """Change one of the five pickles with which an old file of torch.save begins."""
    file, pickles = io.BytesIO(data), []
    for _ in range(5):
        start = file.tell()
        for _ in pickletools.genops(file):
            pass
        pickles.append(data[start:file.tell()])
    rest, at = data[file.tell():], rng.choice((2, 3, 3, 3, 4, 5))
    if at == 5:
        return b"".join(pickles) + any_bytes(rng, rest)
    pickles[at] = pickle(rng, pickles[at])
    return b"".join(pickles) + rest


# --- safetensors, HDF5, PNG, lines of JSON, tables ----------------------------------

def safetensors(rng, data):
    """Change the header, and set its length right."""
    length = int.from_bytes(data[:8], "little")
    header = json_text(rng, data[8:8 + length])
    return len(header).to_bytes(8, "little") + header + data[8 + length:]


def hdf5(rng, data):
    """Change groups, arrays, attributes and links of an HDF5 file."""
    file = io.BytesIO(data)
    try:
        _change_hdf5(rng, file)
    except (ValueError, KeyError, OSError, RuntimeError, TypeError):
        return any_bytes(rng, data)  # what h5py does not write
    return file.getvalue()


def _change_hdf5(rng, file):
    import h5py
    with h5py.File(file, "r+") as new:
        names = []
        new.visit(names.append)
        arrays = [name for name in names if hasattr(new[name], "shape")]
        name, other = rng.choice(arrays), rng.choice(names)
        array, what = new[name][()], rng.randrange(12)
        if what == 0:
            new.move(name, name + rng.choice((":1", "x", "/y", "é" * 90)))
        elif what == 1:
            new.move(other, rng.choice(("top", "vars/0", "optimizer/x", "a/b/c")))
        elif what == 2:
            del new[other]
        elif what == 3:
            new["deep/" * rng.choice((50, 3000)) + "x"] = array
        elif what == 4:
            new[name + "link"] = rng.choice((
                h5py.SoftLink("/" + other), h5py.SoftLink("/nowhere"),
                h5py.ExternalLink("/etc/hostname", "/x"), new[other]))
        elif what == 5:
            attributes = new[rng.choice(("/", other))].attrs
            attributes[rng.choice(("name", "backend", "x", *attributes))] = rng.choice((
                3, "x", b"\xff", np.arange(4), "x" * 60_000, h5py.Empty("f")))
        else:
            del new[name]
            _dataset(rng, new, name, array)


def _dataset(rng, file, name, array):
    """The array again, in another way."""
    import h5py
    what = rng.randrange(7)
    if what == 0:
        file[name] = array.astype(rng.choice(("<f8", "<f2", ">f4", "i4", "?", "c8")))
    elif what == 1:
        file[name] = array.T if rng.random() < .5 else array.reshape(-1)
    elif what == 2:
        file[name] = rng.choice((h5py.Empty("f"), "text", 3.0, array[:0]))
    elif what == 3:  # space is promised, none is there
        file.create_dataset(name, rng.choice(((2 ** 33,), (2 ** 20, 2 ** 20))), "f4")
    elif what == 4:
        file.create_dataset(name, (2 ** 28,), "f4", chunks=(2 ** 16,),
                            compression="gzip")
    elif what == 5:
        file.create_dataset(name, data=array, chunks=True, compression="gzip")
    else:
        new = np.array(array)
        new.flat[rng.randrange(new.size)] = rng.choice((np.nan, np.inf, 1e30, 0))
        file[name] = new


def png(rng, data):
    """Change the chunks of a PNG file, and mend their checksums."""
    at, chunks = 8, []
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], "big")
        chunks.append([data[at + 4:at + 8], data[at + 8:at + 8 + length]])
        at += 12 + length
    one, other, what = rng.choice(chunks), rng.randrange(len(chunks)), rng.randrange(7)
    if what == 0:
        chunks.remove(one)
    elif what == 1:
        chunks.insert(other, one)
    elif what == 2:
        header = bytearray(chunks[0][1])
        place = rng.choice((0, 4))
        header[place:place + 4] = struct.pack(">I", rng.choice(ODD) % 2 ** 32)
        chunks[0][1] = bytes(header)
    elif what == 3:
        header = bytearray(chunks[0][1])
        header[rng.randrange(8, 13)] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
        chunks[0][1] = bytes(header)
    elif what == 4:
        for pair in chunks:
            if pair[0] == b"IDAT":
                pair[1] = zlib.compress(any_bytes(rng, zlib.decompress(pair[1])), 1)
    elif what == 5:
        chunks.insert(1, [rng.choice((b"eXIf", b"tRNS", b"PLTE", b"acTL", b"iCCP")),
                          rng.randbytes(rng.choice((0, 3, 26, 768)))])
    else:
        one[1] = any_bytes(rng, one[1])
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + name + content
        + struct.pack(">I", zlib.crc32(name + content)) for name, content in chunks)


def json_lines(rng, data):
    """Change one line of a file that holds an object a line."""
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    if rng.random() < .3:
        return text(rng, data, rb"[ ,:{}]")
    lines[at] = json.dumps(json_value(rng, json.loads(lines[at]))).encode()
    return b"\n".join(lines) + b"\n"


#: Kind of file -> the change that knows it.
FORMATS = {"npy": npy, "summed behind": summed_behind, "summed before": summed_before,
           "zip": archive, "legacy": legacy, "safetensors": safetensors, "hdf5": hdf5,
           "png": png, "json": json_text, "json lines": json_lines, "text": text}
