"""How close is close enough: one row for each dtype and kind of comparison.

A test never brings its own tolerance. Who needs a looser one adds a row here
and says why.
"""

from typing import NamedTuple

import numpy as np


class Tolerance(NamedTuple):
    """Passes where |actual - expected| <= rtol |expected| + the floor.

    The floor is ``atol`` + ``scaled_atol`` * max|expected|; the second part is
    for float32, where terms of a long sum cancel and leave a small result
    with the rounding error of the large terms.
    """

    rtol: float
    atol: float = 0.0
    scaled_atol: float = 0.0


TOLERANCES = {
    # against tests/helpers/reference.py, which always computes in float64
    ("float64", "reference"): Tolerance(rtol=1e-10, atol=1e-12),
    ("float32", "reference"): Tolerance(rtol=1e-5, scaled_atol=1e-6),
    # against a central difference in float64, whose own error is about
    # 1e-16 |y| / step + step^2 = 1e-10 at a step of 1e-5: hence the floor
    ("float64", "numerical gradient"): Tolerance(rtol=1e-6, atol=1e-9),
    # a float32 gradient against the float64 gradient of the same inputs
    ("float32", "gradient"): Tolerance(rtol=1e-5, scaled_atol=1e-6),
}


def assert_close(actual, expected, kind, dtype, what):
    """Fail unless ``actual`` agrees with ``expected``; ``what`` names them."""
    rtol, atol, scaled_atol = TOLERANCES[np.dtype(dtype).name, kind]
    size = np.abs(expected)
    floor = atol + scaled_atol * np.max(size[np.isfinite(size)], initial=0.0)
    np.testing.assert_allclose(
        actual, expected, rtol=rtol, atol=floor,
        err_msg=f"{what}: not the {kind} ({np.dtype(dtype).name})")
