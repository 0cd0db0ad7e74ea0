"""Experiments: the same questions, asked in several ways, at several loads."""

from nbkit.experiment.measurements import Measurement as Measurement
from nbkit.experiment.results import Experiment as Experiment
from nbkit.experiment.running import measure as measure
from nbkit.experiment.verdicts import Comparison as Comparison
