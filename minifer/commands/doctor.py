"""Is everything there, and does it work? minifer doctor [--json].

A line for each thing minifer uses: ok, absent (nothing needs it, you may want it), or
broken; and what to do about it. Exit code 1 if something that minifer needs is broken.
"""

import dataclasses
import json

from .. import doctor


def arguments(parser):
    """The options."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args):
    """Print what was found."""
    checks = doctor.examine()
    well = doctor.is_well(checks)
    if args.json:
        print(json.dumps({"ok": well, "checks": list(map(dataclasses.asdict, checks))},
                         indent=2))
    else:
        print(*checks, sep="\n")
        print("\nAll that minifer needs is there." if well else
              "\nSomething that minifer needs is broken: see above.")
    return 0 if well else 1
