#!/usr/bin/env bash
# OPENBLAS_CORETYPE=Zen gives no kernels for AMD's Zen in NumPy's wheels.
#
# Guess before running: OpenBLAS lists Zen among its core types, so a process told
# "Zen" runs kernels of that name, as one told "Haswell" or "SkylakeX" does.
# Seen: it runs Haswell's and says nothing; asked afterwards, it calls itself Haswell.
# So timing or testing "on Zen" by this variable repeats the run on Haswell.
#
# Versions: numpy 2.4.6 (x86-64 wheel, its own OpenBLAS), threadpoolctl 3.6.0 and
# Python 3.11 or newer, on a processor with AVX2.
# Exit code 0: as described; 1: it has changed; 2: it cannot be tried here.
set -euo pipefail
grep -qw avx2 /proc/cpuinfo || { echo "needs an x86-64 processor with AVX2"; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  numpy==2.4.6 threadpoolctl==3.6.0
core() {
  OPENBLAS_CORETYPE=$1 "$folder/venv/bin/python" -c '
import numpy, threadpoolctl
print(*{pool["architecture"] for pool in threadpoolctl.threadpool_info()})'
}
status=0
for pair in Zen:Haswell Haswell:Haswell Sandybridge:Sandybridge; do
  asked=${pair%:*} expected=${pair#*:} got=$(core "${pair%:*}")
  echo "asked for $asked: $got"
  [ "$got" = "$expected" ] || { echo "expected $expected: it has changed"; status=1; }
done
exit $status
