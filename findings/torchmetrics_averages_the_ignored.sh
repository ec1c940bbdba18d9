#!/usr/bin/env bash
# TorchMetrics leaves an ignored class out of the samples, and averages its zero in.
#
# Guess before running: ignore_index=2 takes the samples of class 2 away, and average=
# "macro" is the mean over the classes that are left, as in scikit-learn with labels=[0, 1].
# Seen: if the network answers 2 once, for a sample of another class, that is a class
# without right answers: F1, accuracy, precision and recall count a zero for it, so that
# two classes are divided by three. A network that never answers 2 has the mean over two.
# The Jaccard index of the same library leaves the ignored class out, whatever is answered.
# What was to be ignored costs as much as a class of which all is wrong, and whether it
# does depends on a single answer.
#
# Versions: torchmetrics 1.9.0, torch 2.13.0, scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    torchmetrics==1.9.0 torch==2.13.0 scikit-learn==1.9.1 numpy==2.4.6
cat > "$place/ignore.py" <<'PYTHON'
import torch
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score
from torchmetrics.classification import (MulticlassAccuracy, MulticlassF1Score,
                                         MulticlassJaccardIndex, MulticlassPrecision,
                                         MulticlassRecall)

target = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
left = target != 2
for title, third in ("2 is answered once", 2), ("2 is never answered", 1):
    answers = torch.tensor([0, 0, 0, third, 1, 1, 1, 1, 2, 1])
    print(f"{title}:")
    for metric, other in ((MulticlassF1Score, f1_score),
                          (MulticlassAccuracy, recall_score),
                          (MulticlassPrecision, precision_score),
                          (MulticlassRecall, recall_score),
                          (MulticlassJaccardIndex, jaccard_score)):
        macro, each = (metric(num_classes=3, ignore_index=2, average=how)(answers, target)
                       for how in ("macro", "none"))
        right = other(target[left], answers[left], labels=[0, 1], average="macro")
        print(f"  {metric.__name__[10:]}: of classes 0 and 1",
              " ".join(f"{float(one):.3f}" for one in each[:2]),
              f"macro {float(macro):.3f} | scikit-learn {right:.3f}")
PYTHON
expected='2 is answered once:
  F1Score: of classes 0 and 1 0.857 1.000 macro 0.619 | scikit-learn 0.929
  Accuracy: of classes 0 and 1 0.750 1.000 macro 0.583 | scikit-learn 0.875
  Precision: of classes 0 and 1 1.000 1.000 macro 0.667 | scikit-learn 1.000
  Recall: of classes 0 and 1 0.750 1.000 macro 0.583 | scikit-learn 0.875
  JaccardIndex: of classes 0 and 1 0.750 1.000 macro 0.875 | scikit-learn 0.875
2 is never answered:
  F1Score: of classes 0 and 1 0.857 0.889 macro 0.873 | scikit-learn 0.873
  Accuracy: of classes 0 and 1 0.750 1.000 macro 0.875 | scikit-learn 0.875
  Precision: of classes 0 and 1 1.000 0.800 macro 0.900 | scikit-learn 0.900
  Recall: of classes 0 and 1 0.750 1.000 macro 0.875 | scikit-learn 0.875
  JaccardIndex: of classes 0 and 1 0.750 0.800 macro 0.775 | scikit-learn 0.775'
seen=$("$place/env/bin/python" "$place/ignore.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
