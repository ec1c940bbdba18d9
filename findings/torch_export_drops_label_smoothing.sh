#!/usr/bin/env bash
# PyTorch's ONNX exporter leaves label smoothing out of a loss.
#
# Guess before running: a network that ends with its loss, as it is exported to be
# fine-tuned or tested elsewhere, has PyTorch's loss in the file; what ONNX's
# SoftmaxCrossEntropyLoss cannot say is written in other operators, or refused.
# Seen: cross_entropy(..., label_smoothing=0.1) becomes a SoftmaxCrossEntropyLoss without
# smoothing: 0.12 for 0.32, whether optimised or not, and with each reduction and weights
# of classes. No error, no warning. The older exporter (dynamo=False) refuses it. Without
# smoothing the file is right.
#
# Versions: torch 2.13.0, onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0,
# numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 \
    onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/export.py" <<'PYTHON'
import sys
import warnings

import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn

path = sys.argv[1]
scores = torch.tensor([[4., 0, 0], [0, 3, 0], [0, 0, 2]])
classes = torch.arange(3)


class Loss(nn.Module):
    """The cross entropy, with settings."""

    def __init__(self, **settings):
        super().__init__()
        self.settings = settings

    def forward(self, scores, targets):
        return F.cross_entropy(scores, targets, **self.settings)


def exported(loss, given, **options):
    """What the file computes, or what the exporter says."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            torch.onnx.export(loss, given, path, verbose=False, **options)
        except torch.onnx.errors.SymbolicValueError:
            return "refused"
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    y = session.run(None, {n: one.numpy() for n, one in zip(names, given)})[0]
    warned = any("smooth" in str(one.message) for one in told)
    return f"{y.sum():.4f}" + "*" * warned


for name, settings in (
        ("no smoothing", {}),
        ("smoothing 0.1", {"label_smoothing": .1}),
        ("smoothing 0.5", {"label_smoothing": .5}),
        ("a sum", {"label_smoothing": .1, "reduction": "sum"}),
        ("each, summed up", {"label_smoothing": .1, "reduction": "none"}),
        ("weights", {"label_smoothing": .1, "weight": torch.tensor([1., 2, 3])})):
    loss = Loss(**settings).eval()
    found = [exported(loss, (scores, classes), **options) for options in (
        {"dynamo": True}, {"dynamo": True, "optimize": False}, {"dynamo": False})]
    print(f"{name}: PyTorch {loss(scores, classes).sum():.4f};",
          "newer exporter {}, not optimised {}; older exporter {}".format(*found))
PYTHON
# Where the older exporter refuses, it prints the graph first.
expected='no smoothing: PyTorch 0.1235; newer exporter 0.1235, not optimised 0.1235; older exporter 0.1235
smoothing 0.1: PyTorch 0.3235; newer exporter 0.1235, not optimised 0.1235; older exporter refused
smoothing 0.5: PyTorch 1.1235; newer exporter 0.1235, not optimised 0.1235; older exporter refused
a sum: PyTorch 0.9704; newer exporter 0.3704, not optimised 0.3704; older exporter refused
each, summed up: PyTorch 0.9704; newer exporter 0.3704, not optimised 0.3704; older exporter refused
weights: PyTorch 0.3651; newer exporter 0.1574, not optimised 0.1574; older exporter refused'
seen=$("$place/env/bin/python" "$place/export.py" "$place/model.onnx" 2> /dev/null |
       grep "older exporter")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
