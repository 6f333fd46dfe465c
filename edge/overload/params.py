"""What the overload control is tuned by. Every default is meant for a node in production."""

import msgspec


class OverloadParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Thresholds are fractions of capacity; times are seconds."""

    tau_s: float = 10.0
    """Time constant of the average that pressure is."""

    rise: float = 0.85
    fall: float = 0.60
    """Pressure at or above ``rise`` is high, below ``fall`` low, between them neither."""

    retry_after_s: float = 3.0
    refuse_after_s: float = 6.0
    """How long pressure has to be high before newcomers get a Retry, and before some are refused."""

    accept_after_s: float = 10.0
    """How long pressure has to be low, with nobody refused any more, before newcomers are simply accepted."""

    ramp_up_s: float = 20.0
    ramp_down_s: float = 60.0
    """How long the refusal probability takes from 0 to 1 and back."""

    refusal_window_s: float = 10.0
    """Over how long the share of refusals is counted."""

    def __post_init__(self) -> None:
        if not 0.0 < self.fall < self.rise:
            raise ValueError(f"fall {self.fall} and rise {self.rise}: needs 0 < fall < rise")
        for name, seconds in self._times().items():
            if not seconds > 0.0:
                raise ValueError(f"{name} {seconds}: needs more than 0")
        if self.refuse_after_s < self.retry_after_s:
            raise ValueError(f"refuse_after_s {self.refuse_after_s}: needs retry_after_s or more")

    def scaled(self, factor: float) -> "OverloadParams":
        """The same behaviour on a clock ``factor`` times as long: thresholds stay, every time is multiplied."""
        return msgspec.structs.replace(self, **{name: t * factor for name, t in self._times().items()})

    def _times(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.__struct_fields__ if name.endswith("_s")}
