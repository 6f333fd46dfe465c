"""From load to admission, pure: `load` -> `pressure` -> `admission`. Time and dice come in as arguments."""

from edge.overload.admission import Admission, AdmissionState, Condition, Gate, Verdict
from edge.overload.load import Capacity, LoadSample, Signal
from edge.overload.params import OverloadParams
from edge.overload.pressure import Pressure, PressureGauge

__all__ = [
    "Admission",
    "AdmissionState",
    "Capacity",
    "Condition",
    "Gate",
    "LoadSample",
    "OverloadParams",
    "Pressure",
    "PressureGauge",
    "Signal",
    "Verdict",
]
