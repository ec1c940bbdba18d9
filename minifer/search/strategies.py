"""Which settings to try next.

A strategy is asked for the settings of the next trials and told how they went. What
it answers depends on the space, the seed, the trials' numbers and what it was told,
and on nothing else; so a search that was interrupted is continued by asking and
telling once more from the start, with the recorded scores in place of new ones.
"""

import math

import numpy as np

from ..errors import BackendUnavailable, check_seed
from ..random import Stream
from .space import Float, Int

__all__ = ["RandomSearch", "Annealing", "Optuna", "STRATEGIES", "acceptance"]

#: Annealing: successful random trials to begin with.
START = 5
#: Annealing: each temperature is so much of the one before.
COOLING = 0.85
#: Annealing: the farthest a setting moves, as a share of its range.
STEP = 0.2
#: Settings that were tried before are drawn again at most so often.
DRAWS = 100


class RandomSearch:
    """Settings drawn independently of each other (Bergstra and Bengio 2012).

    Parameters
    ----------
    space : dict of str -> Float, Int or Choice
    seed : int >= 0
    """

    def __init__(self, space, seed):
        self.space = space
        self.proposals = Stream(seed, "search", "proposals")
        self.asked = []

    def ask(self, numbers):
        """Settings (a list of dict) for the trials of these numbers.

        Trials that were asked for before are told before the next ones are asked for.
        What was asked for before is not asked for again, as far as possible.
        """
        return [self._new(number) for number in numbers]

    def tell(self, trials):
        """Take note of the trials last asked for, in order."""

    def _new(self, number):
        rng = self.proposals.generator(number)
        for attempt in range(DRAWS):
            settings = self._propose(rng, attempt)
            if settings not in self.asked:
                break
        self.asked.append(settings)
        return settings

    def _propose(self, rng, attempt):
        return {name: one.draw(rng) for name, one in self.space.items()}


class Annealing(RandomSearch):
    """Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983), in rounds.

    1. Trials are drawn at random until five (``START``) have succeeded; the round
       they are in is finished. The best one is where the walk begins, and the standard
       deviation of their scores is the first temperature T0 (White 1984, "Concepts of
       scale in simulated annealing").
    2. All trials of a round are neighbours of where the walk is when the round
       begins: each setting is moved with probability 1/2, but at least one. A number
       moves by up to a fifth (``STEP``) of its range, on its own scale; a choice
       becomes any other. What was tried before is drawn again,
       with steps that grow.
    3. After the round its trials are taken in the order of their numbers, whichever
       ended first. The walk goes to trial n with the probability of Metropolis,
       min(1, exp((score of n − score where it is) / T_n)), at the temperature
       T_n = T0 · 0.85^(n − n0) (``COOLING``), n0 being the first trial that is a
       neighbour. It never goes to a failed trial.

    With rounds of one trial this is the classic algorithm. Larger rounds use several
    processes at once and cool as fast per trial, but see fewer results before each
    step.
    """

    def __init__(self, space, seed):
        super().__init__(space, seed)
        self.decisions = Stream(seed, "search", "decisions")
        self.begun = None  # number of the first neighbour
        self.first_temperature = None
        self.state = None  # the trial where the walk is
        self.drawn = []

    def temperature(self, number):
        """T_n for trial ``number``, in the unit of the scores."""
        return self.first_temperature * COOLING ** (number - self.begun)

    def tell(self, trials):
        """Walk on, or begin to walk."""
        if self.begun is None:
            self._begin(trials)
            return
        for trial in trials:
            if trial.score is None:
                continue
            chance = acceptance(trial.score - self.state.score,
                                self.temperature(trial.number))
            if self.decisions.generator(trial.number).uniform() < chance:
                self.state = trial

    def _begin(self, trials):
        self.drawn += [trial for trial in trials if trial.score is not None]
        if len(self.drawn) >= START:
            self.state = max(self.drawn, key=lambda trial: trial.score)
            self.first_temperature = float(np.std([one.score for one in self.drawn]))
            self.begun = trials[-1].number + 1

    def _propose(self, rng, attempt):
        if self.begun is None:
            return super()._propose(rng, attempt)
        step = min(1.0, STEP * (1 + attempt / 10))
        moved = rng.uniform(size=len(self.space)) < .5
        moved[rng.integers(len(moved))] = True
        return {name: one.neighbour(self.state.settings[name], rng, step) if moves
                else self.state.settings[name]
                for moves, (name, one) in zip(moved, self.space.items())}


def acceptance(change, temperature):
    """The probability of Metropolis to go where the score is higher by ``change``.

    >>> acceptance(0.1, 0.05), round(acceptance(-0.05, 0.05), 4), acceptance(-0.1, 0)
    (1.0, 0.3679, 0.0)
    """
    if change >= 0:
        return 1.0
    return math.exp(change / temperature) if temperature > 0 else 0.0


class Optuna:
    """Tree-structured Parzen estimators (Bergstra et al. 2011) of the library optuna.

    Parameters
    ----------
    space : dict of str -> Float, Int or Choice
    seed : int >= 0

    Raises
    ------
    BackendUnavailable
        If optuna is not installed.
    """

    def __init__(self, space, seed):
        try:
            import optuna
        except ImportError as error:
            raise BackendUnavailable(
                "strategy optuna: expected the library optuna, got none. Install it: "
                "pip install minifer[search]; or take anneal or random.") from error
        self.optuna = optuna
        self.ranges = {name: self._distribution(one) for name, one in space.items()}
        loud = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=check_seed(seed))
        self.study = optuna.create_study(direction="maximize", sampler=sampler)
        optuna.logging.set_verbosity(loud)

    def ask(self, numbers):
        """Settings (a list of dict) for the trials of these numbers."""
        self.open = [self.study.ask(self.ranges) for _ in numbers]
        return [dict(one.params) for one in self.open]

    def tell(self, trials):
        """Take note of the trials last asked for, in order."""
        for one, trial in zip(self.open, trials):
            if trial.score is None:
                self.study.tell(one, state=self.optuna.trial.TrialState.FAIL)
            else:
                self.study.tell(one, trial.score)

    def _distribution(self, one):
        kinds = self.optuna.distributions
        if isinstance(one, Float):
            return kinds.FloatDistribution(one.low, one.high, log=one.log)
        if isinstance(one, Int):
            return kinds.IntDistribution(one.values[0], one.values[-1],
                                         step=one.values.step)
        return kinds.CategoricalDistribution(one.values)


#: Name -> strategy.
STRATEGIES = {"anneal": Annealing, "random": RandomSearch, "optuna": Optuna}
