"""Processes beside the ranks, which say who was killed.

A rank that is killed says nothing, and the launcher ends the others before they can. So
each rank has a witness, to which it holds a connection. The system closes that however
the rank ends; if no farewell came first, the witness says so in one line, and all
others are told to end.

No launcher is faster: it learns that a rank is gone when standard output, standard
error and the connection to its process manager (PMI) are closed, and the witness holds
these, too, until it has spoken. The line is said once: witnesses ask the one of rank 0,
the judge, and the first to ask may speak.

The process is this file alone, run as a script, without the rest of minifer.
"""

import contextlib
import json
import os
import secrets
import selectors
import socket
import subprocess
import sys

__all__ = ["Witness"]

#: What a rank says before it goes: that it has ended; that all end, for a reason that
#: has been said. What witnesses say: that a rank was killed. What the judge says: that
#: it has heard of a witness; that this one may speak.
FAREWELL, REASON, KILLED, WELCOME, SPEAK = b".", b"!", b"x", b"+", b"s"
#: Seconds for a connection; for an answer.
TIMEOUT, ANSWER = 5.0, 1.0
DIGITS = 8  # of a port in a message


class Witness:
    """A rank's connection to its witness, which it starts.

    Parameters
    ----------
    rank, size : int
    place : tuple, optional
        Where the judge is found: the ``place`` of rank 0's witness. Without it this one
        is the judge. A witness that a firewall keeps from it speaks unasked: at worst
        more than one line is said.
    apart : bool, default False
        Whether some ranks are on other machines.

    Attributes
    ----------
    place : tuple or None
        Where the judge is found: names of this machine, a port, and a password.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(self, rank, size, place=None, apart=False):
        self.link, theirs = socket.socketpair()
        with theirs:
            subprocess.run(
                [sys.executable, "-I", "-S", __file__, str(rank), str(size),
                 str(theirs.fileno())], stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *_process_manager()], start_new_session=True)
        host, password = "" if apart else "127.0.0.1", secrets.token_hex(16)
        # A password is no argument, as all can read those.
        self.link.sendall(json.dumps(place or [host, password]).encode() + b"\n")
        port = self.link.recv(DIGITS, socket.MSG_WAITALL)
        if not port:
            raise OSError("it ended at once")
        self.place = None if place else (
            _names() if apart else [host], int(port), password)
        self.link.setblocking(False)
        # Or the rank would seem to live as long as a process that it has forked.
        os.register_at_fork(after_in_child=self.link.close)

    def leave(self, word=FAREWELL):
        """Say that this rank ends, or with REASON that all do."""
        with contextlib.suppress(OSError):
            self.link.send(word)

    def saw_a_death(self):
        """Whether a rank was killed."""
        with contextlib.suppress(OSError):  # nothing has been said
            return self.link.recv(1) == KILLED
        return False


def _process_manager(environ=os.environ):
    """The descriptor of the connection to the launcher's process manager, if any."""
    with contextlib.suppress(KeyError, ValueError, OSError):
        number = int(environ["PMI_FD"])
        os.fstat(number)
        return [number]
    return []


def _names():
    """What other machines may call this one."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        _, _, numbers = socket.gethostbyname_ex(name)
        return [name, *numbers]
    return [name]


# --- the witness itself ---------------------------------------------------------------

def main(rank, size, descriptor):
    """Watch a rank until it has said farewell, or is gone."""
    if os.fork():
        os._exit(0)  # the rank waits for this one; the witness has no parent

    def speak():
        with contextlib.suppress(OSError):  # no reader
            print(f"rank {rank} of {size}: it was killed or crashed, perhaps for want "
                  "of memory: all ranks end. What had been saved stands; --resume goes "
                  "on.", file=sys.stderr, flush=True)

    own = socket.socket(fileno=descriptor)
    line = own.makefile().readline()
    if not line:  # the rank was stopped before it could say what to do
        return
    found = json.loads(line)
    if len(found) == 2:
        host, password = found
        with socket.create_server((host, 0)) as server:
            own.sendall(f"{server.getsockname()[1]:{DIGITS}}".encode())
            judge(own, server, password, speak)
    else:
        link = _connect(*found)
        own.sendall(f"{0:{DIGITS}}".encode())
        follow(own, link, speak)


def follow(own, link, speak):
    """Watch a rank; when it is gone, ask the judge.

    Parameters
    ----------
    own, link : socket.socket
        To the rank; to the judge, or None.
    speak : function
        Says that the rank was killed.
    """
    with selectors.DefaultSelector() as selector:
        for one in filter(None, (link, own)):
            selector.register(one, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if link in ready:
                word = _word(link)
                if word:  # all has been said
                    _send(own, word)
                    return
                selector.unregister(link)
                link = None  # from now on this one decides by itself
            if own in ready:
                break
    word = _word(own)
    if link and word != FAREWELL:
        _send(link, word or KILLED)
    if not word and (link is None or _word(link) in (SPEAK, b"")):
        speak()


def judge(own, server, password, speak):
    """Watch rank 0, and decide which witness speaks: the first that asks.

    Parameters
    ----------
    own, server : socket.socket
        To the rank; where other witnesses ask.
    password : str
    speak : function
        Says that rank 0 was killed.
    """
    with selectors.DefaultSelector() as selector:
        for one in (server, own):
            selector.register(one, selectors.EVENT_READ)
        others = set()

        def first_word():
            while True:
                for key, _ in selector.select():
                    one = key.fileobj
                    if one is server:
                        one = _welcome(server, password)
                        if one:
                            selector.register(one, selectors.EVENT_READ)
                            others.add(one)
                        continue
                    word = _word(one)
                    if word or one is own:
                        return one, word
                    selector.unregister(one)  # its rank has said farewell
                    others.remove(one)

        one, word = first_word()
    if word == FAREWELL:
        return
    if word != REASON:
        word = KILLED
        if one is own:
            speak()
        else:
            _send(one, SPEAK)
            _word(one)  # when it has spoken it is gone
    for other in {own, *others} - {one}:
        _send(other, word)
    for other in others:  # what was sent might be lost if this one went first
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)
            while _word(other):
                pass


def _connect(names, port, password):
    """A connection to the judge; None if it is not found."""
    for name in names:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            link = stack.enter_context(socket.create_connection((name, port), TIMEOUT))
            link.sendall(password.encode())
            if link.recv(1) == WELCOME:
                link.settimeout(ANSWER)
                stack.pop_all()
                return link
    return None


def _welcome(server, password):
    """A new connection; None if it does not know the password."""
    with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
        one = stack.enter_context(server.accept()[0])
        one.settimeout(ANSWER)
        said = one.recv(len(password), socket.MSG_WAITALL).decode()
        if secrets.compare_digest(said, password):
            one.sendall(WELCOME)
            stack.pop_all()
            return one
    return None


def _word(one):
    """What is said next; nothing if the other end is gone, or is late."""
    try:
        return one.recv(1)
    except OSError:
        return b""


def _send(one, word):
    with contextlib.suppress(OSError):
        one.sendall(word)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
