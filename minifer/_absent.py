"""What of Theano cannot be had here, and what to use in its place.

>>> import minifer
>>> minifer.scan
Traceback (most recent call last):
    ...
AttributeError: theano.scan is not here: use minifer.layers.RecurrentLayer and its \
relatives, or a Python loop over the steps of a known number.
"""

__all__ = ["ABSENT", "why", "getter"]

_LAYERS = "the layers and expressions of minifer, or a layer of your own"
_LOOPS = ("minifer.layers.RecurrentLayer and its relatives, or a Python loop over the "
          "steps of a known number")
_NOISE = ("minifer.tensor.shared_randomstreams.RandomStreams, or the layers "
          "DropoutLayer and GaussianNoiseLayer")

#: Name below ``minifer``, where it was below ``theano`` -> what to use in its place.
ABSENT = {
    "scan": _LOOPS, "scan_module": _LOOPS, "map": _LOOPS, "reduce": _LOOPS,
    "foldl": _LOOPS, "foldr": _LOOPS, "ifelse": "minifer.tensor.switch",
    "Op": _LAYERS, "Apply": _LAYERS, "gof": _LAYERS,
    "clone": "minifer.layers.get_output "
    "with other inputs", "sandbox": _NOISE, "compile": "minifer.function",
    "printing": "print(function.plan), or the expression itself as an output",
    "gradient": "minifer.tensor.grad and minifer.tensor.disconnected_grad",
    "sparse": "arrays of NumPy", "gpuarray": "device='cuda' of minifer.function",
    "Rop": "minifer.grad", "Lop": "minifer.grad", "In": "a variable, or "
    "minifer.shared", "Out": "the expression itself",
    "tensor.signal": "minifer.layers.Pool2DLayer",
    "tensor.extra_ops": "minifer.tensor",
    "tensor.hessian": "minifer.tensor.grad", "tensor.nlinalg": "NumPy",
    "tensor.slinalg": "NumPy", "tensor.opt": "nothing: there is no graph optimiser",
    "tensor.nnet.conv2d": "minifer.layers.Conv2DLayer",
    "tensor.nnet.conv": "minifer.layers.Conv2DLayer",
    "tensor.nnet.bn": "minifer.layers.BatchNormLayer",
    "tensor.nnet.abstract_conv": "minifer.layers.TransposedConv2DLayer",
    "tensor.nnet.neighbours": "minifer.layers.Conv2DLayer",
}


def why(name):
    """One line about a name such as ``minifer.scan``, or of what is below it; or None.

    >>> why("minifer.sandbox.cuda")[:29]
    'theano.sandbox is not here: u'
    """
    package, _, rest = name.partition(".")
    parts = rest.split(".") if package == "minifer" else []
    for n in range(1, len(parts) + 1):
        part = ".".join(parts[:n])
        if part in ABSENT:
            return f"theano.{part} is not here: use {ABSENT[part]}."
    return None


def getter(package):
    """A module's ``__getattr__``, which says why a name is not there."""
    def __getattr__(name):
        raise AttributeError(why(f"{package}.{name}") or (
            f"module {package!r} has no attribute {name!r}"))

    return __getattr__
