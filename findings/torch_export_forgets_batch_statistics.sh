#!/usr/bin/env bash
# PyTorch's ONNX exporter writes a batch norm by the batch as one by running averages.
#
# Guess before running: where the exporter takes batch_norm(..., training=True), the
# file computes mean and variance of each batch, as PyTorch does, in evaluation too.
# Seen: with running averages at hand the file normalises by these, whether optimised or
# not. Of a batch that PyTorch brings to 0 +- 1, the file makes 3 +- 6. No warning, no
# error. The older exporter (dynamo=False) is right, and so are both where there are no
# averages: batch_norm(x, None, None, training=True), or a BatchNorm2d with
# track_running_stats=False. A BatchNorm2d left in training mode is written by its
# averages, too, although the newer exporter warns (*) of the mode as if it stayed.
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
torch.manual_seed(0)
x = torch.randn(8, 3, 6, 6) * 3 + 1


class ByTheBatch(nn.Module):
    """Normalises each batch by itself, whatever its averages."""

    def __init__(self, averages):
        super().__init__()
        self.averages = averages
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("variance", torch.full((3,), .25))

    def forward(self, x):
        averages = (self.mean, self.variance) if self.averages else (None, None)
        return F.batch_norm(x, *averages, training=True)


def moments(y):
    """The largest mean and deviation of a channel."""
    mean, deviation = y.mean((0, 2, 3)), y.std((0, 2, 3))
    return f"{mean.abs().max():.0f} +- {deviation.max():.0f}"


def exported(network, options):
    """The same of what the file computes; * where the exporter warned of the mode."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.onnx.export(network, (x,), path, verbose=False, **options)
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    y = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    warned = any("in training mode" in str(one.message) for one in told)
    return moments(torch.tensor(y)) + "*" * warned


training = nn.BatchNorm2d(3).train()
training.running_var.fill_(.25)
for name, network in (
        ("batch_norm with averages", ByTheBatch(True).eval()),
        ("batch_norm without", ByTheBatch(False).eval()),
        ("BatchNorm2d without", nn.BatchNorm2d(3, track_running_stats=False).eval()),
        ("BatchNorm2d in training", training)):
    files = [exported(network, options) for options in (
        {"dynamo": True}, {"dynamo": True, "optimize": False}, {"dynamo": False})]
    print(f"{name}: PyTorch {moments(network(x).detach())};",
          "newer exporter {}, not optimised {}; older exporter {}".format(*files))
PYTHON
expected='batch_norm with averages: PyTorch 0 +- 1; newer exporter 3 +- 6, not optimised 3 +- 6; older exporter 0 +- 1
batch_norm without: PyTorch 0 +- 1; newer exporter 0 +- 1, not optimised 0 +- 1; older exporter 0 +- 1
BatchNorm2d without: PyTorch 0 +- 1; newer exporter 0 +- 1, not optimised 0 +- 1; older exporter 0 +- 1
BatchNorm2d in training: PyTorch 0 +- 1; newer exporter 3 +- 6*, not optimised 3 +- 6*; older exporter 3 +- 6'
seen=$("$place/env/bin/python" "$place/export.py" "$place/model.onnx" 2> /dev/null)
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
