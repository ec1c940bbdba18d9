#!/usr/bin/env bash
# A matrix times a vector by @ holds Python's lock, by np.dot it does not.
#
# Guess before running: NumPy's products of floats let other threads run while BLAS
# works, whichever way they are written.
# Seen: during matrix @ vector, and np.matmul with a short result in general, no other
# thread of Python runs at all, however long it takes; np.dot of the same arrays, and
# matmul with a long result, let it run. So two threads that each multiply by a vector take
# turns. What decides is the number of results, up to 500 of them, and not the work for
# each: matmul is a generalised ufunc, which lets the lock go for many outputs only.
#
# Versions: numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
cat > "$place/lock.py" <<'PYTHON'
import threading
import time

import numpy as np

matrix, vector = np.ones((16, 1 << 22), np.float32), np.ones(1 << 22, np.float32)
square = np.ones((1500, 1500), np.float32)
turns, done = 0, False


def other():
    global turns
    while not done:
        turns += 1
        time.sleep(1e-4)


def runs_during(task):
    """Whether the other thread has more turns than those at the two ends."""
    before = turns
    task()
    return turns - before > 3


thread = threading.Thread(target=other)
thread.start()
for name, task in (("matrix @ vector", lambda: matrix @ vector),
                   ("np.dot(matrix, vector)", lambda: np.dot(matrix, vector)),
                   ("square @ square", lambda: square @ square)):
    print(f"{name}: another thread runs: {any(runs_during(task) for _ in range(5))}")
done = True
thread.join()
PYTHON
expected='matrix @ vector: another thread runs: False
np.dot(matrix, vector): another thread runs: True
square @ square: another thread runs: True'
seen=$(OPENBLAS_NUM_THREADS=1 "$place/env/bin/python" "$place/lock.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
