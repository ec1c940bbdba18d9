#!/usr/bin/env bash
# tract computes a recurrent layer that goes backwards as one that goes forwards.
#
# Guess before running: of single nodes in usual settings tract gives what ONNX Runtime
# gives, for those that it takes.
# Seen: LSTM, GRU and RNN with direction="reverse" give, without a word, what
# direction="forward" gives. Both halves of "bidirectional" are right, and so are the
# other settings tried, so that a network passes its test until someone turns a layer
# round. Celu is right for alpha = 1 only.
#
# Versions: tract 0.23.9, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    tract==0.23.9 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/reverse.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import tract
from onnx import TensorProto, helper, numpy_helper

draw = np.random.default_rng(0)
x = draw.normal(size=(5, 2, 4)).astype(np.float32)  # steps, sequences, features
path = sys.argv[1]


def both(op, weights, shape, **attributes):
    """What ONNX Runtime and what tract give."""
    value = helper.make_tensor_value_info
    made = helper.make_model(helper.make_graph(
        [helper.make_node(op, ["x", *weights], ["y"], **attributes)], op,
        [value("x", TensorProto.FLOAT, x.shape)], [value("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()]),
        ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    runnable = tract.onnx().load(path).into_model().into_runnable()
    return session.run(None, {"x": x})[0], runnable.run([x])[0].to_numpy()


def close(a, b):
    return np.allclose(a, b, rtol=1e-4, atol=1e-5)


for op, gates in ("LSTM", 4), ("GRU", 3), ("RNN", 1):
    weights = {"W": (2, gates * 3, 4), "R": (2, gates * 3, 3), "B": (2, gates * 6)}
    weights = {name: draw.normal(size=shape).astype(np.float32)
               for name, shape in weights.items()}
    right, seen = both(op, weights, (5, 2, 2, 3), hidden_size=3,
                       direction="bidirectional")
    told = [f"{op}: bidirectional right {close(seen, right)},"]
    one = {name: array[:1] for name, array in weights.items()}
    forward, seen = both(op, one, (5, 1, 2, 3), hidden_size=3, direction="forward")
    told += [f"forward right {close(seen, forward)},"]
    right, seen = both(op, one, (5, 1, 2, 3), hidden_size=3, direction="reverse")
    print(*told, f"reverse right {close(seen, right)}, is forward {close(seen, forward)}")
for alpha in 1., 2.:
    right, seen = both("Celu", {}, x.shape, alpha=alpha)
    print(f"Celu, alpha {alpha}: right {close(seen, right)}")
PYTHON
expected='LSTM: bidirectional right True, forward right True, reverse right False, is forward True
GRU: bidirectional right True, forward right True, reverse right False, is forward True
RNN: bidirectional right True, forward right True, reverse right False, is forward True
Celu, alpha 1.0: right True
Celu, alpha 2.0: right False'
seen=$("$place/env/bin/python" "$place/reverse.py" "$place/model.onnx")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
