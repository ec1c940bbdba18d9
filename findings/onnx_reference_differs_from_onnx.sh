#!/usr/bin/env bash
# ONNX's own reference evaluator does not do what ONNX's operators say.
#
# Guess before running: onnx.reference.ReferenceEvaluator gives what ONNX Runtime gives,
# for valid nodes; where the two differ, it is the one to believe.
# Seen: its RNN, GRU and LSTM take no notice of sequence_lens, without a word. Of a
# sequence that ends after one step, the last state is that after all three, and the
# output goes on where it should be 0. Its LRN normalises as many channels as there are
# images: of one image the first channel alone, and it raises an IndexError where there
# are more images than channels. ONNX Runtime does both as the operators are described.
#
# Versions: onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 \
    onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/reference.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

draw = np.random.default_rng(0)


def both(op, inputs, ranks, **attributes):
    """What ONNX Runtime and what the reference evaluator give."""
    kinds = {"lengths": TensorProto.INT32}
    names = [name for name in inputs if not name.startswith("no ")]
    graph = helper.make_graph(
        [helper.make_node(op, [name if name in names else "" for name in inputs],
                          [f"out{k}" for k in range(len(ranks))], **attributes)], op,
        [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT),
                                       inputs[name].shape) for name in names],
        [helper.make_tensor_value_info(f"out{k}", TensorProto.FLOAT, [None] * rank)
         for k, rank in enumerate(ranks)])
    model = helper.make_model(graph, ir_version=10,
                              opset_imports=[helper.make_opsetid("", 20)])
    onnx.checker.check_model(model, full_check=True)
    given = {name: inputs[name] for name in names}
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return session.run(None, given), ReferenceEvaluator(model).run(None, given)


def close(a, b):
    return bool(np.allclose(a, b, rtol=1e-5, atol=1e-6))


for op, gates in ("RNN", 1), ("GRU", 3), ("LSTM", 4):
    weights = {"x": draw.normal(size=(3, 2, 4)).astype(np.float32),  # steps, N, features
               "W": draw.normal(size=(1, gates * 5, 4)).astype(np.float32),
               "R": draw.normal(size=(1, gates * 5, 5)).astype(np.float32),
               "no B": None}
    outs = both(op, {**weights, "lengths": np.array([3, 1], np.int32)}, (4, 3),
                hidden_size=5)
    print(op, "of lengths 3 and 1: 0 after the end, last state is that of the end:",
          *(f"{who} {not out[2, 0, 1].any()}, {close(last[0, 1], out[0, 0, 1])};"
            for who, (out, last) in zip(("ONNX Runtime", "reference"), outs)))

for images in 1, 4, 6:
    x = draw.normal(size=(images, 6, 1, 1)).astype(np.float32)
    outs = both("LRN", {"x": x}, (4,), size=3, alpha=.5, beta=.7, bias=1.5)
    squares = np.pad(x ** 2, [(0, 0), (1, 1), (0, 0), (0, 0)])
    sums = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    right = x / (1.5 + .5 / 3 * sums) ** .7
    print("LRN of 6 channels,", images, "images; right channels:",
          *(f"{who} {sum(close(out[:, c], right[:, c]) for c in range(6))};"
            for who, (out,) in zip(("ONNX Runtime", "reference"), outs)))
PYTHON
expected="RNN of lengths 3 and 1: 0 after the end, last state is that of the end: ONNX Runtime True, True; reference False, False;
GRU of lengths 3 and 1: 0 after the end, last state is that of the end: ONNX Runtime True, True; reference False, False;
LSTM of lengths 3 and 1: 0 after the end, last state is that of the end: ONNX Runtime True, True; reference False, False;
LRN of 6 channels, 1 images; right channels: ONNX Runtime 6; reference 1;
LRN of 6 channels, 4 images; right channels: ONNX Runtime 6; reference 4;
LRN of 6 channels, 6 images; right channels: ONNX Runtime 6; reference 6;"
seen=$("$place/env/bin/python" "$place/reference.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
