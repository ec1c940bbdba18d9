"""Who may reach a scheduler: this machine alone, or who has a certificate.

A scheduler runs pickled code of whoever reaches it.
"""

import contextlib
import ipaddress
import os
import ssl
import tempfile

from ..errors import SettingError, one_line

__all__ = ["check_address", "read_tls", "temporary_tls"]


def check_address(address, tls):
    """Return a scheduler's address with its protocol; ``tls`` is None without TLS.

    >>> check_address("127.0.0.1:8786", None)
    'tcp://127.0.0.1:8786'

    Raises
    ------
    SettingError
        If it is no address, does not fit ``tls``, or is open to others without TLS.
    """
    protocol, found, rest = address.rpartition("://")
    protocol = protocol if found else "tls" if tls else "tcp"
    host, _, port = rest.rpartition(":")
    if protocol not in ("tcp", "tls") or not host or not port.isdecimal():
        raise SettingError(f"scheduler {address}: expected tcp://HOST:PORT or "
                           "tls://HOST:PORT.")
    if protocol == "tls" and not tls:
        raise SettingError(f"scheduler {address}: expected --tls-cert and --tls-key "
                           "for TLS, got none.")
    if protocol == "tcp" and tls:
        raise SettingError(f"scheduler {address}: expected tls:// with --tls-cert and "
                           "--tls-key, got tcp://.")
    if protocol == "tcp" and not _is_loopback(host.strip("[]")):
        raise SettingError(
            f"scheduler {address}: expected TLS, or an address of this machine such as "
            "127.0.0.1. A scheduler runs code of whoever reaches it: start it with a "
            "certificate, and give --tls-cert and --tls-key.")
    return f"{protocol}://{rest}"


def _is_loopback(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_tls(files):
    """A ``distributed.Security`` of a certificate and its key, for all roles.

    Raises
    ------
    SettingError
        If they cannot be used.
    """
    from distributed import Security
    certificate, key = files
    try:
        context = ssl.create_default_context(cafile=certificate)
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # ssl's errors are of the system's
        raise SettingError(
            f"--tls-cert {certificate}, --tls-key {key}: expected a certificate and "
            f"its key in PEM, without a password, got '{one_line(error)}'. "
            "docs/clusters.md shows how to make them.") from error
    return Security(require_encryption=True, tls_ca_file=certificate,
                    **{f"tls_{role}_{part}": file
                       for role in ("client", "scheduler", "worker")
                       for part, file in (("cert", certificate), ("key", key))})


@contextlib.contextmanager
def temporary_tls(folder):
    """Files of a new certificate and its key, in ``folder``, for as long as the block.

    Only this user may read them.

    Yields
    ------
    (str, str)
        For :func:`read_tls`.
    """
    from distributed import Security
    new = Security.temporary()
    with tempfile.TemporaryDirectory(prefix=".tls-", dir=folder) as place:
        files = tuple(os.path.join(place, name) for name in ("cert.pem", "key.pem"))
        for file, content in zip(files, (new.tls_client_cert, new.tls_client_key)):
            with open(file, "x", encoding="ascii", opener=_private) as out:
                out.write(content)
        yield files


def _private(path, flags):
    return os.open(path, flags, mode=0o600)
