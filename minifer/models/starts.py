"""How a layer's weights and biases start, where a network is another library's."""

from __future__ import annotations

from typing import Any

from .. import init

__all__ = ["like_pytorch"]


def like_pytorch(fan_in: int) -> dict[str, Any]:
    """Both uniform in ±1/√fan_in, as a Conv2d or Linear starts.

    Parameters
    ----------
    fan_in : int
        How many inputs a unit sums up.

    Returns
    -------
    dict
        ``W`` and ``b``, as a layer's keywords.
    """
    return {"W": init.FanInUniform(), "b": init.FanInUniform(fan_in)}
