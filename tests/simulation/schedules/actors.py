"""Who acts from outside: callers of `start`, operators who cancel and redrive, and those who signal."""

from __future__ import annotations

from typing import Any

from fluxio.testing.death import Death
from fluxio.testing.platform import make_client
from fluxio_protocol.errors import RunEnded, RunNotFound, SignalExists, SignalLapsed
from tests.simulation.schedules.drawing import Weather
from tests.simulation.schedules.faults import Faults
from tests.simulation.schedules.hub import Hub, Process
from tests.simulation.watch import Watch

#: Milliseconds by which a clock is off at most, either way.
SKEW = 3_000


class Actors:
    """Callers, each in a process of its own, that try again until they are heard.

    Args:
        hub: whose tasks they are.
        faults: what happens to their calls.
        weather: whether the sweeper would find what they leave.
        watch: what the runs' statuses are.
    """

    def __init__(self, hub: Hub, faults: Faults, weather: Weather, watch: Watch) -> None:
        self._hub = hub
        self._faults = faults
        self._weather = weather
        self._watch = watch
        self._rng = hub.rng
        #: What operators were asked to do: (run id, "cancel" or "redrive").
        self.asked: set[tuple[str, str]] = set()

    def start(self, run_id: str, workflow: str, given: dict[str, Any]) -> None:
        """A caller starts the run, and again until it hears that it is started, or has given up."""
        hub, process, client = self._hub, *self._caller(f"caller-{run_id}")

        def work() -> None:
            hub.pause(self._rng.randint(0, 3_000))
            for _ in range(100):
                try:
                    client.start(workflow, given, run_id=run_id)
                    return
                except Exception as error:  # noqa: BLE001 - whatever start raises, it may be called again
                    hub.say(f"{process.name}: start raised {type(error).__name__}")
                except Death:
                    self._dies(process)
                stored = (run_id, "run") in hub.aws.table.items
                if stored and self._weather.sweeper and self._rng.random() < 0.5:
                    return  # it does not come back: the sweeper finds the run
                hub.pause(1_000)
            hub.problems.append(f"start of {run_id} never succeeded")

        hub.spawn(process.name, process, work)

    def operate(self, run_id: str, does: str) -> None:
        """An operator cancels a run, or redrives it when it has failed, until it is heard."""
        hub, process, client = self._hub, *self._caller(f"operator-{run_id}")
        self.asked.add((run_id, does))

        def work() -> None:
            hub.pause(self._rng.choice([2_000, 30_000, 400_000]))
            for _ in range(100):
                stopped = self._watch.statuses.get(run_id) == "FAILED"
                if does == "redrive" and not stopped and self._rng.random() < 0.8:
                    return
                try:
                    getattr(client, does)(run_id)
                    hub.figures[f"{does}s"] += 1
                    return
                except (RunEnded, RunNotFound):
                    return
                except Exception as error:  # noqa: BLE001 - it may be called again
                    hub.say(f"{process.name}: {does} raised {type(error).__name__}")
                except Death:
                    self._dies(process)
                hub.pause(1_000)
            hub.problems.append(f"the {does} of {run_id} never succeeded")

        hub.spawn(process.name, process, work)

    def hurry(self, times: int) -> None:
        """Operators redrive each run as often, at once when it has FAILED, while its branches are under way."""
        left: dict[str, int] = {}

        def see(run_id: str, status: str) -> None:
            left.setdefault(run_id, times)
            if status == "FAILED" and left[run_id] > 0:
                left[run_id] -= 1
                self.redrive(run_id)

        self._watch.on_status.append(see)

    def redrive(self, run_id: str) -> None:
        """An operator redrives a run at once, until it is heard."""
        hub = self._hub
        process, client = self._caller(f"operator{next(hub.numbers)}-{run_id}")
        self.asked.add((run_id, "redrive"))

        def work() -> None:
            hub.pause(self._rng.randint(1, self._rng.choice([5, 50, 500, 5_000])))
            for _ in range(100):
                try:
                    client.redrive(run_id)
                    hub.figures["redrives"] += 1
                    return
                except RunEnded:
                    return
                except Exception as error:  # noqa: BLE001 - it may be called again
                    hub.say(f"{process.name}: redrive raised {type(error).__name__}")
                except Death:
                    self._dies(process)
                hub.pause(1_000)
            hub.problems.append(f"the redrive of {run_id} never succeeded")

        hub.spawn(process.name, process, work)

    def signal(self, run_id: str, name: str) -> None:
        """Somebody signals the run, early or late, and again until it is heard."""
        hub = self._hub
        process, client = self._caller(f"signaller{next(hub.numbers)}-{run_id}-{name}")
        payload = {f"by_{name}": run_id, f"text_{name}": "s" * self._rng.choice([3, 4, 600])}

        def work() -> None:
            hub.pause(self._rng.choice([0, 2_000, 30_000, 400_000]))
            for _ in range(100):
                there = (run_id, "run") in hub.aws.table.items
                try:
                    if there:
                        client.signal(run_id, name, payload)
                        hub.figures["signals"] += 1
                        return
                except (RunEnded, SignalExists, SignalLapsed):
                    return
                except Exception as error:  # noqa: BLE001 - it may be called again
                    hub.say(f"{process.name}: signal raised {type(error).__name__}")
                except Death:
                    self._dies(process)
                    item = hub.aws.table.items.get((run_id, "run"), {})
                    stored = f"signal:{name}" in item
                    if stored and self._weather.sweeper and self._rng.random() < 0.5:
                        return  # it does not come back: the sweeper sees to it
                hub.pause(1_000 if there else 20_000)
            hub.problems.append(f"the signal {name} of {run_id} never succeeded")

        hub.spawn(process.name, process, work)

    def _caller(self, name: str) -> tuple[Process, Any]:
        process = Process(name, self._rng.randint(-SKEW, SKEW))
        client = make_client(
            self._hub.aws,
            self._faults.wire,
            lambda seconds: self._hub.pause(round(1000 * seconds)),
            self._rng.random,
        )
        return process, client

    def _dies(self, process: Process) -> None:
        self._hub.say(f"{process.name}: dies, and is begun again")
        self._hub.figures["deaths"] += 1
