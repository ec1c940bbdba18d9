"""A student's file that does not load, crashes or never ends: one line says so."""

import json
import textwrap
import time

import pytest

from helpers.solutions import RELU, SOLUTIONS, examine, run, spoil
from minifer import exercises
from minifer.commands import cli
from minifer.errors import SettingError
from minifer.exercises.student import Fault, Student

LOADING = [
    ("def relu_forward(x:\n    pass", "line 1: "),
    ("x = 1\n  y = 2\n", "line 2: unexpected indent"),
    ("import numpy as np\n\nx = np.zeros(3)\ny = z\n", "line 4: NameError: name 'z'"),
    ("import nowhere_at_all\n", "line 1: ModuleNotFoundError"),
    ("x = 1\nraise SystemExit(3)\n", "line 2: SystemExit: 3"),
    ("def relu_foward(x):\n    pass\n", "Line 1 defines relu_foward"),
    ("x = 1\n", "expected a function relu_forward(x), found none."),
    (spoil(RELU, ("relu_forward(x)", "relu_forward(x, W)")),
     "line 4: expected relu_forward(x), got relu_forward(x, W)"),
    (spoil(RELU, ("relu_backward(dy, cache)", "relu_backward(dy)"), ("= cache", "= 1")),
     "line 8: expected relu_backward(dy, cache), got relu_backward(dy)"),
    (RELU + "relu_forward = 3\n", "expected a function relu_forward(x), found none"),
]


@pytest.mark.parametrize("source, text", LOADING)
def test_a_file_that_does_not_load_is_refused_with_its_line(source, text, tmp_path):
    found = examine("relu", source, tmp_path)
    assert len(found) == 1 and found[0].check == "the file loads"
    assert not found[0].passed and text in found[0].text
    assert "\n" not in found[0].text


@pytest.mark.parametrize("content", [b"\xff\xfe\x00x", b"# coding: nothing\n",
                                     b"x = 1\0"])
def test_a_file_that_is_no_text_is_refused(content, tmp_path):
    path = tmp_path / "student.py"
    path.write_bytes(content)
    finding, = exercises.exercise("relu").examine(str(path))
    assert not finding.passed and "\n" not in finding.text


RETURNS = [
    ("return y, (x, y)", "return y", "return y, cache; got a single ndarray"),
    ("return y, (x, y)", "pass", "got None: is a return missing?"),
    ("return y, (x, y)", "return None, x", "y: expected an array, got None"),
    ("return y, (x, y)", "return 'yes', x", "y: expected an array of numbers"),
    ("return y, (x, y)", "return y[0], x", "expected shape (3, 4), got (4,)"),
    ("return y, (x, y)", "return y.astype(float), x", "np.zeros and np.array make"),
    ("return y, (x, y)", "return y @ y, x", "line 6: ValueError: "),
    ("return dy * (x > 0)", "raise NotImplementedError('later')", "line 10: NotImpl"),
    ("return dy * (x > 0)", "return (dy * (x > 0)).astype(float)",
     "dx (a matrix): expected float32 as x has, got float64"),
    ("return dy * (x > 0)", "return dy, x", "expected to return dx; got 2 results"),
    ("return dy * (x > 0)", "return relu_backward(dy, cache)", "RecursionError"),
]


@pytest.mark.parametrize("old, new, text", RETURNS)
def test_what_a_function_returns_or_raises_is_one_line(old, new, text, tmp_path):
    last = examine("relu", spoil(RELU, (old, new)), tmp_path)[-1]
    assert not last.passed and text in last.text and "\n" not in last.text


LAYERS = [
    ("x = 1", "expected one class that derives from minifer.layers.Layer, found none"),
    (SOLUTIONS["layer"] + "class Other(SwishLayer):\n    pass\n", "SwishLayer, Other"),
    (spoil(SOLUTIONS["layer"], (", name=None):", ", units, name=None):"),
           ("=init.Constant(1.5)", "")), "line 6: expected SwishLayer(incoming, name"),
    (spoil(SOLUTIONS["layer"], ("def backward", "def bakward")),
     "perhaps you meant 'backward'?"),
    (spoil(SOLUTIONS["layer"], (".sum(axis=every)", "")),
     "gradient of mine.beta: expected shape (3,), got (4, 3, 5, 4)"),
    (spoil(SOLUTIONS["layer"], ("return dx, {", "return {")), "expected to return dx"),
]


@pytest.mark.parametrize("source, text", LAYERS)
def test_a_layer_that_is_none_is_refused(source, text, tmp_path):
    last = examine("layer", source, tmp_path)[-1]
    assert not last.passed and text in last.text, last


def test_a_layer_for_rows_alone_is_tried_on_rows(tmp_path):
    source = textwrap.dedent('''
        from minifer.layers import Layer
        class ReverseLayer(Layer):
            def __init__(self, incoming, name=None):
                super().__init__(incoming, name)
                if len(self.input_shape) != 2:
                    self.fail("rows", str(self.input_shape))
            def forward(self, x):
                return x[:, ::-1].copy(), ()
            def backward(self, dy, cache):
                return dy[:, ::-1].copy(), {}
        ''')
    found = examine("layer", source, tmp_path)
    assert found[-1].passed and "(None, 6)" in found[1].text


def test_a_neighbour_can_be_imported_and_hides_no_library(tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("def cut(x): return x * (x > 0)\n")
    (tmp_path / "queue.py").write_text("raise SystemError\n")
    source = "from helper_of_mine import cut\nimport queue\n" + RELU
    assert all(f.passed for f in examine("relu", source, tmp_path))


def test_calls_of_a_student_keep_the_line_of_the_file(tmp_path):
    path = tmp_path / "student.py"
    path.write_text("def f(x):\n    return {}[x]\n")
    student = Student(path)
    student.load()
    with pytest.raises(Fault, match="line 2: KeyError: 3"):
        student.call("f", 3)


# --- in a process of its own -----------------------------------------------------

def test_in_a_process_of_its_own_the_findings_are_the_same(tmp_path):
    found = run("print('hello')\n" + RELU, tmp_path)
    here = examine("relu", RELU, tmp_path)
    assert [f[:2] for f in found] == [f[:2] for f in here]


def test_a_loop_without_end_is_ended(tmp_path):
    start = time.monotonic()
    found = run(spoil(RELU, ("y = np", "while True: pass\n    y = np")), tmp_path, 0.5)
    assert [f.passed for f in found] == [True, False]
    assert "more than 0.5 s" in found[-1].text and "shapes" in found[-1].check
    assert time.monotonic() - start < 60


def test_a_process_that_dies_is_told(tmp_path):
    source = "import os\n" + spoil(RELU, ("return dy", "os._exit(7)\n    return dy"))
    found = run(source, tmp_path)
    assert found[-1] == ("backward: shapes and types", False,
                         "the process ended with exit code 7: does the file end it?")
    found = run("import os\nos.kill(os.getpid(), 9)\n", tmp_path)
    assert found == [("the file loads", False, "the process was killed by SIGKILL.")]


def test_wrong_use_is_refused(tmp_path):
    with pytest.raises(SettingError, match="gone.py.*No such file"):
        list(exercises.run_file("relu", str(tmp_path / "gone.py")))
    with pytest.raises(SettingError, match="seconds above 0"):
        run(RELU, tmp_path, 0)
    for limit in (float("inf"), float("nan"), 1e9, -1):
        with pytest.raises(SettingError, match="seconds above 0, at most 86400"):
            run(RELU, tmp_path, limit)
        with pytest.raises(SettingError, match="GiB above 0"):
            list(exercises.run_file("relu", "x.py", memory=limit))
    with pytest.raises(SettingError, match="expected an exercise, one of dense"):
        exercises.exercise("rule")


# --- the command -----------------------------------------------------------------

def command(capsys, *argv):
    """Exit code, standard output and standard error of minifer check."""
    code = 0
    try:
        cli.main(["check", *map(str, argv)])
    except SystemExit as stop:
        code = stop.code
    return (code, *capsys.readouterr())


def test_without_arguments_the_exercises_are_listed(capsys):
    code, out, _ = command(capsys)
    assert code == 0
    assert [line.split()[0]
            for line in out.splitlines()[:8]] == list(exercises.EXERCISES)
    code, out, _ = command(capsys, "--json")
    assert json.loads(out) == {"exercises": exercises.EXERCISES}


@pytest.mark.parametrize("name", exercises.EXERCISES)
def test_every_template_loads_and_is_not_written_yet(name, capsys, tmp_path):
    code, out, _ = command(capsys, name)
    assert code == 0 and out.startswith('"""')
    template = json.loads(command(capsys, name, "--json")[1])["template"]
    assert template in out
    found = examine(name, template, tmp_path)
    assert found[0].passed and not found[-1].passed
    assert "is yours to write" in found[-1].text and "line " in found[-1].text


def test_a_template_is_written_but_never_over_a_file(capsys, tmp_path):
    path = tmp_path / "mine.py"
    code, out, _ = command(capsys, "adam", "--template", path)
    assert code == 0 and "minifer check adam" in out
    assert path.read_text() == exercises.exercise("adam").template()
    path.write_text("my work")
    code, _, err = command(capsys, "adam", "--template", path)
    assert code == 2 and "File exists" in err and path.read_text() == "my work"
    code, _, err = command(capsys, "adam", "--template", tmp_path / "no" / "mine.py")
    assert code == 2 and len(err.splitlines()) == 1
    code, _, err = command(capsys, "--template", tmp_path / "new.py")
    assert code == 2 and "expected an exercise" in err


def test_a_file_is_checked(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(RELU)
    code, out, _ = command(capsys, "relu", path)
    assert code == 0 and out.count("ok") == 8 and "relu is right" in out
    path.write_text(spoil(RELU, ("x > 0", "x >= 0")))
    code, out, _ = command(capsys, "relu", path, "--json")
    found = json.loads(out)
    assert code == 1 and not found["passed"] and found["exercise"] == "relu"
    assert found["checks"][0] == {"check": "the file loads", "passed": True, "text": ""}
    assert "slope 1 at exactly 0" in found["checks"][-1]["text"]


def test_wrong_use_of_the_command_is_one_line(capsys, tmp_path):
    for argv in (["conf"], ["relu", tmp_path / "gone.py"], ["relu", tmp_path],
                 ["relu", "x.py", "--limit", "-1"], ["relu", "x.py", "--limit", "x"]):
        code, out, err = command(capsys, *argv)
        assert code == 2 and len(err.splitlines()) == 1 and not out, argv
