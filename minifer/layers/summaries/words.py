"""Layers, shapes and sizes in few words."""

from __future__ import annotations

__all__ = ["bytes_text", "kind_of", "shape_text"]


def kind_of(layer):
    """A layer's class and main options.

    >>> from minifer.layers import Conv2DLayer, MaxPool2DLayer
    >>> kind_of(Conv2DLayer((None, 1, 9, 9), 8, (3, 5), stride=2))
    'Conv2D 3×5 stride 2 rectify'
    >>> kind_of(MaxPool2DLayer((None, 1, 9, 9), 3, stride=2))
    'MaxPool2D 3×3 stride 2'
    """
    name = type(layer).__name__
    words = [name.removesuffix("Layer") or name]
    size = getattr(layer, "filter_size", None) or getattr(layer, "pool_size", None)
    if isinstance(size, tuple):
        words.append("×".join(map(str, size)))
        usual = getattr(layer, "pool_size", None) or (1,) * len(size)
        words += _unless("stride", layer, usual) + _unless("dilation", layer,
                                                           (1,) * len(size))
    if getattr(layer, "num_groups", 1) != 1:
        words.append(f"groups {layer.num_groups}")
    if not name.startswith("MaxPool"):
        words += [str(getattr(layer, option)) for option in ("mode", "pool_function")
                  if isinstance(getattr(layer, option, None), str)]
    if isinstance(getattr(layer, "p", None), float):
        words.append(f"{layer.p:g}")
    function = getattr(getattr(layer, "nonlinearity", None), "name", None)
    return " ".join(words + [function] * (function not in (None, "identity")))


def _unless(option, layer, usual):
    value = getattr(layer, option, usual)
    if value == usual or not isinstance(value, tuple):
        return []
    same = len(set(value)) == 1
    return [f"{option} {value[0] if same else '×'.join(map(str, value))}"]


def shape_text(shape):
    """Lengths of axes; ``?`` where they may vary.

    >>> shape_text((32, None))
    '32×?'
    """
    return "×".join("?" if n is None else str(n) for n in shape)


def bytes_text(count):
    """A number of bytes, in powers of a thousand.

    >>> bytes_text(294912), bytes_text(None)
    ('295 kB', '?')
    """
    if count is None:
        return "?"
    if count < 1000:
        return f"{count} B"
    count, unit = (count / 1e3, "kB") if count < 1e6 else (count / 1e6, "MB")
    return f"{count:,.{1 if count < 100 else 0}f} {unit}"
