#!/usr/bin/env bash
# Far from 0, Keras on PyTorch normalises a batch to nan, and Flax to hundreds.
#
# Guess before running: batch, group and layer norm of numbers like 10000 +- 1 are what
# they are of 0 +- 1, within some rounding, with Keras on every backend, and with Flax,
# as with PyTorch: float32 holds 10000 to 0.001, and a variance is that around the mean.
# Seen: it is the mean of the squares less the square of the mean, and float32 holds
# those, 100000000, to 8, so that what is left may be below 0. Keras on PyTorch takes
# the root of that: nan of BatchNormalization and GroupNormalization.
# LayerNormalization is right, and so are all three on JAX. Flax takes what is below 0
# for 0, and divides by the root of epsilon: outputs of hundreds, by BatchNorm and
# LayerNorm of nnx and linen, and by GroupNorm. use_fast_variance=False, which is not
# the default, has them right. PyTorch's own layers are right. At 100 +- 1 none of
# this shows.
#
# Versions: keras 3.15.1, torch 2.13.0, flax 0.12.8, jax 0.10.2, numpy 2.4.6,
# Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 \
    torch==2.13.0 flax==0.12.8 jax==0.10.2 numpy==2.4.6
cat > "$place/normalise.py" <<'PYTHON'
import sys

import jax
import keras
import numpy as np
import torch
from flax import linen, nnx

draw = np.random.default_rng(0)
eps = 1e-5


def in_keras(layer):
    return lambda x: keras.ops.convert_to_numpy(layer(x, training=True))


def in_torch(layer):
    return lambda x: layer(torch.from_numpy(x)).detach().numpy()


def in_linen(layer):
    return lambda x: np.asarray(layer.init_with_output(jax.random.key(0), x)[0])


def in_nnx(layer):
    return lambda x: np.asarray(layer(x))


kl, tn = keras.layers, torch.nn
told = {"epsilon": eps, "rngs": nnx.Rngs(0)}
slow = {"use_fast_variance": False, "epsilon": eps}
layers = {
    "keras batch": in_keras(kl.BatchNormalization(epsilon=eps)),
    "keras group": in_keras(kl.GroupNormalization(4, epsilon=eps)),
    "keras layer": in_keras(kl.LayerNormalization(epsilon=eps))}
if keras.backend.backend() == "jax":
    layers.update({
        "torch batch": in_torch(tn.BatchNorm1d(32)),
        "torch group": in_torch(tn.GroupNorm(4, 32)),
        "torch layer": in_torch(tn.LayerNorm(32)),
        "linen batch": in_linen(linen.BatchNorm(False, epsilon=eps)),
        "linen group": in_linen(linen.GroupNorm(4, epsilon=eps)),
        "linen layer": in_linen(linen.LayerNorm(epsilon=eps)),
        "nnx batch": in_nnx(nnx.BatchNorm(32, **told)),
        "nnx layer": in_nnx(nnx.LayerNorm(32, **told)),
        "linen batch, not fast": in_linen(linen.BatchNorm(False, **slow)),
        "linen layer, not fast": in_linen(linen.LayerNorm(**slow))})
noise = draw.normal(size=(64, 32))
for name, normalise in layers.items():
    found = []
    for mean in 0, 100, 10000:
        y = normalise((noise + mean).astype(np.float32))
        found.append("nan" if np.isnan(y).any() else "right" if abs(y).max() < 5
                     else "over 100" if abs(y).max() > 100 else "other")
    where = f" on {keras.backend.backend()}" if name.startswith("keras") else ""
    print(f"{name}{where}, of 0, 100 and 10000 +- 1:", *found)
PYTHON
expected='keras batch on torch, of 0, 100 and 10000 +- 1: right right nan
keras group on torch, of 0, 100 and 10000 +- 1: right right nan
keras layer on torch, of 0, 100 and 10000 +- 1: right right right
keras batch on jax, of 0, 100 and 10000 +- 1: right right right
keras group on jax, of 0, 100 and 10000 +- 1: right right right
keras layer on jax, of 0, 100 and 10000 +- 1: right right right
torch batch, of 0, 100 and 10000 +- 1: right right right
torch group, of 0, 100 and 10000 +- 1: right right right
torch layer, of 0, 100 and 10000 +- 1: right right right
linen batch, of 0, 100 and 10000 +- 1: right right over 100
linen group, of 0, 100 and 10000 +- 1: right right over 100
linen layer, of 0, 100 and 10000 +- 1: right right over 100
nnx batch, of 0, 100 and 10000 +- 1: right right over 100
nnx layer, of 0, 100 and 10000 +- 1: right right over 100
linen batch, not fast, of 0, 100 and 10000 +- 1: right right right
linen layer, not fast, of 0, 100 and 10000 +- 1: right right right'
seen=$(for backend in torch jax; do
    KERAS_BACKEND=$backend "$place/env/bin/python" "$place/normalise.py"
done)
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
