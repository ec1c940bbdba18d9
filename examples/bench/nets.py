"""The networks that bench.py times.

A network: channels and side of its images, then its layers. Each is a kind and its
numbers:

conv
    filters, size, padding; with a bias, and ReLU behind it
bare
    filters, size, padding, stride; with neither
pool
    side, stride and padding of the windows of max-pooling; alone, 2, 2 and 0
residual
    the layers of two ways, whose results are added up; one without layers hands on
norm, relu, drop, flatten, mean, dense
    mean is that of each channel; behind every dense layer but the last comes ReLU
"""


def _block(filters, stride=1):
    """A basic block of a residual network, as two entries of a layer list."""
    main = [("bare", filters, 3, 1, stride), ("norm",), ("relu",),
            ("bare", filters, 3, 1, 1), ("norm",)]
    beside = [("bare", filters, 1, 0, stride), ("norm",)] if stride > 1 else []
    return [("residual", main, beside), ("relu",)]


def _resnet18():
    layers = [("bare", 64, 7, 3, 2), ("norm",), ("relu",), ("pool", 3, 2, 1)]
    for stage in range(4):
        layers += _block(64 * 2 ** stage, 1 + (stage > 0)) + _block(64 * 2 ** stage)
    return [*layers, ("mean",), ("dense", 7)]


NETS = {
    "ck96": (1, 96, [("conv", 32, 5, 0), ("pool",), ("conv", 32, 5, 0), ("pool",),
                     ("drop", .5), ("dense", 256), ("drop", .5), ("dense", 7)]),
    "fer48": (1, 48, [("conv", 32, 3, 0), ("conv", 64, 3, 0), ("pool",),
                      ("conv", 128, 3, 0), ("pool",), ("conv", 128, 3, 0), ("pool",),
                      ("drop", .25), ("conv", 7, 1, 0), ("conv", 7, 4, 0),
                      ("flatten",)]),
    "r1": (1, 48, [("conv", 32, 3, 1), ("conv", 64, 3, 1), ("norm",), ("pool",),
                   ("drop", .25), ("dense", 7)]),
    "six": (1, 48, [("conv", 32, 3, 1), ("conv", 32, 3, 1), ("pool",),
                    ("conv", 64, 3, 1), ("conv", 64, 3, 1), ("pool",),
                    ("conv", 128, 3, 1), ("conv", 128, 3, 1), ("pool",),
                    ("drop", .25), ("dense", 256), ("drop", .5), ("dense", 7)]),
    "six-bn": (1, 48, [("conv", 32, 3, 1), ("norm",), ("conv", 32, 3, 1), ("norm",),
                       ("pool",), ("conv", 64, 3, 1), ("norm",), ("conv", 64, 3, 1),
                       ("norm",), ("pool",), ("conv", 128, 3, 1), ("norm",),
                       ("conv", 128, 3, 1), ("norm",), ("pool",), ("drop", .25),
                       ("dense", 256), ("drop", .5), ("dense", 7)]),
    "mlp": (1, 48, [("dense", 1024), ("dense", 512), ("dense", 256), ("dense", 128),
                    ("dense", 7)]),
    "resnet18-48": (3, 48, _resnet18()),
    "resnet18-224": (3, 224, _resnet18()),
    # For rehearsals on the emulator.
    "tiny": (1, 12, [("conv", 8, 3, 1), ("pool",), ("conv", 8, 3, 1), ("pool",),
                     ("drop", .25), ("dense", 16), ("drop", .5), ("dense", 7)]),
}
