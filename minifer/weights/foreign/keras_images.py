"""Keras's layers of images: convolutions, pools, and what else changes a size."""

from __future__ import annotations

from ... import layers
from .keras_calls import Value, activated, activation

__all__ = ["IMAGE_MAKERS"]


def _pad(call):
    padding = call.only("padding", "valid", "same", "causal")
    if padding == "causal":
        call.refuse("causal padding")
    return "same_upper" if padding == "same" else 0


def _n(call):
    """How many axes its images have."""
    return int(next(letter for letter in call.kind if letter.isdigit()))


def _tuple(call, option, n, default=1):
    value = call.get(option, default)
    value = tuple(value) if isinstance(value, (list, tuple)) else (value,) * n
    if len(value) != n or not all(type(k) is int and k >= 1 for k in value):
        call.refuse(f"{option}={value!r}")
    return value


CONVOLUTIONS = {1: layers.Conv1DLayer, 2: layers.Conv2DLayer, 3: layers.Conv3DLayer}


def _convolved(call, value, filters, size, name, groups=1, bias=None, stride=None,
               pad=None, dilation=None):
    """A convolution, of which nothing but linear is left."""
    n = len(size)
    bias = call.get("use_bias", True) if bias is None else bias
    options = {"nonlinearity": None, "flip_filters": False, "name": name,
               **({} if bias else {"b": None})}
    stride = _tuple(call, "strides", n) if stride is None else stride
    pad = _pad(call) if pad is None else pad
    dilation = _tuple(call, "dilation_rate", n) if dilation is None else dilation
    if set(dilation) > {1} or dilation != (1,) * n:
        if n != 2 or groups != 1 or set(stride) != {1}:
            call.refuse(f"dilation_rate={dilation!r} in groups, with strides, or of "
                        f"{n} axes")
        layer = layers.DilatedConv2DLayer(value.layer, filters, size, dilation, pad,
                                          **options)
    else:
        layer = CONVOLUTIONS[n](value.layer, filters, size, stride, pad,
                                num_groups=groups, **options)
    return value._replace(layer=call.note(layer, name))


def _conv(call, value):
    n, value = _n(call), value.channels_first()
    size = _tuple(call, "kernel_size", n)
    value = _convolved(call, value, call.get("filters"), size, call.name,
                       call.get("groups", 1))
    return activated(call, value, activation(call))


def _depthwise(call, value, name=None):
    """Each channel by itself; in a separable one without a bias."""
    n, value = _n(call), value.channels_first()
    size, C = _tuple(call, "kernel_size", n), value.shape[1]
    separable = name is not None
    value = _convolved(call, value, C * call.get("depth_multiplier", 1), size,
                       name or call.name, C, False if separable else None)
    return value if separable else activated(call, value, activation(call))


def _separable(call, value):
    n, value = _n(call), _depthwise(call, value, call.name)
    value = _convolved(call, value, call.get("filters"), (1,) * n,
                       f"{call.name}_pointwise", stride=(1,) * n, pad=0,
                       dilation=(1,) * n)
    return activated(call, value, activation(call))


def _transposed(call, value):
    n, value = _n(call), value.channels_first()
    call.only("output_padding", None)
    if _tuple(call, "dilation_rate", n) != (1,) * n:
        call.refuse("dilation")
    Kind = {2: layers.TransposedConv2DLayer, 3: layers.TransposedConv3DLayer}[n]
    size, stride = _tuple(call, "kernel_size", n), _tuple(call, "strides", n)
    options = {} if call.get("use_bias", True) else {"b": None}
    if _pad(call) == 0 and any(k < s for k, s in zip(size, stride)):
        call.refuse("filters smaller than its strides")
    layer = Kind(value.layer, call.get("filters"), size, stride, _pad(call),
                 nonlinearity=None, flip_filters=True, name=call.name,
                 num_groups=call.get("groups", 1), **options)
    return activated(call, value._replace(layer=call.note(layer)), activation(call))


# --- pools and what else changes an image's size -----------------------------------

def _pool(call, value):
    n, value = _n(call), value.channels_first()
    size = _tuple(call, "pool_size", n, 2)
    stride = size if call.get("strides") is None else _tuple(call, "strides", n)
    Kind = {1: layers.Pool1DLayer, 2: layers.Pool2DLayer, 3: layers.Pool3DLayer}[n]
    mode = "max" if call.kind.startswith("Max") else "average_exc_pad"
    return value._replace(layer=Kind(value.layer, size, stride, _pad(call), mode=mode,
                                     name=call.name))


def _global_pool(call, value):
    value = value.channels_first()
    how = "max" if "Max" in call.kind else "mean"
    layer = layers.GlobalPoolLayer(value.layer, how, name=call.name)
    if not call.get("keepdims", False):
        return Value(layer, True)
    ones = (1,) * (len(value.shape) - 2)
    return Value(layers.ReshapeLayer(layer, ([0], [1], *ones)), True)


def _sides(call, option, n):
    """((before, after), …) for each axis of the images."""
    value = call.get(option, 1)
    value = value if isinstance(value, (list, tuple)) else (value,) * n
    if n == 1 and len(value) == 2 and not isinstance(value[0], (list, tuple)):
        value = [value]
    return tuple(tuple(one) if isinstance(one, (list, tuple)) else (one, one)
                 for one in value)


def _zeros(call, value):
    value = value.channels_first()
    return value._replace(layer=layers.PadLayer(
        value.layer, _sides(call, "padding", _n(call)), name=call.name))


def _cropping(call, value):
    value = value.channels_first()
    layer = value.layer
    for axis, (before, after) in enumerate(_sides(call, "cropping", _n(call)), 2):
        layer = layers.SliceLayer(layer, slice(before, -after or None), axis)
    return value._replace(layer=layer)


def _upsampling(call, value):
    n, value = _n(call), value.channels_first()
    how = call.only("interpolation", "nearest", "bilinear")
    Kind = {1: layers.Upscale1DLayer, 2: layers.Upscale2DLayer,
            3: layers.Upscale3DLayer}[n]
    return value._replace(layer=Kind(
        value.layer, _tuple(call, "size", n, 2),
        "repeat" if how == "nearest" else "linear", name=call.name))


#: By Keras's class.
IMAGE_MAKERS = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D",
                     "Convolution3D"), _conv),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D", "SeparableConvolution2D"),
                    _separable),
    **dict.fromkeys(("Conv2DTranspose", "Conv3DTranspose"), _transposed),
    **{f"{kind}Pooling{n}D": _pool for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{f"Global{kind}Pooling{n}D": _global_pool
       for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{f"{kind}{n}D": maker for n in (1, 2, 3) for kind, maker in (
        ("ZeroPadding", _zeros), ("Cropping", _cropping), ("UpSampling", _upsampling))}}
