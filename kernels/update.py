"""Update rules on a device: one launch moves all parameters."""

from .loader import kernel

__all__ = ["note_finite", "step", "apply_momentum"]


def note_finite(g, loss, fine, skipped):
    """Set ``fine`` to 0 if a gradient or the loss is not finite; nobody waits.

    Parameters
    ----------
    g : device array, shape (n,)
    loss : device array of one element, or None
    fine, skipped : int32 device arrays, shape (1,)
        While ``fine`` is 0, ``skipped`` counts the calls.
    """
    kernel("update.cu", "note_finite", g)(g, g.size, fine, threads=g.size)
    kernel("update.cu", "note_step", g if loss is None else loss)(
        loss, fine, skipped, threads=1, block=1)


def step(rule, p, g, slots, fine, constants):
    """Change ``p`` and its state in place, unless ``fine`` is 0.

    Parameters
    ----------
    rule : str
        A kernel of ``update.cu``, such as ``'adam'``.
    p, g : device arrays of n elements
        Parameters and gradients.
    slots : list of device arrays of n elements
        The rule's state.
    fine : int32 device array, shape (1,)
    constants : tuple of float
        The kernel's last parameters.
    """
    kernel("update.cu", rule, p)(p, g, *slots, p.size, fine, *constants,
                                 threads=p.size)


def apply_momentum(p, before, v, fine, momentum, nesterov):
    """Momentum around a rule that has moved ``p`` away from ``before``."""
    kernel("update.cu", "apply_momentum", p)(p, before, v, p.size, fine, momentum,
                                             int(nesterov), threads=p.size)
