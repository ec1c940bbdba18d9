#!/usr/bin/env bash
# One probability that rounding puts above 1 has TorchMetrics squash the whole batch.
#
# Guess before running: a probability of 1.0000001, as the sum of ten times a tenth is in
# 32 bits, moves a metric by 1e-7 or is refused. That scores outside of 0 to 1 get a
# sigmoid or softmax is documented; such a sum is hardly meant.
# Seen: a single number above 1, by however little, makes scores of the whole batch. Four
# right answers, 1, 0.3, 0.2 and 0.1: averaged over ten equal networks as a sum of tenths
# their accuracy is 0.25, since a sigmoid of 0 and more is at least a half. Averaged by
# mean() it is 1. Of several classes the calibration error is another; areas under curves
# mix both kinds where batches differ. 11 numbers of networks up to 32 have such a sum.
# The other way round, a batch of scores that happen to lie in 0 to 1 stays as it is.
#
# Versions: torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
cat > "$place/average.py" <<'PYTHON'
import torch
from torchmetrics.classification import (BinaryAccuracy, BinaryAUROC,
                                         BinaryCalibrationError, BinaryF1Score,
                                         MulticlassCalibrationError)


def by_mean(p, n):
    return torch.stack([p] * n).mean(0)


def by_sum(p, n):
    return sum(p * (1 / n) for _ in range(n))


p, target = torch.tensor([1, .3, .2, .1]), torch.tensor([1, 0, 0, 0])
# Two batches: in the second no probability is as large as 1.
second, second_target = torch.tensor([.55, .2, .1]), torch.tensor([1, 0, 0])
faces = torch.tensor([[1, 0, 0], [.9, .05, .05], [.1, .8, .1]])
classes = torch.tensor([0, 0, 1])
for average in by_mean, by_sum:
    seen = [f"{metric.__name__[6:]} {float(metric()(average(p, 10), target)):.3f}"
            for metric in (BinaryAccuracy, BinaryF1Score, BinaryCalibrationError)]
    area = BinaryAUROC()
    area.update(average(p, 10), target)
    area.update(average(second, 10), second_target)
    error = float(MulticlassCalibrationError(3)(average(faces, 10), classes))
    print(f"{average.__name__}, first is {float(average(p, 10)[0]):.7f}:", *seen,
          f"| two batches AUROC {float(area.compute()):.3f}",
          f"| three classes CalibrationError {error:.3f}")
print("networks whose sure answers sum to more than 1:",
      *[n for n in range(1, 33) if by_sum(torch.tensor(1.), n) > 1])
scores = torch.tensor([.2, .4, .3])  # all above 0: all of class 1
print("scores in 0 to 1: Accuracy", float(BinaryAccuracy()(scores, torch.ones(3).int())),
      "| ten times as large", float(BinaryAccuracy()(10 * scores, torch.ones(3).int())))
PYTHON
expected='by_mean, first is 1.0000000: Accuracy 1.000 F1Score 1.000 CalibrationError 0.150 | two batches AUROC 1.000 | three classes CalibrationError 0.100
by_sum, first is 1.0000001: Accuracy 0.250 F1Score 0.400 CalibrationError 0.480 | two batches AUROC 0.900 | three classes CalibrationError 0.461
networks whose sure answers sum to more than 1: 10 11 14 18 20 22 24 25 26 29 30
scores in 0 to 1: Accuracy 0.0 | ten times as large 1.0'
seen=$("$place/env/bin/python" "$place/average.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
