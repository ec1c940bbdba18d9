"""Check an exercise: minifer check [NAME [FILE]].

  minifer check                      lists the exercises
  minifer check conv                 says what to write, and shows a template
  minifer check conv --template conv.py      writes the template into a new file
  minifer check conv conv.py         runs your file, and says what is wrong

The checks come in an order: the file loads; shapes and types; values, against
minifer's own; gradients, measured by small steps in float64; inputs not changed in
place; and the time it takes, beside minifer's. The first one that fails ends it, and
where the result is that of a known mistake, the mistake is named.

The file runs in a process of its own, with limits of time (--limit), memory (--memory),
prints (1 MB) and written files (256 MiB each); on Windows with those of time and prints
alone. At the end that process and all that it has started are ended, even those that
have left its group where there is /proc. Results are signed, so that what the file
prints or writes to open descriptors is not taken for one. It is not a sandbox: the file
can read, write and send whatever you can, its processes have each a limit of their own,
and cunning code could change the checks that run beside it. Read another person's file
before you run it, and give marks for what you have read.

Exit code: 0 all passed, 1 a check failed, 2 wrong use.
"""

import json

from .. import exercises
from ..errors import SettingError
from ..files import open_file, write_new


def arguments(parser):
    """Add the options."""
    add = parser.add_argument
    add("name", nargs="?", choices=exercises.EXERCISES, metavar="NAME",
        help="exercise: " + ", ".join(exercises.EXERCISES))
    add("file", nargs="?", metavar="FILE", help="your Python file")
    add("--template", metavar="FILE", help="write a file to begin with, never over one "
                                           "that exists")
    add("--limit", type=float, default=exercises.TIME_LIMIT,
        help="seconds that one check may take")
    add("--memory", type=float, default=exercises.MEMORY_LIMIT,
        help="GiB that the file may take")
    add("--json", action="store_true", help="print one object for machines")


def main(args):
    """List, explain, write a template or check a file; return 1 if that fails."""
    if args.template is not None:
        return _write_template(args)
    if args.name is None:
        return _list(args.json)
    if args.file is None:
        return _explain(exercises.exercise(args.name), args.json)
    return _check(args)


def _list(as_json):
    if as_json:
        print(json.dumps({"exercises": exercises.EXERCISES}))
        return
    for name, text in exercises.EXERCISES.items():
        print(f"{name:<10} {text}")
    print("\n`minifer check NAME` says what to write.")


def _explain(exercise, as_json):
    if as_json:
        print(json.dumps({"exercise": exercise.name, "text": exercise.text,
                          "template": exercise.template()}))
        return
    print(exercise.template())
    print(f"# minifer check {exercise.name} --template FILE writes this into a file.")


def _write_template(args):
    if args.name is None or args.file is not None:
        raise SettingError("--template: expected an exercise and no file to check, as "
                           "in minifer check conv --template conv.py.")
    write_new(args.template, exercises.exercise(args.name).template())
    if args.json:
        print(json.dumps({"exercise": args.name, "template": args.template}))
    else:
        print(f"{args.template}: write your functions there, then "
              f"minifer check {args.name} {args.template}")


def _check(args):
    try:
        open_file(args.file).close()  # a pipe would be waited for
    except OSError as error:
        raise SettingError(f"{args.file}: expected your Python file, got "
                           f"'{error.strerror}'. Check the path.") from error
    found = []
    for finding in exercises.run_file(args.name, args.file, args.limit,
                                      args.memory):
        found.append(finding)
        if not args.json:
            _show(finding)
    passed = all(finding.passed for finding in found)
    if args.json:
        print(json.dumps({"exercise": args.name, "file": args.file, "passed": passed,
                          "checks": [finding._asdict() for finding in found]}))
    else:
        print(f"\n{args.file}: {args.name} is right." if passed
              else f"\n{args.file}: not yet.")
    return 0 if passed else 1


def _show(finding):
    verdict = "ok   " if finding.passed else "WRONG"
    note = f" ({finding.text})" if finding.passed and finding.text else ""
    print(f"{verdict}  {finding.check}{note}", flush=True)
    if not finding.passed:
        print(f"       {finding.text}", flush=True)
