"""Numbers that change from step to step, sent to a device without waiting for it."""

from ..device.recording import refuse
from ..errors import KernelError
from .loader import kernel

__all__ = ["MOST", "send"]

MOST = 16  # values of one launch


def send(numbers, offset, values):
    """Write values into a device's array, in one launch.

    Parameters
    ----------
    numbers : float64 device array, shape (n,)
    offset : int
        The place of the first value.
    values : sequence of at most 16 floats
        ``numbers[offset + i] = values[i]``.

    Raises
    ------
    KernelError
        If they are too many, or do not fit there.
    CaptureError
        While a graph is captured, which would send these values every time.
    """
    if len(values) > MOST or not 0 <= offset <= numbers.size - len(values):
        raise KernelError(
            f"send: expected at most {MOST} values that fit into {numbers.size} "
            f"numbers, got {len(values)} from number {offset} on.")
    values = [float(value) for value in values]
    refuse("numbers that are sent from the host")
    kernel("scalars.cu", "send_numbers", numbers)(
        numbers, numbers.size, offset, len(values), *values,
        *[0.0] * (MOST - len(values)), threads=1, block=1)
