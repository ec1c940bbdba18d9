"""Steps of a function, captured once as a CUDA graph and replayed.

Launching a kernel costs the host a few microseconds, and a step has dozens: a GPU
would often wait for its orders. So a step is captured once, as one graph, and
launched whole from then on. What changes from step to step (the images, the learning
rate, which dropout mask is next) is read from places on the device that the host
writes to before.
"""

from ...device.arrays import address
from ...device.graphs import capture
from ...errors import CaptureError
from ...expressions import all_below

__all__ = ["Replay"]

#: Shapes whose steps are captured, at most, as each graph keeps memory. Steps of other
#: shapes run as they are.
SHAPES = 8


class Replay:
    """Captured steps of a :class:`~minifer.compiled.Function`, one for each shape.

    Parameters
    ----------
    driver : minifer.compiled.drivers.DeviceDriver
        It has plans as stand-ins.
    """

    def __init__(self, driver):
        self.driver, self.steps, self.why_not, self.may = driver, {}, None, False

    def __call__(self, given):
        """Do the device's part of a step; the host's part has been done.

        The first step of a shape runs as it is, since kernels are compiled then, the
        second is captured, and all later ones are launched again. That is so for the
        first few shapes.

        Parameters
        ----------
        given : dict of Variable -> device array

        Returns
        -------
        list of arrays or None
            The function's results, to be copied before the next step; None if the
            step is still to be done.
        """
        if self.why_not:
            return None
        shapes = tuple((v.shape, v.dtype.str) for v in given.values())
        if self.driver.part is not None:  # ranks capture, and replay, the same batches
            shapes += self.driver.part.place
        places = self._places()
        if any(step.places != places for step in self.steps.values()):
            self.steps = {}  # their graphs use arrays that have been replaced
        step = self.steps.get(shapes)
        if step is None:
            if len(self.steps) < SHAPES:
                self.steps[shapes] = _Step(places)
            return None
        if step.graph is None and not self._capture(step, given):
            return None
        step.load(given)
        step.graph.launch()
        return step.graph.result

    def may_capture(self):
        """Whether steps are captured, as far as is known before one is."""
        if not self.steps:
            self.may = self._why_not() is None
        return self.may and not self.why_not

    def launches(self):
        """Launches and array operations of a captured step, or None."""
        return next((step.graph.nodes for step in self.steps.values()
                     if step.graph is not None), None)

    def _capture(self, step, given):
        """Capture a step; return whether that worked. The plans' tables say so too."""
        self.why_not = self._why_not()
        try:
            if self.why_not is None:
                step.capture(self.driver, given)
        except CaptureError as error:
            self.why_not = str(error)
        for one in self.driver.planned_passes():
            one.plan.note = (f"not captured: {self.why_not}" if self.why_not else
                             f"captured, as a graph of {step.graph.nodes} nodes")
        return self.why_not is None

    def _why_not(self):
        """What is known beforehand to keep a step from being captured, or None."""
        for one in self.driver.planned_passes():
            if one.plan.why_not_captured():
                return one.plan.why_not_captured()
        if any(one.draws for one in all_below(self.driver.wanted)):
            return "an expression draws numbers"
        update = self.driver.updates
        if update is not None and not update.buffers.may_be_captured:
            return f"{type(update).__name__} has a rule or constraint without a kernel"
        return None

    def _places(self):
        """What a graph has built in: addresses of arrays, plans, what a step does."""
        arrays, built_in = [p.value for p in self.driver.params], []
        if self.driver.updates is not None:
            arrays += self.driver.updates.buffers.arrays()
            built_in = self.driver.updates.buffers.built_in
        return ([address(array) for array in arrays],
                [one.plan for one in self.driver.planned_passes()], built_in)


class _Step:
    """A step for one shape of inputs, which lie in a fixed place once captured."""

    def __init__(self, places):
        self.places, self.graph = places, None

    def capture(self, driver, given):
        self.given = {variable: value.copy() for variable, value in given.items()}
        self.graph = capture(driver.device, lambda: driver.launch(self.given))

    def load(self, given):
        """Bring new inputs to where the graph reads them."""
        for variable, value in given.items():
            self.given[variable][...] = value
