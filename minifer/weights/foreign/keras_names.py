"""Which layer is an array of, in an HDF5 file of Keras?

Four ways of naming have been in use:

- Keras 2 and 3, ``.h5``: a group a layer, with a list of its arrays, such as
  ``conv1/kernel:0``. What is before the last ``/`` is the scope in which an array was
  made: the layer's name, perhaps with a number behind it, or in an inner model that of
  one of its layers. So the group's name counts, unless the scope is of another.
- Keras 1: ``conv1_W_1:0``, in a group ``conv1``.
- Keras 3.6 and later, ``.weights.h5``: ``layers/conv2d/vars/0``, and the layer's name
  is an attribute of ``vars``.
- Keras 3.0 to 3.5 and TensorFlow 2.15: the same without it. ``conv2d_1`` is the second
  convolution in the order of ``model.layers``, whatever it is called.
"""

from __future__ import annotations

import re

from ...errors import WeightsError, quoted

__all__ = ["attribute", "both_ways", "named_arrays"]

#: What a compiled model saves beside its layers.
NO_LAYERS = ("optimizer", "optimizer_weights", "metrics")
LONGEST_NAME = 1 << 16
#: Groups within one another, and items in all: ResNet-152 has 3 and some 1,800.
DEEPEST, MOST_ITEMS = 32, 10_000
#: Keras 1's names of arrays, and today's.
KERAS_1 = {"W": "kernel", "b": "bias", "gamma": "gamma", "beta": "beta",
           "running_mean": "moving_mean", "running_std": "moving_variance"}
#: Scopes within a layer that say nothing.
CELLS = re.compile(r"(lstm|gru|simple_rnn)_cell(_\d+)?")


def named_arrays(file, description=None):
    """All arrays of layers in a file, by the names that minifer gives them.

    Parameters
    ----------
    file : h5py.File
    description : dict, optional
        Description of the network, which tells what counters mean.

    Returns
    -------
    dict of str -> h5py.Dataset
        ``"layer/array"``; an array of Keras 3 is a number.
    """
    root = file.get("model_weights") if "layers" not in file else None
    if not hasattr(root, "keys"):
        root = file
    listed = _listed(root)
    if listed is not None:
        found = [(_named_in(group, place), item) for group, place, item in listed]
    else:
        found = _walked(file, description)
    datasets: dict = {}
    for name, item in found:
        if name in datasets:
            raise WeightsError(
                f"expected layers of different names, got two with {quoted(name)}. "
                "Name them in Keras, also those of inner models, and save it again "
                "with Keras 3.6 or later.")
        datasets[name] = item
    if not datasets:
        raise ValueError("no arrays")
    return datasets


# --- groups with lists of their arrays ------------------------------------------

def _listed(root):
    """(group, array's name, array) as the file itself lists them; None without lists.
    """
    if not any(name.startswith("layer_names") for name in root.attrs):
        return None
    groups = {name: _member(root, name) for name in _texts(root, "layer_names")}
    places = {name: _texts(inside, "weight_names") for name, inside in groups.items()
              if hasattr(inside, "keys")}
    for group, names in places.items():
        if len(set(names)) < len(names):
            raise WeightsError(
                "expected a name of its own for each array, got several in "
                f"{quoted(group)} that share one, of which one alone is there: Keras "
                "3.0 cannot write inner models and Bidirectional as .h5, and leaves "
                "the file unfinished. Save it again as .keras.")
    found = []
    for group, inside in groups.items():
        if group not in places:
            raise ValueError(f"no group {quoted(group)}, which layer_names has")
        for place in places[group]:
            item = _member(inside, place)
            if not hasattr(item, "shape"):
                raise ValueError(f"no array {quoted(place)}, which weight_names has")
            found.append((group, place, item))
    return found


def _texts(item, name):
    """A list of texts that is noted of a group, perhaps in pieces: name0, name1, …"""
    if name in item.attrs:
        return _list(item, name)
    found = []
    while f"{name}{len(found)}" in item.attrs and len(found) < MOST_ITEMS:
        found.append(_list(item, f"{name}{len(found)}"))
    return [text for part in found for text in part]


def _list(item, name):
    import h5py
    noted = item.attrs.get_id(name)
    plain = noted.dtype.kind == "S" or h5py.check_string_dtype(noted.dtype) is not None
    if len(noted.shape) != 1 or not (plain or noted.shape == (0,)) or (
            noted.shape[0] > MOST_ITEMS or noted.dtype.itemsize > LONGEST_NAME):
        raise ValueError(f"{quoted(name)} of {quoted(item.name)}, expected texts")
    if not noted.shape[0]:
        return []
    return [text.decode("utf-8") if isinstance(text, bytes) else str(text)
            for text in item.attrs[name].tolist()]


def _member(group, place):
    """What lies at a place, over hard links alone."""
    for part in place.split("/"):
        if not hasattr(group, "keys") or part not in group or type(
                group.get(part, getlink=True)).__name__ != "HardLink":
            return None
        group = group[part]
    return group


def _named_in(group, place):
    """The name of an array that a group lists."""
    *scopes, array = place.split("/")
    array = array.split(":")[0]
    if not scopes:
        old = re.fullmatch(rf"{re.escape(group)}_(\w+?)(_\d+)?", array)
        if old and old[1] in KERAS_1:
            array = KERAS_1[old[1]]
        return f"{group}/{array}"
    own = re.compile(rf"{re.escape(group)}(_\d+)?")
    mine = [depth for depth, scope in enumerate(scopes) if own.fullmatch(scope)]
    if not mine:  # of a layer in an inner model
        return f"{scopes[-1]}/{array}"
    inside = [one for one in scopes[mine[-1] + 1:] if not CELLS.fullmatch(one)]
    return "/".join([*([group] if not inside else inside[-1:]), array])


# --- groups of numbers, and files without lists -----------------------------------

def _walked(file, description):
    """(name, array) of all that lies in layers."""
    found, nameless = [], {}
    for place, item in _walk(file, ""):
        layer, array = _name(place, item)
        found.append((f"{layer}/{array}", place, item))
        if "/vars/" in place and "name" not in item.parent.attrs:
            nameless.setdefault(layer, {})[array] = item.shape
    meant = counted(description) if description and nameless else {}
    if not meant:
        _check_alike(nameless)
    for name, place, item in found:
        layer = place.rpartition("/vars/")[0].removesuffix("/cell")
        if meant and "name" not in item.parent.attrs:
            if layer not in meant:
                raise ValueError(f"arrays at {quoted(layer)}, where the description "
                                 "has no layer")
            name = f"{meant[layer]}/{place.split('/')[-1]}"
        yield name, item


def counted(description):
    """Where the layers of a described network lie, and their names.

    Layers are counted by their classes in the order in which they are described, and
    those of inner models within these.

    >>> conv = {"class_name": "Conv2D", "config": {"name": "stem"}}
    >>> counted({"config": {"layers": [conv]}})
    {'layers/conv2d': 'stem'}
    """
    found, seen = {}, {}
    for entry in description["config"]["layers"]:
        kind = snake(entry["class_name"])
        seen[kind] = seen.get(kind, -1) + 1
        place = f"layers/{kind}" + (f"_{seen[kind]}" if seen[kind] else "")
        found[place] = entry["config"]["name"]
        if "layers" in entry["config"]:
            found.update({f"{place}/{below}": name
                          for below, name in counted(entry).items()})
        if entry["class_name"] == "Bidirectional":
            for way, (_, config) in zip(("forward", "backward"),
                                        both_ways(entry["config"])):
                found[f"{place}/{way}_layer"] = config["name"]
    return found


def both_ways(config):
    """(class, options) of the two layers in a Bidirectional, with the names they have.

    >>> [one["name"] for _, one in both_ways({"layer": {
    ...     "class_name": "GRU", "config": {"name": "g"}}})]
    ['forward_g', 'backward_g']
    """
    forth, back = config["layer"], config.get("backward_layer") or config["layer"]
    for way, one in (("forward_", forth), ("backward_", back)):
        name = one["config"]["name"]
        if one is forth:
            name = name.removeprefix("forward_")
        yield one["class_name"], {
            **one["config"], "name": way + name.removeprefix(way)}


def snake(name):
    """A class's name as Keras writes it in small letters.

    >>> snake("Conv2D"), snake("BatchNormalization"), snake("MaxPooling2D")
    ('conv2d', 'batch_normalization', 'max_pooling2d')
    """
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _walk(group, place, seen=None, depth=0):
    """Yield (place, dataset) of all below a group, each once, in order of names.

    Links to other files are not followed; a group may hold itself.
    """
    seen = set() if seen is None else seen
    if depth > DEEPEST or len(seen) + len(group) > MOST_ITEMS:
        raise ValueError(f"more than {DEEPEST} groups within one another, or "
                         f"{MOST_ITEMS:,} items")
    for name in sorted(group):
        if (not place and name in NO_LAYERS
                or type(group.get(name, getlink=True)).__name__ != "HardLink"):
            continue
        item = group[name]
        where = f"{place}/{name}".lstrip("/")
        if item in seen:
            continue
        seen.add(item)
        if hasattr(item, "shape"):
            yield where, item
        elif hasattr(item, "keys"):
            yield from _walk(item, where, seen, depth + 1)


def _check_alike(nameless):
    """Refuse layers of a file without names that could be taken for one another.

    Keras before 3.6 numbers layers of a kind in the order of ``model.layers``, which
    need not be the order in which they were made and named.
    """
    known: dict = {}
    for layer, shapes in nameless.items():
        kind = re.sub(r"_\d+$", "", layer), tuple(sorted(shapes.items()))
        other = known.setdefault(kind, layer)
        if other != layer:
            raise WeightsError(
                f"expected the names of the layers, got numbers of which {other} and "
                f"{layer} have the same shapes and could be mistaken for one another. "
                "Save it again with a newer Keras, as a whole (model.save('m.keras')), "
                "or in the old form: model.save_weights('weights.h5').")


def _name(place, item):
    """The layer and the array, of ``…/layer/array:0`` or ``…/layer/vars/number``."""
    parts = place.split("/")
    if len(parts) < 2:
        raise ValueError(f"{quoted(place)} outside of any layer")
    layer, array = parts[-2], parts[-1].split(":")[0]
    if layer == "vars":
        owner, at = item.parent, -3
        if parts[-3:-2] == ["cell"]:  # of a recurrent layer, which itself has none
            owner, at = item.parent.parent.parent.get("vars"), -4
        layer = (attribute(owner, "name") if hasattr(owner, "attrs") else None) or (
            parts[at] if len(parts) >= -at else "")
    if not isinstance(layer, str):
        raise ValueError(f"{quoted(place)} of a layer without a name")
    return layer, array


def attribute(item, name, longest=LONGEST_NAME):
    """The text that is noted of a group or an array; None if there is none."""
    if name not in item.attrs:
        return None
    import h5py
    found = item.attrs.get_id(name)
    # Damaged types can end the process where they are read.
    if found.shape != () or found.dtype.itemsize > longest or (
            h5py.check_string_dtype(found.dtype) is None):
        raise ValueError(f"{quoted(name)} of {quoted(item.name)}, expected a text")
    return item.attrs[name]
