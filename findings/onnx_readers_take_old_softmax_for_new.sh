#!/usr/bin/env bash
# OpenCV, OpenVINO, tinygrad and ONNX's reference read the Softmax of old files as new.
#
# Guess before running: the version of the operators is in the file, so whoever reads it
# gives Softmax, LogSoftmax and Hardmax before version 13 their old meaning: one
# distribution over all axes from axis on, and axis is 1 unless told otherwise.
# Seen: ONNX Runtime and tract do. OpenCV, tinygrad and ONNX's own reference evaluator
# go along axis alone in files of any version; untold, the reference evaluator goes
# along the last axis, as version 13 does, and so do the others for some. OpenVINO is
# right for version 9, and for LogSoftmax and Hardmax of 12, but not for its Softmax. No
# error, no warning: of samples (3, 4) each has probabilities that sum to 4, or 3, and
# not to 1. Where axis is the last one, all meanings are the same, so that an
# output (N, classes) does not show it.
#
# Versions: onnx 1.23.2, onnxruntime 1.32.0, opencv-python-headless 5.0.0.93,
# openvino 2026.4.1, tinygrad 0.14.0, tract 0.23.9, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 \
    onnxruntime==1.32.0 opencv-python-headless==5.0.0.93 openvino==2026.4.1 \
    tinygrad==0.14.0 tract==0.23.9 numpy==2.4.6
cat > "$place/softmax.py" <<'PYTHON'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
import tract
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from tinygrad import Tensor
from tinygrad.nn.onnx import OnnxRunner

x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
path = sys.argv[1]


def write(op, opset, told):
    """A file of one node, whose axis is 1: that is written down, or the default."""
    value = helper.make_tensor_value_info
    made = helper.make_model(helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], **told)], op,
        [value("x", TensorProto.FLOAT, x.shape)],
        [value("y", TensorProto.FLOAT, x.shape)]),
        ir_version=7, opset_imports=[helper.make_opsetid("", opset)])
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, path)


def by_onnxruntime():
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def by_tract():
    return tract.onnx().load(path).into_model().into_runnable().run([x])[0].to_numpy()


def by_reference():
    return ReferenceEvaluator(path).run(None, {"x": x})[0]


def by_opencv():
    net = cv2.dnn.readNetFromONNX(path)
    net.setInput(x)
    return net.forward()


def by_openvino():
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(path, "CPU", exact)([x])[0]


def by_tinygrad():
    return OnnxRunner(path)({"x": Tensor(x)})["y"].numpy()


def formula(op, axes):
    """What the operator gives where a distribution goes over these axes."""
    if op == "Hardmax":
        return (x == x.max(axes, keepdims=True)).astype(np.float32)
    y = np.exp(x) / np.exp(x).sum(axes, keepdims=True)
    return np.log(y) if op == "LogSoftmax" else y


def axes(op, y):
    """The axes over which y sums to 1: "12" of the old meaning, "1" of the new."""
    return " or ".join(name for name, axes in (("12", (1, 2)), ("1", 1), ("2", 2))
                       if np.allclose(y, formula(op, axes), rtol=1e-5, atol=1e-5))


readers = by_onnxruntime, by_tract, by_openvino, by_reference, by_opencv, by_tinygrad
for op in "Softmax", "LogSoftmax", "Hardmax":
    for opset in 9, 12, 13:
        for told in ({"axis": 1}, {}) if opset < 13 else ({"axis": 1},):
            write(op, opset, told)
            print(op, opset, "told:" if told else "untold:",
                  *(f"{by.__name__[3:]} {axes(op, by())}" for by in readers))
PYTHON
expected='Softmax 9 told: onnxruntime 12 tract 12 openvino 12 reference 1 opencv 1 tinygrad 1
Softmax 9 untold: onnxruntime 12 tract 12 openvino 12 reference 2 opencv 1 tinygrad 1
Softmax 12 told: onnxruntime 12 tract 12 openvino 1 reference 1 opencv 1 tinygrad 1
Softmax 12 untold: onnxruntime 12 tract 12 openvino 1 reference 2 opencv 2 tinygrad 1
Softmax 13 told: onnxruntime 1 tract 1 openvino 1 reference 1 opencv 1 tinygrad 1
LogSoftmax 9 told: onnxruntime 12 tract 12 openvino 12 reference 1 opencv 1 tinygrad 1
LogSoftmax 9 untold: onnxruntime 12 tract 12 openvino 12 reference 2 opencv 1 tinygrad 2
LogSoftmax 12 told: onnxruntime 12 tract 12 openvino 12 reference 1 opencv 1 tinygrad 1
LogSoftmax 12 untold: onnxruntime 12 tract 12 openvino 12 reference 2 opencv 2 tinygrad 2
LogSoftmax 13 told: onnxruntime 1 tract 1 openvino 1 reference 1 opencv 1 tinygrad 1
Hardmax 9 told: onnxruntime 12 tract 12 openvino 12 reference 1 opencv 1 tinygrad 1
Hardmax 9 untold: onnxruntime 12 tract 12 openvino 12 reference 2 opencv 2 tinygrad 2
Hardmax 12 told: onnxruntime 12 tract 12 openvino 12 reference 1 opencv 1 tinygrad 1
Hardmax 12 untold: onnxruntime 12 tract 12 openvino 12 reference 2 opencv 2 tinygrad 2
Hardmax 13 told: onnxruntime 1 tract 1 openvino 1 reference 1 opencv 1 tinygrad 1'
# tinygrad computes in Python where there is no compiler.
seen=$(DEV=PYTHON XDG_CACHE_HOME="$place" "$place/env/bin/python" "$place/softmax.py" \
    "$place/model.onnx")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
