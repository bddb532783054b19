"""OTP's `supervisor` by its text (stdlib's manual, "Supervision Principles"), on names: what happens, in order.

Nothing of ours is used. `+a`: a has started; `!a`: its start failed; `-a`: it has ended; `~a`: it was killed.
"""

from collections.abc import Iterable


class Told(Exception):
    """To stop, while a child starts: the one row where OTP would wait for the start."""


class Otp:
    """A supervisor that does one thing after the other, as OTP's does."""

    def __init__(self, strategy: str, restart: dict[str, str], intensity: int = 3) -> None:
        self.strategy, self.restart_type, self.intensity = strategy, dict(restart), intensity
        self.log: list[str] = []
        self.running: set[str] = set()
        self.failing: list[str] = []  # whose next start fails
        self.interrupted = ""  # while whose start it is told to stop
        self.stuck = ""  # who does not hear that it shall end
        self.brutal = ""  # who has the shutdown `brutal_kill`

    def init(self) -> bool:
        """Start all; one that cannot start ends those before it, and the supervisor is not started."""
        for child in self.restart_type:
            if not self.start(child):
                self.terminate(self.restart_type)
                return False
        return True

    def start(self, child: str) -> bool:
        if child in self.failing:
            self.failing.remove(child)
            self.log.append(f"!{child}")
            return False
        self.running.add(child)
        if child == self.interrupted:
            raise Told
        self.log.append(f"+{child}")
        return True

    def exits(self, child: str, *, abnormally: bool) -> None:
        """A child has ended by itself."""
        self.log.append(f"-{child}")
        self.running.remove(child)
        match self.restart_type[child]:
            case "permanent":
                self.restart(child)
            case "transient" if abnormally:
                self.restart(child)
            case "temporary":
                del self.restart_type[child]

    def restart(self, child: str) -> None:
        if self.intensity == 0:  # more than `intensity` restarts, counted before the attempt
            self.terminate(self.restart_type)
            return
        self.intensity -= 1
        names = list(self.restart_type)
        affected = {"one_for_one": [child], "one_for_all": names, "rest_for_one": names[names.index(child) :]}
        self.terminate(affected[self.strategy])
        for each in affected[self.strategy]:
            if self.restart_type[each] == "temporary":  # ended because of a sibling: gone for good
                del self.restart_type[each]
            elif not self.start(each):
                self.restart(each)  # `try_again_restart`: the one that failed to start is the one that is retried
                return

    def terminate(self, children: Iterable[str]) -> None:
        for child in reversed(list(children)):
            if child in self.running:
                self.running.remove(child)
                if child != self.brutal:
                    self.log.append(f"~{child}" if child == self.stuck else f"-{child}")
