"""What gpu_check.py found, as a page for docs/results/."""

__all__ = ["markdown"]


def markdown(report):
    """The report as Markdown: the machine, a row for each part, the benchmark's tables.

    Parameters
    ----------
    report : dict
        As gpu_check.py writes it, with as many parts as have ended.

    Returns
    -------
    str
    """
    lines = ["# What a GPU proved", "", about(report), "",
             "| part | | seconds | found |", "|---|---|---|---|"]
    for name, found in report["parts"].items():
        outcome = "passed" if found["passed"] else "**failed**"
        lines.append(f"| {name} | {outcome} | {found['seconds']:.0f} | {said(found)} |")
    for table in tables(report):
        lines += ["", "```", table.strip(), "```"]
    failed = [name for name, found in report["parts"].items() if found.get("output")]
    for name in failed:
        lines += ["", f"The last that {name} said:", "", "```",
                  *report["parts"][name]["output"], "```"]
    return "\n".join(lines) + "\n"


def about(report):
    """The machine, in a line."""
    machine = report["parts"].get("machine", {})
    gpu, cupy = machine.get("gpu") or {}, machine.get("cupy") or {}
    words = [machine.get("name"), gpu.get("memory.total"),
             gpu and f"driver {gpu['driver_version']}",
             cupy.get("CuPy Version") and f"CuPy {cupy['CuPy Version']}",
             machine.get("python") and f"Python {machine['python']}",
             machine.get("cores") and f"{machine['cores']} cores",
             f"minifer {report['minifer']}", f"{report['seconds']:.0f} s in all"]
    return ", ".join(word for word in words if word) + "."


def said(found):
    """The numbers and notes of a part, in a cell."""
    cell = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in found.items()
                     if key not in ("passed", "seconds")
                     and value is not None and not isinstance(value, (dict, list)))
    return cell.replace("|", "\\|").replace("\n", " ")


def tables(report):
    """The text that the benchmark printed for each batch."""
    reports = report["parts"].get("benchmark", {}).get("reports", {})
    return [one["table"] for one in reports.values() if one.get("table")]
