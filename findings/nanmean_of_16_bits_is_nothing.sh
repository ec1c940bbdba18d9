#!/usr/bin/env bash
# The nanmean of many float16 is 0, in PyTorch, JAX and NumPy; their mean is right.
#
# Guess before running: nanmean without a nan is mean, in 16 bits as in 32; all three
# libraries add float16 up in 32 bits. Pixels, or losses, drawn evenly from 0 to 1 have
# a mean of 0.5 and a deviation of 0.289, of a thousand as of a million.
# Seen: torch.nanmean and jnp.nanmean add up in 32 bits, and count in 16. From about
# 65500 numbers on that count is infinite, and the mean is 0, without a warning; once
# the sum is above 65504, too, it is nan. np.nanmean adds up in 16 bits: along the first axis of
# a data set its sum stands still, and the mean falls from 0.2 of ten thousand to 0.002
# of a million. np.std and np.var do likewise, which np.mean does not: 0.36 of ten
# thousand, 0.17 of seventy thousand, 0.045 of a million, with no warning either, and
# infinite over all at once. With float32, or dtype=np.float32, all are right.
#
# Versions: numpy 2.4.6, torch 2.13.0, jax 0.10.2, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 torch==2.13.0 jax==0.10.2
cat > "$place/nanmean.py" <<'PYTHON'
import warnings

import jax.numpy as jnp
import numpy as np
import torch


def show(name, *found):
    print(name, *(f"{float(np.ravel(one)[0]):.2g}" for one in found), sep="; ")


print("samples; mean of NumPy, PyTorch, JAX; nanmean of these; std of these")
for number in 1_000, 10_000, 60_000, 70_000, 1_000_000:
    x = np.random.default_rng(0).random((number, 3)).astype(np.float16)
    t = torch.tensor(x)
    show(number, x.mean(axis=0), t.mean(dim=0), jnp.mean(x, axis=0),
         np.nanmean(x, axis=0), t.nanmean(dim=0), jnp.nanmean(x, axis=0),
         np.std(x, axis=0), t.std(dim=0), jnp.std(x, axis=0))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        np.nanmean(x, axis=0), np.std(x, axis=0)
    assert not told
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    show("over all: std, in 32 bits", np.std(x), np.std(x, dtype=np.float32))
x, t = x.astype(np.float32), t.float()
show("float32", np.nanmean(x, axis=0), t.nanmean(dim=0), jnp.nanmean(x, axis=0),
     np.std(x, axis=0))
PYTHON
expected='samples; mean of NumPy, PyTorch, JAX; nanmean of these; std of these
1000; 0.49; 0.49; 0.49; 0.49; 0.49; 0.49; 0.29; 0.3; 0.3
10000; 0.51; 0.51; 0.51; 0.2; 0.51; 0.51; 0.36; 0.29; 0.29
60000; 0.5; 0.5; 0.5; 0.034; 0.5; 0.5; 0.18; 0.29; 0.29
70000; 0.5; 0.5; 0.5; 0.029; 0; 0; 0.17; 0.29; 0.29
1000000; 0.5; 0.5; 0.5; 0.002; nan; nan; 0.045; 0.29; 0.29
over all: std, in 32 bits; inf; 0.29
float32; 0.5; 0.5; 0.5; 0.29'
seen=$("$place/env/bin/python" "$place/nanmean.py" 2> /dev/null)
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
