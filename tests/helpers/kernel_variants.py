"""What the kernels are compiled for in the tests, and what must come out.

A file is compiled as it stands, and for each :class:`Variant` of it: the sizes of some
layers, in each precision, with the macros that the launching functions ask for.
"""

from typing import NamedTuple
from unittest import mock

import numpy as np

from minifer.cuda import (filter_gradient, first_conv, fused_conv, gemm, head, loader,
                          wide_conv, wide_gemm)
from minifer.device.emuarray import EmuArray

__all__ = ["FILES", "VARIANTS", "Variant"]

FILES = sorted(path.name for path in loader.FOLDER.glob("*.cu"))


class Variant(NamedTuple):
    """A file with macros.

    Attributes
    ----------
    file : str
    defines : dict of str -> int
    products : dict of str -> int
        By kernel, how many products of the tensor cores its machine code holds: as
        many as the loops that must be unrolled make.
    """

    file: str
    defines: dict = {}
    products: dict = {}

    @property
    def hot(self):
        """Whether moves matter: not if rows are read number by number, in tiny layers.
        """
        return 1 not in [self.defines.get(f"{matrix}_VECTOR") for matrix in "ABC"]

    def __str__(self):
        return " ".join([self.file, *(f"{k}={v}" for k, v in self.defines.items())])


def asked_for(module, *calls):
    """The variants that calls of a module's launching functions ask for.

    Nothing is launched. Each call is a function's name, its arrays by their shapes (or
    None), and its options.
    """
    found = []

    def kernel(file, name, like, **defines):
        if defines:  # else it is compiled as it stands
            made = {name: PRODUCTS[name](defines)} if name in PRODUCTS else {}
            found.append(Variant(file, defines, made))
        return lambda *args, **how: None

    with (mock.patch.object(module, "kernel", kernel),
          mock.patch.object(wide_conv, "kernel", kernel),
          mock.patch.object(wide_gemm, "kernel", kernel)):
        for name, shapes, options in calls:
            getattr(module, name)(*map(empty, shapes), **options)
    return merged(found)


def empty(shape):
    return shape if shape is None else EmuArray(np.empty(shape, np.float32))


def merged(variants):
    """Those of one file with the same macros as one."""
    found = {}
    for file, defines, products in variants:
        found.setdefault((file, *sorted(defines.items())),
                         Variant(file, defines, {})).products.update(products)
    return list(found.values())


# --- how many products a kernel's macros make of its unrolled loops ----------------

def parts(defines):
    """Products for each: 3xTF32 makes three of numbers that are split in two."""
    return 1 if defines["TF32"] else 3


def convolution_products(filters, columns):
    """Of one row of a filter: each tap, octet of the block's filters, and column."""
    def count(defines):
        octets = defines[filters] // 8
        block = next(n for n in (4, 3, 2, 1) if octets % n == 0)
        return parts(defines) * defines["KW"] * block * defines[columns]
    return count


def filter_products(defines):
    """A loop over as many columns as the filter is wide, and those left over."""
    width, columns = defines["KW"], defines["COLS"]
    return parts(defines) * width * defines["TILES_C"] * (
        width * (columns >= width) + columns % width)


def dense_products(defines):
    """One step along K, of a warp's part of the tile."""
    pieces = (defines["BM"] // defines["WARPS_M"] // 16
              * (defines["BN"] // defines["WARPS_N"] // 8))
    return parts(defines) * pieces * defines["BK"] // 8


def wide_products(defines):
    """Two steps along K of 32, in products of 8."""
    return 2 * 32 // 8


def wide_conv_products(defines):
    """A pixel's, for each place of its column among the sums: of the uppermost row, of
    those between (twice, for two rows of outputs), and of the lowest."""
    rows = 4 if defines["KH"] > 1 else 2
    return rows * defines["KW"] ** 2 * 32 // 8


PRODUCTS = {"fused_forward": convolution_products("FILTERS", "FORWARD_WIDE"),
            "fused_input_gradient": convolution_products("CHANNELS", "BACK_WIDE"),
            "filter_gradient": filter_products,
            "dense_forward": dense_products, "dense_input_gradient": dense_products,
            "dense_weight_gradient": dense_products,
            "dense_weight_update": dense_products,
            "wide_forward": wide_products, "wide_input_gradient": wide_products,
            "wide_weight_gradient": wide_products,
            "wide_weight_update": wide_products,
            "wide_conv_forward": wide_conv_products}


# --- layers -----------------------------------------------------------------------

def convolution(side, C, F, size, pad, pool, precision):
    """All that a layer of square images compiles."""
    out = (side + 2 * pad - size + 1) // (1 + pool)
    x, y, W = (4, side, side, C), (4, out, out, F), (F, C, size, size)
    packed, shape = (F * C * size * size,), {"pad": (pad, pad), "pool": pool,
                                             "precision": precision}
    sized = shape | {"filter_size": (size, size)}
    work = (filter_gradient.workspace(*x, F, (size, size)),)
    return asked_for(
        fused_conv, ("forward", (x, packed, (F,), y, y), sized | {"relu": True}),
        ("input_gradient", (y, y, packed, x), sized)) + asked_for(
        filter_gradient, ("filter_gradient", (x, y, y, W, (F,), work),
                          shape | {"flip": True}))


def wide_convolution(side, size, pad, pool):
    """What a layer of square images and 32 channels compiles on Hopper, forward."""
    out = (side + 2 * pad - size + 1) // (1 + pool)
    x, y = (64, side, side, 32), (64, out, out, 32)
    return asked_for(fused_conv, ("forward", (x, (1024 * size * size,), (32,), y, y), {
        "pad": (pad, pad), "pool": pool, "precision": "tf32", "relu": True,
        "filter_size": (size, size)}))


def first_convolution(side, C, F, size, pad, pool):
    """What a layer of square images with few channels compiles."""
    out = (side + 2 * pad - size + 1) // (1 + pool)
    x, y, W = (4, side, side, C), (4, out, out, F), (F, C, size, size)
    shape = {"pad": (pad, pad), "pool": pool, "flip": True}
    work = (first_conv.workspace(*x, F, (size, size)),)
    return asked_for(
        first_conv, ("forward", (x, W, (F,), y, y), shape | {"relu": True}),
        ("filter_gradient", (x, y, y, W, (F,), work), shape))


def folded(side, C, F, size, precision):
    """What a layer with batch norms folded into it compiles in prediction."""
    x, y, W = (4, side, side, C), (4, side, side, F), (F, C, size, size)
    options = {"pad": (size // 2,) * 2, "relu": True, "pool": False,
               "after": empty((3, F))}
    if C < 8:
        return asked_for(first_conv, ("forward", (x, W, (F,), y, None),
                                      options | {"flip": False}))
    return asked_for(fused_conv, (
        "forward", (x, (F * C * size ** 2,), (F,), y, None),
        options | {"filter_size": (size, size), "precision": precision}))


def last_layer(N, D, K):
    """What the last dense layer compiles."""
    work = (head.workspace(N, D, K),)
    return asked_for(head, ("head", ((N, D), (D, K), (K,), (N,), None, (N, K), (N,),
                                     (N, K), (N, D), (D, K), (K,), work), {}))


def dense(N, D, U, channels, rule, slots, precision, capability=80):
    """All that a dense layer compiles for GPUs of a compute capability."""
    x, z, W = (N, D), (N, U), (D, U)
    options = {"channels": channels, "precision": precision}
    with mock.patch.object(wide_gemm, "compute_capability", lambda _: capability):
        return asked_for(
            gemm, ("forward", (x, W, (U,), z, (gemm.workspace(N, D, U),)), options),
            ("input_gradient", (z, W, x), options),
            ("weight_gradient", (x, z, W), options),
            ("weight_gradient_update", (x, z, W), options | {
                "slots": [empty(W)] * slots, "fine": empty((2,)),
                "numbers": empty((8,)), "rule": rule}))


VARIANTS = [variant for layer in (
    convolution(46, 32, 32, 5, 0, True, "tf32"),  # of the network for 96x96 faces
    convolution(46, 32, 32, 5, 0, True, "fp32"),
    convolution(24, 64, 128, 3, 1, True, "tf32"),
    convolution(24, 64, 128, 3, 1, True, "fp32"),
    convolution(13, 24, 8, 7, 3, False, "tf32"),
    dense(64, 14112, 256, 32, "nesterov_momentum", 1, "tf32"),
    dense(64, 14112, 256, 32, "nesterov_momentum", 1, "fp32"),
    dense(512, 14112, 256, 32, "adam", 2, "tf32"),
    dense(5, 27, 7, 1, "sgd", 0, "fp32"),
    wide_convolution(46, 5, 0, True),
    dense(64, 14112, 256, 32, "nesterov_momentum", 1, "tf32", 90),
    first_convolution(48, 1, 64, 3, 1, False),
    first_convolution(20, 3, 8, 7, 3, True),
    folded(48, 1, 32, 3, "fp32"), folded(46, 32, 32, 5, "tf32"),
    [Variant("image_norm.cu", {"PACK": 4, "STEP": 1}),
     Variant("image_norm.cu", {"PACK": 1, "STEP": 2}),
     Variant("pool.cu", {"CHANNELS": 64})],
    last_layer(64, 1024, 32)) for variant in layer]
