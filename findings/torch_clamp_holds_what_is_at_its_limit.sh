#!/usr/bin/env bash
# PyTorch's hardtanh and relu6 hold for ever what stands at a limit, clamp lets it go.
#
# Guess before running: clamp(x, -1, 1), hardtanh(x) and minimum and maximum of tensors
# are one function, in several spellings, and so are relu6(x) and clamp(x, 0, 6); their
# gradients are the same, too, at the limits as elsewhere.
# Seen: the values are the same everywhere. Exactly at a limit the gradient is 1 by
# clamp, 0 by hardtanh and relu6, and 1/2 by minimum and maximum, which share a tie;
# of relu and clamp(x, min=0) at 0 likewise. Numbers do stand there: white and black
# pixels do, and so do weights that a step may not take out of [-1, 1]. Of two weights
# that were driven to 1, and are to come back to 0.3, those under clamp do, those
# under hardtanh never do.
#
# Versions: torch 2.13.0, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 numpy==2.4.6
cat > "$place/clamp.py" <<'PYTHON'
import torch
import torch.nn.functional as F

zero, one, six, minus = (torch.tensor(n) for n in (0., 1., 6., -1.))
spellings = {
    (-2., -1., 0., 1., 2.): {
        "clamp": lambda x: x.clamp(-1, 1), "hardtanh": F.hardtanh,
        "minimum, maximum": lambda x: x.minimum(one).maximum(minus)},
    (-1., 0., 3., 6., 7.): {
        "clamp": lambda x: x.clamp(0, 6), "relu6": F.relu6,
        "minimum, maximum": lambda x: x.minimum(six).maximum(zero)},
    (-1., 0., 1.): {
        "clamp": lambda x: x.clamp(min=0), "relu": F.relu,
        "maximum": lambda x: x.maximum(zero)}}
for at, functions in spellings.items():
    values = set()
    for name, function in functions.items():
        x = torch.tensor(at, requires_grad=True)
        y = function(x)
        y.sum().backward()
        values.add(tuple(y.tolist()))
        print(f"{name} at", *at, "has the gradient", *x.grad.tolist())
    print("the same values:", len(values) == 1)

for name, function in ("clamp", lambda w: w.clamp(-1, 1)), ("hardtanh", F.hardtanh):
    w = torch.nn.Parameter(torch.tensor([0., .5]))
    steps = torch.optim.SGD([w], lr=.25)
    for target in [2.] * 10 + [.3] * 50:
        steps.zero_grad()
        ((function(w) - target) ** 2).sum().backward()
        steps.step()
        with torch.no_grad():
            w.clamp_(-1, 1)
    print(f"weights under {name} are", *(f"{one:.2f}" for one in w.tolist()))
PYTHON
expected='clamp at -2.0 -1.0 0.0 1.0 2.0 has the gradient 0.0 1.0 1.0 1.0 0.0
hardtanh at -2.0 -1.0 0.0 1.0 2.0 has the gradient 0.0 0.0 1.0 0.0 0.0
minimum, maximum at -2.0 -1.0 0.0 1.0 2.0 has the gradient 0.0 0.5 1.0 0.5 0.0
the same values: True
clamp at -1.0 0.0 3.0 6.0 7.0 has the gradient 0.0 1.0 1.0 1.0 0.0
relu6 at -1.0 0.0 3.0 6.0 7.0 has the gradient 0.0 0.0 1.0 0.0 0.0
minimum, maximum at -1.0 0.0 3.0 6.0 7.0 has the gradient 0.0 0.5 1.0 0.5 0.0
the same values: True
clamp at -1.0 0.0 1.0 has the gradient 0.0 1.0 1.0
relu at -1.0 0.0 1.0 has the gradient 0.0 0.0 1.0
maximum at -1.0 0.0 1.0 has the gradient 0.0 0.5 1.0
the same values: True
weights under clamp are 0.30 0.30
weights under hardtanh are 1.00 1.00'
seen=$("$place/env/bin/python" "$place/clamp.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
