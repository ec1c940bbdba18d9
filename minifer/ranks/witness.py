"""A process beside the ranks, which says who was killed.

A rank that is killed says nothing, and the launcher ends the others before they can.
So rank 0 starts a witness, to which each rank holds a connection. The system closes
that however the rank ends; if no farewell came first, the witness says so in one line,
and tells all others to end. The launcher passes it on: it waits for whoever still
holds a rank's standard error.

The process is this file alone, run as a script, without the rest of minifer.
"""

import contextlib
import os
import secrets
import selectors
import socket
import subprocess
import sys

__all__ = ["Witness", "start"]

#: What a rank says before it goes: that it has ended; that all end, for a reason that
#: has been said. What the witness says: that it watches; that a rank was killed.
FAREWELL, REASON, WELCOME, KILLED = b".", b"!", b"+", b"x"
#: Seconds for a connection, and until the first of them.
TIMEOUT = 5.0


def start(size, apart):
    """Start a witness.

    Parameters
    ----------
    size : int
        How many ranks there are.
    apart : bool
        Whether some are on other machines.

    Returns
    -------
    tuple
        Where it is found: names of this machine, a port, and a password.

    Raises
    ------
    OSError
        If no process can be started.
    """
    host, password = "" if apart else "127.0.0.1", secrets.token_hex(16)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(size), host], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    # A password is no argument, as all can read those.
    port, _ = process.communicate(f"{password}\n")
    if not port:
        raise OSError("it ended at once")
    return _names() if apart else [host], int(port), password


def _names():
    """What other machines may call this one."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        _, _, numbers = socket.gethostbyname_ex(name)
        return [name, *numbers]
    return [name]


class Witness:
    """A rank's connection to its witness.

    Parameters
    ----------
    rank, size : int
    place : tuple
        What :func:`start` returned on rank 0. A rank that a firewall keeps from it
        starts one of its own: at worst more than one line is said.
    """

    def __init__(self, rank, size, place):
        try:
            self.link = _connect(rank, *place)
        except OSError:
            self.link = _connect(rank, *start(size, apart=False))
        self.link.setblocking(False)

    def leave(self, word=FAREWELL):
        """Say that this rank ends, or with REASON that all do."""
        with contextlib.suppress(OSError):
            self.link.send(word)

    def saw_a_death(self):
        """Whether it says that a rank was killed."""
        with contextlib.suppress(OSError):  # nothing has been said
            return self.link.recv(1) == KILLED
        return False


def _connect(rank, names, port, password):
    for name in names:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            link = stack.enter_context(socket.create_connection((name, port), TIMEOUT))
            link.sendall(f"{password}{rank:8}".encode())
            if link.recv(1) == WELCOME:
                stack.pop_all()
                return link
    raise ConnectionError(f"none answers at port {port} of {', '.join(names)}")


# --- the witness itself ---------------------------------------------------------------

def main(size, host):
    """Watch the ranks until all have said farewell, or one has not."""
    password = sys.stdin.readline().strip()
    server, ranks = socket.create_server((host, 0)), {}
    print(server.getsockname()[1], flush=True)
    if os.fork():
        os._exit(0)  # rank 0 waits for this one; the witness has no parent
    for number in 0, 1:
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        while events := selector.select(None if ranks else TIMEOUT):
            for key, _ in events:
                one = key.fileobj
                if one is server:
                    one, rank = _welcome(server, password)
                    if rank is not None:
                        ranks[one] = rank
                        selector.register(one, selectors.EVENT_READ)
                    continue
                word = _word(one)
                if word == b"":
                    _tell(ranks.pop(one), size, ranks)
                if word != FAREWELL:
                    return
                selector.unregister(one)
                del ranks[one]
                if not ranks:
                    return


def _welcome(server, password):
    """A new connection, and its rank; None for that if it does not know the password.
    """
    one, _ = server.accept()
    one.settimeout(TIMEOUT)
    with contextlib.suppress(OSError, ValueError):
        said = one.recv(len(password) + 8, socket.MSG_WAITALL).decode()
        if secrets.compare_digest(said[:len(password)], password):
            rank = int(said[len(password):])
            one.sendall(WELCOME)
            return one, rank
    one.close()
    return one, None


def _word(one):
    try:
        return one.recv(1)
    except OSError:  # reset
        return b""


def _tell(rank, size, others):
    """Say who was killed, to whoever reads, and to the other ranks."""
    with contextlib.suppress(OSError):
        print(f"rank {rank} of {size}: it was killed or crashed, perhaps for want of "
              "memory: all ranks end. What had been saved stands; --resume goes on.",
              file=sys.stderr, flush=True)
    for one in others:
        with contextlib.suppress(OSError):
            one.send(KILLED)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
