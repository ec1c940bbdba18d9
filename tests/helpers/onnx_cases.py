"""ONNX's own cases of single operators, through minifer's layers.

``python tests/helpers/onnx_cases.py`` prints the table, operator by operator; with
names of operators behind it also why cases are refused.
"""

import collections
import sys
import warnings

import numpy as np

from minifer import layers
from minifer.errors import MiniferError
from minifer.foreign.onnx.reading.model import network_of
from minifer.foreign.onnx.reading.tables import TABLE


def cases():
    """All node cases of the installed package whose operators minifer has."""
    from onnx.backend.test.case.node import collect_testcases
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    return [one for one in found if one.model is not None
            and {node.op_type for node in one.model.graph.node} <= set(TABLE)]


def title(case):
    """Its operator, or those that a composed one is made of."""
    ops = sorted({node.op_type for node in case.model.graph.node})
    return ops[0] if len(ops) == 1 else "composed of several"


def outcome(case):
    """What becomes of a case.

    Returns
    -------
    verdict : {'passed', 'refused', 'wrong'}
    why : str
    """
    why = ""
    for data in case.data_sets:
        inputs, outputs = ([np.asarray(x) if isinstance(x, np.generic) else x
                            for x in some] for some in data)
        verdict, why = _of_one(case, inputs, outputs)
        if verdict != "passed":
            return verdict, why
    return "passed", why


def _of_one(case, inputs, outputs):
    reasons = []
    for bound in ((), range(1, len(inputs)), range(len(inputs) - 1)):
        model = _with_weights(case.model, inputs, bound)
        if model is None:
            continue
        try:
            network = network_of(model)
        except MiniferError as error:
            reasons.append(str(error))
            continue
        return _compared(case, network, dict(zip(
            [one.name for one in case.model.graph.input], inputs)), outputs)
    return "refused", " | ".join(dict.fromkeys(reasons)) or "no arrays"


def _with_weights(model, inputs, bound):
    """The model with some of its inputs as weights."""
    import onnx
    if not all(isinstance(x, np.ndarray) for x in inputs):
        return None
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for place in bound:
        copy.graph.initializer.append(onnx.numpy_helper.from_array(
            inputs[place], copy.graph.input[place].name))
    return copy


def _compared(case, network, arrays, expected):
    network = network if isinstance(network, list) else [network]
    sources = [one for one in layers.get_all_layers(network)
               if isinstance(one, layers.InputLayer)]
    if not sources:
        return "refused", "nothing is left to compute"
    with np.errstate(all="ignore"):
        found = layers.get_output(network, {one: arrays[one.name] for one in sources},
                                  deterministic=True)
    if len(found) != len(expected):
        return "wrong", f"{len(found)} outputs for {len(expected)}"
    for y, want in zip(found, expected):
        if y.shape != want.shape or y.dtype != want.dtype:
            return "wrong", f"{y.dtype} {y.shape} for {want.dtype} {want.shape}"
        if not np.allclose(y, want, case.rtol, case.atol, equal_nan=True):
            return "wrong", f"off by {np.nanmax(np.abs(y - want)):.3g}"
    return "passed", ""


def main(words):
    """Print the table."""
    table, why = collections.defaultdict(collections.Counter), {}
    for case in cases():
        try:
            verdict, reason = outcome(case)
        except Exception as error:  # a fault of ours, which is counted
            verdict, reason = "wrong", f"{type(error).__name__}: {error}"
        table[title(case)][verdict] += 1
        why[case.name] = (title(case), verdict, reason)
    print(f"{'operator':<28}passed refused  wrong")
    for op, counts in sorted(table.items()):
        print(f"{op:<28}" + "".join(f"{counts[one]:>7}" for one in (
            "passed", "refused", "wrong")))
    total = sum(table.values(), collections.Counter())
    print(f"{'all ' + str(sum(total.values())):<28}" + "".join(
        f"{total[one]:>7}" for one in ("passed", "refused", "wrong")))
    for name, (op, verdict, reason) in why.items():
        if verdict == "wrong" or op in words and verdict == "refused":
            print(f"{verdict} {name}: {reason}")


if __name__ == "__main__":
    main(sys.argv[1:])
