"""Whether the tests pass with the kernels of every processor: make test-processors

NumPy and OpenBLAS pick their kernels by what the processor can do, and each kernel
rounds in a way of its own. They can be told to pick as on an older one, so all tests,
with them lessons and doctests, run here once for each pick:

native       as on this processor
avx2         as on one without AVX-512
haswell      OpenBLAS with AVX2, NumPy with what every processor has
zen          so on AMD's, if OpenBLAS makes a difference
mixed        OpenBLAS with AVX2, NumPy as it likes: where only OpenBLAS is told
skylakex     OpenBLAS with AVX-512, NumPy with what every processor has
sandybridge  OpenBLAS with AVX, NumPy with what every processor has: the oldest

What this processor cannot do is left out, and so is what picks the same once more.
--python and --oldest ask the same of other versions, in environments of their own.
Exit code 0: all passed; 1: a test failed.
"""

import argparse
import configparser
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
AVX, AVX2, AVX512 = "AVX|X86_V[34]", "AVX2|X86_V[34]", "AVX512|X86_V4"


class Kernels(NamedTuple):
    """How NumPy and OpenBLAS are told which kernels to pick.

    Attributes
    ----------
    core : str
        The processor that OpenBLAS shall take this one for.
    needs : str
        Pattern of features, by NumPy's names: with one of them it can do as that core.
    without : str
        Pattern of the features that NumPy shall not use; by default, of all.
    """

    core: str
    needs: str
    without: str = ""


SETTINGS = {"native": Kernels("", ""),
            "avx2": Kernels("Haswell", AVX512, without=AVX512),
            "haswell": Kernels("Haswell", AVX2),
            "zen": Kernels("Zen", AVX2),
            "mixed": Kernels("Haswell", AVX512, without="$^"),  # none
            "skylakex": Kernels("SkylakeX", AVX512),
            "sandybridge": Kernels("Sandybridge", AVX)}

#: Run by any Python, prints its version and what NumPy and OpenBLAS picked there.
PICKS = """
import json, platform, numpy, scipy.linalg, threadpoolctl
simd = numpy.show_config(mode="dicts")["SIMD Extensions"]
always, found = simd.get("baseline", ["-"]), simd.get("found", [])
blas = {pool["architecture"] for pool in threadpoolctl.threadpool_info()
        if pool["internal_api"] == "openblas"}
print(json.dumps({"Python": platform.python_version(), "NumPy": numpy.__version__,
                  "features": found, "kernels": [*always, *found][-1],
                  "OpenBLAS": "/".join(sorted(blas))}))
"""


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--setting", action="append", choices=SETTINGS, default=[],
                        help="run with this one; may be repeated (default: all)")
    parser.add_argument("--python", action="append", metavar="PATH", default=[],
                        help="run with this Python; may be repeated")
    parser.add_argument("--oldest", metavar="PATH",
                        help="run with this Python and the oldest versions that "
                             "setup.cfg allows")
    parser.add_argument("pytest", nargs="*", metavar="-- FILE",
                        help="what pytest shall run, and its options (default: all)")
    options = parser.parse_args(argv)
    rows = []
    for name, python, env in asked_for(options):
        picked = picks(python, env)
        features = picked.pop("features")
        if any(picked.items() <= row.items() for row in rows):
            print(f"\n{name}: picks the same kernels once more")
            continue
        print(f"\n{name}:", picked, "of", features, flush=True)
        rows.append({"setting": name, **picked, **tested(python, env, options.pytest)})
    if rows:
        print_table(rows)
    sys.exit(any(row["failed"] or not row["passed"] for row in rows))


def asked_for(options):
    """Name, Python and environment variables of each run."""
    others = options.python or options.oldest
    features = picks(sys.executable, os.environ)["features"]
    for name in options.setting or ([] if others else SETTINGS):
        core, needs, without = SETTINGS[name]
        if not core:
            yield name, sys.executable, os.environ
        elif any(re.match(needs, feature) for feature in features):
            yield name, sys.executable, os.environ | {
                "OPENBLAS_CORETYPE": core, "NPY_DISABLE_CPU_FEATURES": " ".join(
                    one for one in features if re.match(without, one))}
        else:
            print(f"\n{name}: this processor cannot do that")
    for path in options.python:
        yield "python", installed(path), os.environ
    if options.oldest:
        yield "oldest", installed(options.oldest, oldest=True), os.environ


def picks(python, env):
    """What NumPy and OpenBLAS pick in this environment, as ``PICKS`` prints it."""
    return json.loads(subprocess.check_output([python, "-c", PICKS], env=env))


def installed(python, oldest=False):
    """An environment with minifer and what its tests need, made by this Python."""
    version = subprocess.check_output(
        [python, "-c", "import platform; print(platform.python_version())"], text=True)
    folder = ROOT / f".venv-{version.strip()}{'-oldest' if oldest else ''}"
    subprocess.run([python, "-m", "venv", folder], check=True)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(oldest_versions() if oldest else []))
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet",
                    "--disable-pip-version-check", "-c", constraints, "-e", ".[dev]"],
                   cwd=ROOT, check=True)
    return folder / "bin" / "python"


def oldest_versions():
    """The requirements of setup.cfg, each with its lower bound as the version."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", "utf-8")
    extras = settings["options.extras_require"]
    text = "\n".join([settings["options"]["install_requires"],
                      *(extras[name] for name in ("dev", "docs", "nvrtc"))])
    bounds = re.findall(r"^([\w-]+)>=([\d.]+)", text, re.M)
    # matplotlib of that age calls pyparsing by names that 3.3 warns of
    return [f"{name}=={version}" for name, version in bounds] + ["pyparsing<3.3"]


def tested(python, env, arguments):
    """Counts of the tests that passed, were skipped and failed, and the seconds."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "junit.xml"
        subprocess.run([python, "-m", "pytest", "-n", "auto", "--dist", "loadfile",
                        "-p", "no:cacheprovider", f"--junitxml={path}", *arguments],
                       cwd=ROOT, env=env)
        suite = next(xml.etree.ElementTree.parse(path).getroot().iter("testsuite"))
    total, failures, errors, skipped = (
        int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped"))
    failed = failures + errors
    return {"passed": total - failed - skipped, "skipped": skipped, "failed": failed,
            "seconds": round(time.monotonic() - start)}


def print_table(rows):
    """In columns as wide as their widest cell."""
    cells = [list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    print()
    for line in cells:
        print("  ".join(map(str.ljust, line, widths)).rstrip())


if __name__ == "__main__":
    main()
