#!/usr/bin/env bash
# Keras averages weights once a batch, also where it changes them every few batches.
#
# Guess before running: with gradient_accumulation_steps=k, whose weights change once in
# k batches, the moving average of use_ema=True moves once in k batches, too: a larger
# batch in k parts is trained as in one. The documentation of gradient_accumulation_steps
# says that the average looks at the accumulated count.
# Seen: the average moves at every batch. In k batches it so moves k times towards the
# same weights, so that ema_momentum is to the power of k: 0.99 with k = 8 is 0.923, and
# what fit() leaves averages over an eighth of the updates. Weights 1, 2, 3 after the
# updates, momentum 0.5: 2.25 without accumulation, 2.375 with k = 2, 2.46875 with k = 4.
#
# Versions: keras 3.15.1 on jax 0.10.2, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    keras==3.15.1 jax==0.10.2 numpy==2.4.6
cat > "$place/average.py" <<'PYTHON'
import keras
import numpy as np

for k in None, 2, 4:
    batches = 3 * (k or 1)
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(
        1, use_bias=False, kernel_initializer="zeros")])
    weights = []
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: (
        weights.append(float(network.get_weights()[0][0, 0]))))
    network.compile(
        keras.optimizers.SGD(1., use_ema=True, ema_momentum=.5,
                             gradient_accumulation_steps=k),
        loss=lambda target, y: -y)  # of inputs of 1: a gradient of -1, whatever the weight
    ones = np.ones((batches, 1), np.float32)
    network.fit(ones, ones, batch_size=1, verbose=0)
    print(f"gradient_accumulation_steps {k}: average of 3 updates",
          network.get_weights()[0][0, 0])
PYTHON
expected='gradient_accumulation_steps None: average of 3 updates 2.25
gradient_accumulation_steps 2: average of 3 updates 2.375
gradient_accumulation_steps 4: average of 3 updates 2.46875'
seen=$(KERAS_HOME="$place" KERAS_BACKEND=jax JAX_PLATFORMS=cpu \
    "$place/env/bin/python" "$place/average.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
