"""Reports: everything known is in them, nothing unknown is made up."""

import csv
import io

import numpy as np
import pytest

from helpers.reports import HISTORY, RUN, evaluation
from minifer.errors import OutputError
from minifer.report.text import (history_csv, write_history, write_report,
                                 write_search_report)
from minifer.search import SearchResult, Trial


def report(folder, run=RUN, pictures=(), **options):
    path = write_report(folder, run, evaluation(**options), pictures)
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_history_as_csv():
    assert history_csv(HISTORY) == (
        "epoch,train_loss,valid_loss,valid_accuracy,seconds,learning_rate,"
        "gradient_norm\n"
        "1,1.9,1.8,0.25,3.5,0.01,\n"
        "2,1.5,,,3.25,0.01,2.0\n")


def test_history_keeps_every_digit(tmp_path):
    loss = np.float64(1) / 3
    write_history(tmp_path / "history.csv", [{"epoch": 1, "train_loss": loss}])
    text = (tmp_path / "history.csv").read_text()
    row, = csv.DictReader(io.StringIO(text))
    assert float(row["train_loss"]) == loss


def test_history_of_no_epochs_is_its_header():
    assert history_csv([]).count("\n") == 1


def test_the_report_holds_what_is_known(tmp_path):
    text = report(tmp_path, pictures=[("learning curves.png", "Loss by epoch")])
    low, high = evaluation().interval
    for line in [
            "# L-96 on CK+",
            f"| accuracy | **83.3% ({low:.1%} … {high:.1%})** |",
            "| n | 6 frames of 3 subjects, 3 classes |",
            "| classes | anger, fear, joy |",
            "| protocol | 10 folds by subject |",
            "| one nearest neighbour | 0.617 |",
            "| joy | 100.0% | 66.7% | 80.0% | 3 |",
            "| macro mean | 83.3% | 88.9% | 82.2% | 6 |",
            "|  | anger | fear | joy |\n| --- | ---: | ---: | ---: |\n"
            "| **anger** | 2 | 0 | 0 |\n| **fear** | 0 | 1 | 0 |\n"
            "| **joy** | 0 | 1 | 2 |",
            "![Loss by epoch](learning%20curves.png)",
            "| source | CK+ |",
            "| subjects | 118 |",
            "| fear | 75 |",
            "| no label | 266 |",
            "No face was found in 33 file(s):",
            "| best epoch | 31 |",
            "| seconds | 2052.12 |",
            "minifer train --data 'my faces'",
            "Seed: 7",
            "| learning_rate | 0.01 |",
            "| numpy | 2.4.6 |",
            "| model.npz | 0123abcd |",
            "Article 5(1)(f)"]:
        assert line in text, line


def test_the_evaluation_is_not_overruled_by_the_run(tmp_path):
    assert "0.99" not in report(tmp_path)


def test_a_bar_does_not_break_a_table(tmp_path):
    assert "| init | a\\|b |" in report(tmp_path)


def test_a_long_list_is_cut_after_twenty(tmp_path):
    text = report(tmp_path)
    assert text.count("- `S") == 20
    assert "- `S019.png`\n- … and 13 more" in text


def test_twenty_are_listed_whole(tmp_path):
    data = {"no_face": [f"S{k:03}.png" for k in range(20)]}
    text = report(tmp_path, {"data": data})
    assert text.count("- `S") == 20 and "more" not in text


def test_folds_and_notes_are_told(tmp_path):
    text = report(tmp_path, folds=[0, 0, 1, 1, 2, 2])
    assert "| fold 2 | 50.0% of 2 frames |" in text
    assert "- 3 subjects are few" in text


@pytest.mark.parametrize("run", [
    {}, {"data": None, "settings": None, "seed": None},
    {"data": {"subjects": None, "per_class": None, "no_face": None},
     "training": {"best_epoch": None}}])
def test_nothing_known_is_nothing_said(tmp_path, run):
    text = report(tmp_path, run)
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles == ["# Report of a training run", "## Results", "## Classes",
                      "## Confusion matrix", "## Limits"]
    assert "None" not in text


def test_leaky_and_drawn_faces_are_stamped(tmp_path):
    text = report(tmp_path, {"data": {"embedded": True}}, leaky=True)
    assert "> **LEAKY:**" in text
    assert "says nothing about real faces" in text
    honest = report(tmp_path)
    assert "LEAKY" not in honest and "real faces" not in honest


def test_a_missing_folder_is_one_error(tmp_path):
    with pytest.raises(OutputError, match="could not be written"):
        report(tmp_path / "missing")


def test_the_run_is_left_as_it_was(tmp_path):
    run = {"seed": 1}
    report(tmp_path, run)
    assert run == {"seed": 1}


def test_a_search_report_holds_every_trial_and_the_command_for_the_best(tmp_path):
    trials = [Trial(1, {"lr": .5}, None, 1., "failed", "E: <Layer> | no", 7),
              Trial(2, {"lr": .25}, .625, 2., "ok", None, 7)]
    path = write_search_report(
        tmp_path, {"title": "Search", "method": "At random.", "best": "train --lr .25",
                   "command": "search", "seed": 7, "settings": {"trials": 2},
                   "versions": {"numpy": "2.4.6"}},
        SearchResult(trials), [("search.png", "The scores.")])
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for part in ("# Search\n", "At random.", "| score | 0.625 |", "| lr | 0.25 |",
                 "```sh\ntrain --lr .25\n```", "so it flatters", "![The scores.]",
                 "| 1 |  | 0.5 | 1.0 | failed: E: &lt;Layer> \\| no |",
                 "| 2 | 0.6250 | 0.25 | 2.0 | ok, the best |", "```sh\nsearch\n```",
                 "Seed: 7", "| trials | 2 |", "| numpy | 2.4.6 |"):
        assert part in text, part
    assert "Drawn faces" not in text


def test_what_would_control_a_terminal_is_shown(tmp_path):
    run = RUN | {"title": "\x1b[2J", "command": "minifer '\n```\x1b'"}
    write_report(tmp_path, run, evaluation())
    text = (tmp_path / "report.md").read_text("utf-8")
    assert text.startswith("# \\x1b[2J\n") and "'\\n```\\x1b'" in text
    assert "\x1b" not in text
