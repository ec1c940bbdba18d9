#!/usr/bin/env bash
# Keras's top-k accuracy counts every tie as a hit: a dead network has 100 %.
#
# Guess before running: of equal scores k count, as one does in argmax (which is what the
# accuracy of one class does) and in scikit-learn's top_k_accuracy_score: a network
# whose 7 scores are equal has a top-1 accuracy of 1/7.
# Seen: every class that no more than k - 1 others exceed is a hit. So 7 equal scores
# have a top-1 accuracy of 1. A softmax that is sure of a wrong class gives 1 to it and
# exact zeros to the others once its scores lie 104 apart: the true class ties for the
# second place, and the top-2 accuracy of a network that is always wrong is 1. Scores that
# are not a number, in a training that has gone astray, are hits as well, with jax.
#
# Versions: keras 3.15.1 on jax 0.10.2, scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    keras==3.15.1 jax==0.10.2 scikit-learn==1.9.1 numpy==2.4.6
cat > "$place/ties.py" <<'PYTHON'
import keras
import numpy as np
from sklearn.metrics import top_k_accuracy_score

classes = np.arange(7)
scores = np.zeros((7, 7), np.float32)
scores[classes, classes - 1] = 200  # sure of the class before the true one


def keras_says(metric, p):
    metric.update_state(classes, p)
    return f"{float(metric.result()):.2f}"


for title, p, k in (
        ("equal scores, k = 1", np.full((7, 7), 1 / 7, np.float32), 1),
        ("softmax sure of a wrong class, k = 1", keras.ops.softmax(scores), 1),
        ("softmax sure of a wrong class, k = 2", keras.ops.softmax(scores), 2),
        ("not a number, k = 1", np.full((7, 7), np.nan, np.float32), 1)):
    p = np.asarray(p)
    said = [keras_says(keras.metrics.SparseCategoricalAccuracy(), p), "top-k",
            keras_says(keras.metrics.SparseTopKCategoricalAccuracy(k=k), p)]
    if np.isfinite(p).all():
        said += [f"| scikit-learn top-k {top_k_accuracy_score(classes, p, k=k):.2f}"]
    print(f"{title}: keras accuracy", *said)
PYTHON
expected='equal scores, k = 1: keras accuracy 0.14 top-k 1.00 | scikit-learn top-k 0.14
softmax sure of a wrong class, k = 1: keras accuracy 0.00 top-k 0.00 | scikit-learn top-k 0.00
softmax sure of a wrong class, k = 2: keras accuracy 0.00 top-k 1.00 | scikit-learn top-k 0.14
not a number, k = 1: keras accuracy 0.14 top-k 1.00'
seen=$(KERAS_HOME="$place" KERAS_BACKEND=jax JAX_PLATFORMS=cpu \
    "$place/env/bin/python" "$place/ties.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
