"""The record of a search: what the file holds is what counts."""

import pytest

from helpers import searches
from minifer.search import SearchInterrupted, parse_space, search, trials


def test_ctrl_c_while_a_trial_is_written_counts_what_the_file_holds(tmp_path,
                                                                    monkeypatch):
    written, write = [], trials.write_text

    def write_or_stop(path, text):
        written.append(path)
        if len(written) == 4:  # the search itself, and two trials before
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(trials, "write_text", write_or_stop)
    with pytest.raises(SearchInterrupted, match="stopped after 2 trials: saved in"):
        search(searches.hill, parse_space(searches.SPACE), trials=6, seed=4,
               folder=tmp_path)
    assert len(trials.read_record(tmp_path / trials.RECORD)[1]) == 2
