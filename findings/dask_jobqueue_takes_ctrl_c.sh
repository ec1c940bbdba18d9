#!/usr/bin/env bash
# Importing dask-jobqueue takes Ctrl-C away from the program, which then ends with 0.
#
# Guess before running: importing a library leaves signal handlers as they were; Ctrl-C
# goes on raising KeyboardInterrupt, and a program that was stopped by it ends with 130.
# Seen: `import dask_jobqueue` replaces the handler of SIGINT, for good, by one that calls
# sys.exit(). Ctrl-C is then a SystemExit without a code: `except KeyboardInterrupt` is
# skipped, and a program that was stopped tells its caller 0, as if it had finished. The
# module dask_jobqueue/runner.py does so when it is imported; no cluster is needed.
#
# Versions: dask-jobqueue 0.9.0, distributed 2026.8.0, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    dask-jobqueue==0.9.0 distributed==2026.8.0
cat > "$place/program.py" <<'PYTHON'
import os
import signal
import sys
import time

if sys.argv[1] == "with":
    import dask_jobqueue
try:
    os.kill(os.getpid(), signal.SIGINT)  # what Ctrl-C does
    time.sleep(5)
except KeyboardInterrupt:
    print("KeyboardInterrupt: results are saved")
    sys.exit(130)
PYTHON
expected='without: KeyboardInterrupt: results are saved / 130
with:  / 0'
seen=$(for which in without with; do
    code=0
    said=$("$place/env/bin/python" "$place/program.py" $which) || code=$?
    echo "$which: $said / $code"
done)
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
