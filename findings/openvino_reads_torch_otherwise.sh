#!/usr/bin/env bash
# OpenVINO takes PyTorch's functions with settings that it then does not follow.
#
# Guess before running: openvino.convert_model of a PyTorch network gives PyTorch's
# numbers for what it takes, within rounding, and refuses what it has no form for.
# Seen: of whole numbers, // goes towards 0, so that -1 // 4 is 0 and not -1: places
# left of a centre fall into the bucket of those right of it. cdist and
# pairwise_distance with another p than 2 do not take absolute values: nan or too near,
# and cdist with p = inf is 1. softplus has neither its beta nor its threshold, std and
# var take a correction of 2 for 1, round has no decimals, embedding_bag counts its
# padding in. No error, no warning. A network from torch.export is right for softplus
# and pairwise_distance, and refused for std, var and round; the others are as wrong.
# Numbers in 8 bits stop at their limits, where PyTorch's go round.
#
# Versions: openvino 2026.4.1, torch 2.13.0, packaging 26.4, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    openvino==2026.4.1 torch==2.13.0 packaging==26.4 numpy==2.4.6
cat > "$place/functions.py" <<'PYTHON'
import numpy as np
import openvino
import torch
import torch.nn.functional as F
from torch import nn


class Function(nn.Module):
    """A function as a network."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *given):
        return self.function(*given)


def by_openvino(network, given, exported):
    """What OpenVINO computes of a network, traced or exported by PyTorch."""
    try:
        if exported:
            model = openvino.convert_model(torch.export.export(network, given))
        else:
            model = openvino.convert_model(network, example_input=given)
    except openvino.frontend.OpConversionFailure:
        return "refused"
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(model, "CPU", exact)
    return written(compiled([one.numpy() for one in given])[0])


def written(y):
    return " ".join(f"{one:.4g}" for one in np.ravel(y).astype(float))


whole, few = torch.tensor([-7, -1, 7]), torch.tensor([-1., 0, 3])
rows, row = torch.tensor([[0., 1, 2], [3, 5, 9]]), torch.tensor([[1., 1, 4]])
bags, table = torch.tensor([[0, 1], [2, 0]]), torch.tensor([[1.], [2], [4]])
bytes_ = torch.tensor([100, 200], dtype=torch.uint8)
for name, function, *given in (
        ("whole // 4", lambda x: x // 4, whole),
        ("whole % 4", lambda x: x % 4, whole),
        ("floats // 4", lambda x: x // 4, whole.float()),
        ("cdist, p = 1", lambda x, y: torch.cdist(x, y, p=1.), rows, row),
        ("cdist, p = 2", lambda x, y: torch.cdist(x, y, p=2.), rows, row),
        ("cdist, p = inf", lambda x, y: torch.cdist(x, y, p=float("inf")), rows, row),
        ("pairwise_distance, p = 1",
         lambda x, y: F.pairwise_distance(x, y, p=1.), rows, row.repeat(2, 1)),
        ("softplus", F.softplus, few),
        ("softplus, beta = 2", lambda x: F.softplus(x, 2.), few),
        ("softplus, threshold = 2", lambda x: F.softplus(x, 1., 2.), few),
        ("std, correction = 0", lambda x: x.std(1, correction=0), rows),
        ("std, correction = 1", lambda x: x.std(1, correction=1), rows),
        ("std, correction = 2", lambda x: x.std(1, correction=2), rows),
        ("var, correction = 2", lambda x: x.var(1, correction=2), rows),
        ("round, decimals = 1", lambda x: x.round(decimals=1), rows / 8),
        ("embedding_bag, padding_idx = 0", lambda i: F.embedding_bag(
            i, table, mode="mean", padding_idx=0), bags),
        ("uint8 + 100", lambda x: x + 100, bytes_)):
    network, given = Function(function).eval(), tuple(given)
    print(f"{name}: PyTorch {written(network(*given))};",
          f"OpenVINO {by_openvino(network, given, False)};",
          f"exported, OpenVINO {by_openvino(network, given, True)}")
PYTHON
expected='whole // 4: PyTorch -2 -1 1; OpenVINO -1 0 1; exported, OpenVINO -1 0 1
whole % 4: PyTorch 1 3 3; OpenVINO 1 3 3; exported, OpenVINO 1 3 3
floats // 4: PyTorch -2 -1 1; OpenVINO -2 -1 1; exported, OpenVINO -2 -1 1
cdist, p = 1: PyTorch 3 11; OpenVINO nan 11; exported, OpenVINO nan 11
cdist, p = 2: PyTorch 2.236 6.708; OpenVINO 2.236 6.708; exported, OpenVINO 2.236 6.708
cdist, p = inf: PyTorch 2 5; OpenVINO 1 1; exported, OpenVINO 1 1
pairwise_distance, p = 1: PyTorch 3 11; OpenVINO nan 11; exported, OpenVINO 3 11
softplus: PyTorch 0.3133 0.6931 3.049; OpenVINO 0.3133 0.6931 3.049; exported, OpenVINO 0.3133 0.6931 3.049
softplus, beta = 2: PyTorch 0.06346 0.3466 3.001; OpenVINO 0.3133 0.6931 3.049; exported, OpenVINO 0.06346 0.3466 3.001
softplus, threshold = 2: PyTorch 0.3133 0.6931 3; OpenVINO 0.3133 0.6931 3.049; exported, OpenVINO 0.3133 0.6931 3
std, correction = 0: PyTorch 0.8165 2.494; OpenVINO 0.8165 2.494; exported, OpenVINO 0.8165 2.494
std, correction = 1: PyTorch 1 3.055; OpenVINO 1 3.055; exported, OpenVINO 1 3.055
std, correction = 2: PyTorch 1.414 4.32; OpenVINO 1 3.055; exported, OpenVINO refused
var, correction = 2: PyTorch 2 18.67; OpenVINO 1 9.333; exported, OpenVINO refused
round, decimals = 1: PyTorch 0 0.1 0.2 0.4 0.6 1.1; OpenVINO 0 0 0 0 1 1; exported, OpenVINO refused
embedding_bag, padding_idx = 0: PyTorch 2 4; OpenVINO 1.5 2.5; exported, OpenVINO 1.5 2.5
uint8 + 100: PyTorch 200 44; OpenVINO 200 255; exported, OpenVINO 200 255'
seen=$("$place/env/bin/python" "$place/functions.py" 2> /dev/null)
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
