"""Update rules on a device: one launch moves all parameters.

Numbers that a rule shares among all elements are read from a float64 array on the
device, of ``NUMBERS`` elements. They may change from step to step although the
launches themselves are recorded once, in a CUDA graph.
"""

from .loader import kernel

__all__ = ["NUMBERS", "PIECES", "note_finite", "note_step", "limit_norm", "step",
           "remember", "apply_momentum"]

NUMBERS = 8  # the last one is the largest norm; as in rules.cuh
PIECES = 64  # partial sums of a norm; as in update.cu


def note_finite(g, fine):
    """Set ``fine[1]`` to 0 if a gradient is not finite; the host does not wait.

    Parameters
    ----------
    g : device array, shape (n,)
    fine : int32 device array, shape (2,)
        Whether all was finite before this step, and in it.
    """
    kernel("update.cu", "note_finite", g)(g, g.size, fine, threads=g.size)


def note_step(loss, fine, skipped):
    """Set ``fine[0]`` to 0 if ``fine[1]`` is, or the loss is not finite.

    Parameters
    ----------
    loss : device array of one element, or None
    fine : int32 device array, shape (2,)
    skipped : int32 device array, shape (1,)
        While ``fine[0]`` is 0, it counts the calls.
    """
    kernel("update.cu", "note_step", fine if loss is None else loss)(
        loss, fine, skipped, threads=1, block=1)


def limit_norm(g, partial, fine, numbers):
    """Scale ``g`` in place to a norm of at most ``numbers[7]``.

    It scales as :func:`minifer.updates.total_norm_constraint` does, but nothing while
    ``fine[0]`` is 0.

    Parameters
    ----------
    g : device array, shape (n,)
    partial : float64 device array, shape (PIECES,)
        Scratch.
    fine : int32 device array, shape (2,)
    numbers : float64 device array, shape (NUMBERS,)
    """
    kernel("update.cu", "sum_squares", g)(g, g.size, partial, grid=PIECES)
    kernel("update.cu", "limit_norm", g)(g, g.size, partial, fine, numbers,
                                         grid=min(1024, -(-g.size // 256)))


def step(rule, p, g, slots, fine, numbers):
    """Change ``p`` and its state in place, unless ``fine[0]`` is 0.

    Parameters
    ----------
    rule : str
        A kernel of ``update.cu``, such as ``'adam'``.
    p, g : device arrays of n elements
        Parameters and gradients.
    slots : list of device arrays of n elements
        The rule's state.
    fine : int32 device array, shape (2,)
    numbers : float64 device array, shape (NUMBERS,)
        The numbers that ``rules.cuh`` lists above the rule.
    """
    kernel("update.cu", rule, p)(p, g, *slots, p.size, fine, numbers, threads=p.size)


def remember(p, before):
    """Copy ``p``, n elements, to ``before``."""
    kernel("update.cu", "remember", p)(p, before, p.size, threads=p.size)


def apply_momentum(p, before, v, fine, nesterov, numbers):
    """Momentum ``numbers[0]`` around a rule that has moved ``p`` from ``before``."""
    kernel("update.cu", "apply_momentum", p)(p, before, v, p.size, fine, int(nesterov),
                                             numbers, threads=p.size)
