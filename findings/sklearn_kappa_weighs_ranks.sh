#!/usr/bin/env bash
# scikit-learn's weighted kappa takes grades for closer where one between is missing.
#
# Guess before running: cohen_kappa_score(weights="quadratic") of grades weighs each
# disagreement by the square of its difference, so that to name the scale by labels, a
# grade that nobody gave included, changes nothing, as it changes nothing without
# weights.
# Seen: it weighs by places among the grades that occur. Where nobody gave 1, from 0
# to 2 is as far as from 2 to 3, and kappa is 0.73, where it is 0.76 by the grades; of
# the marks 1, 9 and 10, where 1 and 9 are as far apart as 9 and 10, it is 0.74, and
# 0.69 by the marks. Two folds, with and without a rare grade, are measured by two
# scales. No warning; labels= with all grades mends it.
#
# Versions: scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    scikit-learn==1.9.1 numpy==2.4.6
cat > "$place/kappa.py" <<'PYTHON'
import numpy as np
from sklearn.metrics import cohen_kappa_score


def by_grades(a, b, power):
    """Kappa by its definition: 1 - observed / expected disagreement."""
    a, b = np.array(a), np.array(b)

    def disagreement(difference):
        return (abs(difference) ** power if power else difference != 0).mean()

    return 1 - disagreement(a - b) / disagreement(a[:, None] - b)


for title, scale, a, b in (
        ("grades 0 to 3, no 1", range(4),
         [0, 0, 2, 3, 3, 3, 2, 0], [0, 2, 3, 3, 2, 3, 2, 0]),
        ("marks 1, 9, 10", range(1, 11), [1, 1, 10, 10, 9, 1], [1, 9, 10, 9, 9, 1])):
    for weights, power in (None, 0), ("linear", 1), ("quadratic", 2):
        plain = cohen_kappa_score(a, b, weights=weights)
        named = cohen_kappa_score(a, b, weights=weights, labels=scale)
        print(f"{title}, weights={weights}: {plain:.4f}, labels= {named:.4f},",
              f"by definition {by_grades(a, b, power):.4f}")
PYTHON
expected='grades 0 to 3, no 1, weights=None: 0.4419, labels= 0.4419, by definition 0.4419
grades 0 to 3, no 1, weights=linear: 0.5862, labels= 0.6279, by definition 0.6279
grades 0 to 3, no 1, weights=quadratic: 0.7273, labels= 0.7624, by definition 0.7624
marks 1, 9, 10, weights=None: 0.5200, labels= 0.5200, by definition 0.5200
marks 1, 9, 10, weights=linear: 0.6250, labels= 0.6582, by definition 0.6582
marks 1, 9, 10, weights=quadratic: 0.7391, labels= 0.6948, by definition 0.6948'
seen=$("$place/env/bin/python" "$place/kappa.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
