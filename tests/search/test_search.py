"""The loop: seeds, records, failures, resume after any end, several processes."""

import json
import math
import multiprocessing
import os
import signal

import pytest

from helpers import runs, searches
from minifer.device.threads import default_threads
from minifer.errors import OutputError, SettingError
from minifer.progress import Progress
from minifer.search import (Choice, Int, Processes, SearchInterrupted, Trial, loop,
                            parse_space, search)
from minifer.search.trials import read_record

SPACE = parse_space(searches.SPACE)
HERE = {"lr": .002, "epochs": 35, "batch": 64, "rotation": 8}


def seen(result):
    """Trials without what the clock decides."""
    return [(one.number, one.settings, one.score, one.status, one.reason, one.seed)
            for one in result.trials]


def recorded(folder):
    lines = (folder / "trials.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


# --- what comes out -------------------------------------------------------------

def test_the_best_is_the_highest_and_the_first_of_equals():
    result = search(lambda s: -abs(s["n"] // 2 - 3), {"n": Int(1, 9)}, "random", 9)
    best = next(t for t in result.trials if t.settings["n"] in (6, 7))
    assert result.best is best and result.best_score == 0
    assert result.best_settings == best.settings
    assert [trial.number for trial in result.trials] == list(range(1, 10))


def test_thirty_trials_by_annealing_unless_told_otherwise():
    result = search(searches.hill, SPACE)
    assert len(result.trials) == 30
    assert seen(result) == seen(search(searches.hill, SPACE, "anneal", 30, 0, 1))


@pytest.mark.parametrize("strategy", ["random", "anneal"])
def test_the_seed_decides(strategy):
    one, two, other = (search(searches.hill, SPACE, strategy, 12, seed)
                       for seed in (5, 5, 6))
    assert seen(one) == seen(two)
    assert [t.settings for t in one.trials] != [t.settings for t in other.trials]
    assert {t.seed for t in other.trials} == {6}


def test_more_trials_begin_like_fewer():
    few, many = (search(searches.hill, SPACE, trials=n, at_once=4) for n in (10, 16))
    assert seen(many)[:10] == seen(few)


def test_a_small_space_is_tried_once():
    result = search(lambda s: s["a"], {"a": Choice([1, 2, 3])}, trials=30)
    assert sorted(t.score for t in result.trials) == [1, 2, 3]


def test_the_objective_cannot_change_the_record():
    def greedy(settings):
        return settings.pop("n")

    result = search(greedy, {"n": Int(1, 5)}, trials=5)
    assert all(trial.settings == {"n": trial.score} for trial in result.trials)


def test_the_table():
    trials = [Trial(1, {"lr": .00123456, "flip": True}, .5, 2., "ok", None, 0),
              Trial(2, {"lr": .1, "flip": False}, None, .25, "failed", "E: no", 0)]
    assert str(loop.SearchResult(trials)) == (
        "trial   score        lr   flip  seconds  status\n"
        "    1  0.5000  0.001235   true      2.0  ok, the best\n"
        "    2               0.1  false      0.2  failed: E: no")


# --- failures --------------------------------------------------------------------

def test_failed_trials_are_recorded_and_the_search_goes_on(tmp_path):
    result = search(searches.cliff, SPACE, "random", 30, folder=tmp_path)
    for trial in result.trials:
        lr = trial.settings["lr"]
        reason = ("FloatingPointError: the loss is NaN" if lr > .03 else
                  "NotFiniteError: expected a finite score, got nan." if lr > .01
                  else None)
        assert trial.reason == reason
        assert trial.status == ("failed" if reason else "ok")
        assert trial.score == (None if reason else searches.hill(trial.settings))
    assert len({trial.reason for trial in result.trials}) == 3
    assert result.best_settings["lr"] <= .01
    assert recorded(tmp_path)[1:] == [vars(trial) for trial in result.trials]


@pytest.mark.parametrize("value", [None, "good", math.inf, [1, 2]])
def test_what_is_no_number_is_a_failure(value):
    result = search(lambda s: value if s["n"] == 2 else 1, {"n": Int(1, 3)})
    assert sorted(t.status for t in result.trials) == ["failed", "ok", "ok"]


def test_a_script_that_exits_is_a_failure():
    def leave(settings):
        if settings["n"] == 2:
            raise SystemExit(3)
        return 1

    result = search(leave, {"n": Int(1, 3)})
    assert [t.reason for t in result.trials if t.reason] == ["SystemExit: 3"]


def test_if_all_fail_the_first_reason_is_told(tmp_path):
    def broken(settings):
        raise KeyError("images")

    with pytest.raises(SettingError, match="3 that failed.*KeyError: 'images'"):
        search(broken, {"n": Int(1, 3)}, folder=tmp_path)
    assert len(recorded(tmp_path)) == 4


@pytest.mark.parametrize("options", [
    {"strategy": "grid"}, {"trials": 0}, {"trials": 2.5}, {"trials": True},
    {"jobs": 0}, {"jobs": "2"}, {"at_once": 0}, {"seed": -1}, {"seed": None},
    {"space": {}}, {"space": ["lr=0:1"]}])
def test_bad_options_are_refused_before_the_first_trial(options, tmp_path):
    def never(settings):
        raise KeyboardInterrupt

    with pytest.raises(SettingError, match="expected"):
        search(never, **{"space": SPACE, "folder": tmp_path} | options)
    assert not list(tmp_path.iterdir())


# --- the record, and going on from it ----------------------------------------------

def interrupted_after(count):
    """The hill, but Ctrl-C is pressed in the next trial."""
    calls = []

    def objective(settings):
        if len(calls) == count:
            raise KeyboardInterrupt
        calls.append(settings)
        return searches.cliff(settings)
    return objective


@pytest.mark.parametrize("strategy", ["random", "anneal", "optuna"])
@pytest.mark.parametrize("at_once", [1, 3])
def test_resume_after_any_trial_equals_an_uninterrupted_search(strategy, at_once,
                                                               tmp_path):
    if strategy == "optuna":
        pytest.importorskip("optuna")
    options = {"strategy": strategy, "trials": 14, "seed": 2, "at_once": at_once}
    whole = seen(search(searches.cliff, SPACE, **options))
    for count in (0, 1, 4, 5, 7, 13):
        folder = tmp_path / str(count)
        with pytest.raises(SearchInterrupted, match=f"stopped after {count} trials: "
                                                    f"saved in {folder}; --resume"):
            search(interrupted_after(count), SPACE, folder=folder, **options)
        assert len(recorded(folder)) == 1 + count
        rest = []

        def counted(settings):
            rest.append(settings)
            return searches.cliff(settings)

        result = search(counted, SPACE, folder=folder, resume=True, **options)
        assert seen(result) == whole and len(rest) == 14 - count
        assert seen(search(None, SPACE, folder=folder, resume=True, **options)) == whole


def backwards(objective, proposals):
    """A runner that is no class of ours, and gives a list."""
    return list(Processes()(objective, proposals))[::-1]


def test_the_order_in_which_trials_end_does_not_matter(tmp_path):
    whole = search(searches.cliff, SPACE, trials=14, at_once=4)
    mixed = search(searches.cliff, SPACE, trials=14, at_once=4, folder=tmp_path,
                   runner=backwards)
    assert seen(mixed) == seen(whole)
    assert [line["number"] for line in recorded(tmp_path)[1:]][:4] == [4, 3, 2, 1]
    # Half a round, of which the first trials are missing, goes on alike.
    kept = (tmp_path / "trials.jsonl").read_text("utf-8").splitlines(True)[:7]
    (tmp_path / "trials.jsonl").write_text("".join(kept), "utf-8")
    again = search(searches.cliff, SPACE, trials=14, at_once=4, folder=tmp_path,
                   resume=True)
    assert seen(again) == seen(whole)


@pytest.mark.parametrize("wrong", [[], [1, 1], [1, 2], [2]])
def test_a_runner_owes_an_outcome_of_each_trial_once(wrong, tmp_path):
    def runner(objective, proposals):
        return [(number, (.5, None, 1.)) for number in wrong]

    with pytest.raises(SettingError, match="runner: expected an outcome of each trial"):
        search(None, SPACE, trials=1, folder=tmp_path, runner=runner)
    assert len(recorded(tmp_path)) == 1 + (1 in wrong)


def test_a_runner_is_not_called_for_what_is_recorded(tmp_path):
    search(searches.hill, SPACE, trials=4, at_once=2, folder=tmp_path)
    asked = []

    def runner(objective, proposals):
        asked.extend(proposals)
        return Processes()(objective, proposals)

    search(searches.hill, SPACE, trials=5, at_once=2, folder=tmp_path, resume=True,
           runner=runner)
    assert asked == [5]


def test_a_runner_proposes_the_same_whatever_its_size():
    known = {}

    def runner(objective, proposals):
        known[len(known)] = list(proposals)
        return Processes()(objective, proposals)

    search(searches.hill, SPACE, trials=18, runner=runner)
    assert list(map(len, known.values())) == [8, 8, 2]
    with pytest.raises(SettingError, match="a runner or jobs, got both"):
        search(searches.hill, SPACE, jobs=2, runner=runner)


def test_a_finished_search_can_be_made_longer(tmp_path):
    whole = search(searches.hill, SPACE, trials=17, at_once=3)
    search(searches.hill, SPACE, trials=10, at_once=3, folder=tmp_path)
    longer = search(searches.hill, SPACE, trials=17, at_once=3, folder=tmp_path,
                    resume=True)
    assert seen(longer) == seen(whole)


def test_an_interrupted_search_is_not_overwritten(tmp_path):
    with pytest.raises(SearchInterrupted):
        search(interrupted_after(3), SPACE, folder=tmp_path)
    before = recorded(tmp_path)
    with pytest.raises(SettingError, match="3 of 30 trials.*--resume"):
        search(searches.hill, SPACE, folder=tmp_path)
    assert recorded(tmp_path) == before


@pytest.mark.parametrize("other, name", [
    ({"seed": 1}, "seed"), ({"strategy": "random"}, "strategy"),
    ({"at_once": 2}, "at_once"), ({"space": {"lr": SPACE["lr"]}}, "space"),
    ({"about": {"data": "b"}}, "about")])
def test_another_search_is_not_continued(other, name, tmp_path):
    options = {"space": SPACE, "folder": tmp_path, "about": {"data": "a"}, "trials": 6}
    search(searches.hill, **options)
    before = recorded(tmp_path)
    with pytest.raises(SettingError, match=f"expected to continue with {name} = "):
        search(searches.hill, resume=True, **options | other)
    assert recorded(tmp_path) == before


def test_a_changed_record_is_noticed(tmp_path):
    search(searches.hill, SPACE, trials=6, folder=tmp_path)
    path = tmp_path / "trials.jsonl"
    lines = recorded(tmp_path)
    lines[3]["settings"]["batch"] = 1
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    with pytest.raises(SettingError, match="as trial 3.*was changed"):
        search(searches.hill, SPACE, trials=6, folder=tmp_path, resume=True)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[1]\n", b"\xff\xfe", b"{",
                                     b'{"trials": 3}\n{"number": 1}\n',
                                     b'{"trials": "3"}\n', b"7\n"])
def test_another_file_is_no_record(content, tmp_path):
    (tmp_path / "trials.jsonl").write_bytes(content)
    for resume in False, True:
        with pytest.raises(SettingError, match="expected the record of a search"):
            search(searches.hill, SPACE, folder=tmp_path, resume=resume)
    assert (tmp_path / "trials.jsonl").read_bytes() == content


@pytest.mark.parametrize("change", [
    {"number": "1"}, {"number": 0}, {"number": True}, {"number": 1.0}, {"number": 2},
    {"settings": [1]}, {"settings": None}, {"score": "0.5"}, {"score": float("nan")},
    {"score": None}, {"seconds": None}, {"seconds": float("inf")}, {"status": "good"},
    {"status": None}, {"status": "failed"}, {"reason": "E: no"}, {"reason": 3},
    {"seed": "0"}, {"more": 1}])
def test_trials_of_another_kind_are_no_record(change, tmp_path):
    search(searches.hill, SPACE, trials=3, folder=tmp_path)
    lines = recorded(tmp_path)
    lines[1].update(change)
    path = tmp_path / "trials.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    before = path.read_bytes()
    with pytest.raises(SettingError, match=r"^[^\n]*jsonl: expected the record"):
        search(searches.hill, SPACE, trials=3, folder=tmp_path, resume=True)
    assert path.read_bytes() == before


def test_a_deeply_nested_record_is_one_line(tmp_path):
    (tmp_path / "trials.jsonl").write_text("[" * 100_000, "utf-8")
    with pytest.raises(SettingError, match="^[^\n]*expected the record of a search"):
        search(searches.hill, SPACE, folder=tmp_path, resume=True)


def test_a_folder_that_cannot_be_written_costs_no_trial(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        search(interrupted_after(0), SPACE, folder=tmp_path / "file")


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    (tmp_path / ".trials.jsonl.0123abcd.tmp").write_text("{")
    search(searches.hill, SPACE, trials=1, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["trials.jsonl"]


def test_a_line_for_each_trial(capsys):
    search(searches.cliff, SPACE, "random", trials=8, seed=1, progress=Progress())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 8 and lines[0].startswith("trial 1/8  ")
    assert all("lr=" in line and " s  " in line for line in lines)


# --- processes of their own ----------------------------------------------------------

def test_two_processes_give_what_one_gives(tmp_path):
    """Failures and the death of a process among them."""
    space = SPACE | {"batch": Choice([64, 128])}
    result = search(searches.deadly, space, trials=6, at_once=3, seed=1, jobs=2,
                    folder=tmp_path)
    dead = [t for t in result.trials if t.settings["batch"] == 128]
    assert dead and len(dead) < 6
    for trial in dead:
        assert trial.reason == "its process died with exit code 7"
        assert trial.status == "failed" and trial.score is None

    def tame(settings):
        assert settings["batch"] != 128, "its process died with exit code 7"
        return searches.hill(settings)

    alone = search(tame, space, trials=6, at_once=3, seed=1)
    assert [row[:4] for row in seen(alone)] == [row[:4] for row in seen(result)]
    read, trials = read_record(tmp_path / "trials.jsonl")
    assert read["at_once"] == 3 and sorted(trials) == [1, 2, 3, 4, 5, 6]


def test_processes_give_their_handles_back():
    """At once: a search of thousands of trials would run out of them."""
    search(searches.hill, SPACE, trials=2, jobs=2)  # starts what Python keeps
    found = Processes(2)(searches.hill, {1: HERE, 2: HERE, 3: HERE})
    before = len(os.listdir("/proc/self/fd"))
    next(found)
    found.close()  # amid two others
    assert len(os.listdir("/proc/self/fd")) == before
    assert not multiprocessing.active_children()


def test_processes_share_the_threads():
    result = search(searches.threads, SPACE, trials=2, jobs=2)
    assert result.best_score == max(1, default_threads() // 2)


def test_an_objective_that_cannot_travel_is_refused(tmp_path):
    with pytest.raises(SettingError, match="can be pickled.*top of a module"):
        search(lambda settings: 1, SPACE, jobs=2, folder=tmp_path)


@pytest.mark.parametrize("jobs, event", [(1, "kill"), (2, "kill"), (2, "interrupt")])
def test_a_search_that_was_stopped_goes_on(jobs, event, tmp_path):
    """The processes it started have ended, too: they would hold the pipe open.

    What a killed one leaves on stderr is not ours: Python itself prints a traceback in
    a process that was just being started when its parent died.
    """
    script = searches.TESTS / "helpers" / "searches.py"
    stopped = runs.process(script, tmp_path, jobs, event, 5)
    assert stopped.code == (-signal.SIGKILL if event == "kill" else 130), stopped.err
    if event == "interrupt":
        assert stopped.err == (f"stopped after {len(recorded(tmp_path)) - 1} trials: "
                               f"saved in {tmp_path}; --resume continues\n")
    assert 5 <= len(recorded(tmp_path)) - 1 < 12
    resumed = search(searches.hill, SPACE, trials=12, seed=4, at_once=4,
                     folder=tmp_path, resume=True)
    assert seen(resumed) == seen(search(searches.hill, SPACE, trials=12, seed=4,
                                        at_once=4))
