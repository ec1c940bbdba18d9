"""What a network is, as JSON that a program in any language can build it from."""

from __future__ import annotations

from typing import Any

from ...layers import get_all_layers
from .. import architecture
from .outgoing import arrays_of, names_of

__all__ = ["blueprint"]


def blueprint(model: Any, library: str) -> dict[str, Any]:
    """Describe a model beside its weights, in a library's names.

    Parameters
    ----------
    model : minifer.weights.Model
    library : {'torch', 'keras'}

    Returns
    -------
    dict
        ``format``; ``names``, the library; ``classes``, ``preprocessing`` and ``notes``
        of the model; ``layers``, each after those that it reads: ``name``, ``type``,
        ``reads`` (names), ``output_shape`` (as minifer has it, (N, C, H, W), null for
        what may vary), ``arrays`` (names in the file of weights, without the layer's)
        and the options of minifer's class of that type, as its page explains them.
    """
    order = get_all_layers(model.network)
    names = names_of(model.network, library)
    described = architecture.to_dict(model.network)["layers"]
    entries = []
    for layer, entry in zip(order, described):
        options = {name: value for name, value in entry.items()
                   if name not in ("type", "name", "incoming")
                   and not (isinstance(value, dict) and "param" in value)}
        entries.append({
            "name": names[layer], "type": entry["type"],
            "reads": [names[order[place]] for place in entry["incoming"]],
            "output_shape": list(layer.output_shape),
            "arrays": list(arrays_of(layer, library)), **options})
    return {"format": "minifer-blueprint-1", "names": library,
            "classes": list(model.classes), "preprocessing": model.preprocessing,
            "notes": model.notes, "layers": entries}
