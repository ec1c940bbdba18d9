"""Damage for files of any format: bytes, texts, JSON. All of it comes from a seed."""

import json
import re
import struct

__all__ = ["any_bytes", "text", "json_text", "ODD", "several"]

#: Whole numbers that programs are surprised by.
ODD = (0, 1, -1, 2, 7, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2 ** 24,
       2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1)

#: Words that stand where a number, a name or nothing is expected.
WORDS = ("", " ", "-1", "0", "1e309", "nan", "inf", "-inf", "1_000", "٣", "0x10", "1.5",
         "1e3", "999999999999999999999", "'", '"', "\0", "\ufeff", "\u2028", "\\N", ",",
         ";", "\t", "é" * 300, "None", "true", "=1+1", "../../x", "9" * 5000)


def several(rng, least, most, change, data):
    """``change(rng, data)``, so many times."""
    for _ in range(rng.randint(least, most)):
        data = change(rng, data)
    return data


def _place(rng, data, length=1):
    """Where something happens: half of the time in the head, where formats say most."""
    last = max(0, len(data) - length)
    return rng.randint(0, min(last, rng.choice((64, 512, last, last))))


# --- any bytes ----------------------------------------------------------------

def flip_bits(rng, data):
    """Change up to eight single bits."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if data:
            data[_place(rng, data)] ^= 1 << rng.randrange(8)
    return bytes(data)


def overwrite(rng, data):
    """Put a run of equal or random bytes over others."""
    length = rng.choice((1, 2, 4, 16, 100, 1000))
    at = _place(rng, data, length)
    run = rng.choice((b"\0" * length, b"\xff" * length, rng.randbytes(length)))
    return data[:at] + run + data[at + length:]


def truncate(rng, data):
    """Cut the end off, or all but some bytes."""
    return data[:rng.choice((rng.randint(0, len(data)), len(data) - rng.randint(1, 40),
                             rng.randint(0, 40)))]


def chunk(rng, data):
    """Remove, repeat, move or insert a piece."""
    length = rng.choice((1, 3, 8, 64, 512, max(1, len(data) // 4)))
    at, to = _place(rng, data, length), _place(rng, data)
    piece, rest = data[at:at + length], data[:at] + data[at + length:]
    return rng.choice((rest, data[:to] + piece + data[to:], rest[:to] + piece
                       + rest[to:], data[:to] + rng.randbytes(length) + data[to:],
                       data[:at] + piece * rng.choice((2, 100)) + data[at:]))


def field(rng, data):
    """Set 1, 2, 4 or 8 bytes to an odd whole number, in either order of bytes."""
    size = rng.choice("BHIQ")
    number = struct.pack(rng.choice("<>") + size,
                         rng.choice(ODD) % 2 ** (8 * struct.calcsize("<" + size)))
    at = _place(rng, data, len(number))
    names = [match.start() for match in re.finditer(rb"[A-Za-z_]{4}", data)]
    if names and rng.random() < .5:  # sizes stand beside the names of what they size
        at = max(0, rng.choice(names) + rng.choice((-8, -4, 4, 8, 12, 16)))
    return data[:at] + number + data[at + len(number):]


def digits(rng, data):
    """Put another number in place of one that is written in digits."""
    found = list(re.finditer(rb"-?\d+", data))
    if not found:
        return field(rng, data)
    match = rng.choice(found)
    new = rng.choice((str(rng.choice(ODD)), str(rng.randint(0, 300)),
                      rng.choice(WORDS))).encode()
    return data[:match.start()] + new + data[match.end():]


ANY = (flip_bits, flip_bits, overwrite, truncate, chunk, field, field, digits)


def any_bytes(rng, data):
    """Damage that knows nothing of the format."""
    return rng.choice(ANY)(rng, data)


# --- texts ---------------------------------------------------------------------

def text(rng, data, split=rb"[ ,\t]"):
    """Change lines, words and encoding of a text."""
    lines = data.split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(9)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(to, lines[at])
    elif what == 2:
        lines[at], lines[to] = lines[to], lines[at]
    elif what == 3:
        words = re.split(rb"(" + split + rb")", lines[at])
        one, other = rng.randrange(len(words)), rng.randrange(len(words))
        words[one], words[other] = words[other], words[one]
        lines[at] = b"".join(words)
    elif what == 4:
        words = re.split(rb"(" + split + rb")", lines[at])
        words[rng.randrange(len(words))] = rng.choice(WORDS).encode()
        lines[at] = b"".join(words)
    elif what == 5:
        return rng.choice((b"\xef\xbb\xbf" + data, data.replace(b"\n", b"\r\n"),
                           data.replace(b"\n", b"\r"),
                           data.decode("utf-8", "replace").encode(
                               rng.choice(("utf-16", "utf-32", "cp037")), "replace")))
    elif what == 6:
        lines[at] *= rng.choice((2, 1000))
    elif what == 7:
        return digits(rng, data)
    else:
        return any_bytes(rng, data)
    return b"\n".join(lines)


# --- JSON ----------------------------------------------------------------------

DEEP = "a value of great depth"
VALUES = (None, True, False, 0, -1, 1.5, 2 ** 31, 2 ** 64, 10 ** 400, 1e308,
          float("nan"), float("inf"), "", "x" * 2000, "é", "\ud800", [], {}, [[]],
          {"": 0}, DEEP)


def json_value(rng, value):
    """``value`` with one of its parts retyped, removed, repeated or renamed."""
    if isinstance(value, dict) and value and rng.random() < .85:
        name = rng.choice(list(value))
        what = rng.randrange(8)
        if what == 0:
            return {key: one for key, one in value.items() if key != name}
        if what == 1:
            return {(key + rng.choice(WORDS) if key == name else key): one
                    for key, one in value.items()}
        return value | {name: json_value(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < .85:
        at = rng.randrange(len(value))
        what = rng.randrange(8)
        if what == 0:
            return value[:at] + value[at + 1:]
        if what == 1:
            return value[:at] + [value[at]] * rng.choice((2, 1000)) + value[at:]
        return value[:at] + [json_value(rng, value[at])] + value[at + 1:]
    if isinstance(value, (int, float)) and rng.random() < .4:
        return rng.choice((str(value), -value, value + 1, value * 1000, [value],
                           rng.choice(ODD)))
    if isinstance(value, str) and rng.random() < .4:
        return rng.choice((value.upper(), value[:-1], value + "x", [value]))
    return rng.choice(VALUES)


def json_text(rng, data):
    """Valid JSON in, other JSON out: retyped, or no JSON any more."""
    if rng.random() < .15:
        return text(rng, data, rb"[ ,:{}\[\]]")
    value = json.loads(data)
    new = json.dumps(several(rng, 1, 2, json_value, value))
    depth = rng.choice((50, 5000, 200_000))
    return new.replace(json.dumps(DEEP), "[" * depth + "]" * depth).encode()
