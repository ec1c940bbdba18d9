"""Lines from a child to its parent, each signed: what others write there is no result.

A student's file runs in the process that tells the results, and inherits its open
files. So each line carries its number and a code (HMAC, RFC 2104) made with a key
that is drawn for each run, handed over through a pipe and read before the file runs:
it stands in no argument and no variable of the environment.
"""

import hmac
import json
import os
import secrets

from ..errors import MiniferError

__all__ = ["KEY_SIZE", "ForgedError", "Receiver", "Sender", "new_key"]

KEY_SIZE = 32  # bytes


class ForgedError(MiniferError):
    """A line that was not written by the sender, or not as it was written."""


def new_key():
    """A key, bytes."""
    return secrets.token_bytes(KEY_SIZE)


class Sender:
    """Writes lines.

    Parameters
    ----------
    descriptor : int
        The pipe's end that is written to.
    key : bytes
    """

    def __init__(self, descriptor, key):
        self.descriptor, self.count = descriptor, 0
        self.sign = _signer(key)

    def send(self, *content):
        """Send anything that JSON can hold."""
        text = json.dumps([self.count, *content]).encode()
        self.count += 1
        line = self.sign(text) + b" " + text + b"\n"
        while line:
            line = line[os.write(self.descriptor, line):]


class Receiver:
    """Reads what a :class:`Sender` with the same key wrote, in the same order."""

    def __init__(self, key):
        self.sign, self.count = _signer(key), 0

    def read(self, line):
        """The content of a line, a list.

        Parameters
        ----------
        line : bytes
            Without its end.

        Raises
        ------
        ForgedError
            If the sender has not written this as its next line.
        """
        code, _, text = line.partition(b" ")
        if not hmac.compare_digest(code, self.sign(text)):
            raise ForgedError("a line without a valid signature.")
        number, *content = json.loads(text)
        if number != self.count:
            raise ForgedError(f"line {number} where {self.count} was expected.")
        self.count += 1
        return content


def _signer(key):
    """A function that signs bytes; the key is in it and nowhere else."""
    return lambda text: hmac.digest(key, text, "sha256").hex().encode()
