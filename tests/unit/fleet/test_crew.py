"""What an operation sees of nodes whose answers are odd: through the ways that it has, without a node behind them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge.errors import DeadlineError, UnreachableError, UsageError
from edge.fleet.actions import Check, Record
from edge.fleet.crew import Crew
from edge.fleet.leases import Leases
from edge.fleet.operation import Kind, Operation, Step
from edge.fleet.transport import Completed
from edge.runtime.admin_client import Answer

DOCUMENTS: dict[str, Any] = {
    "/status": {
        "node": "ams-1", "time": 1.0, "version": "0.2.0", "state": "announced", "reason": "", "announced": True,
        "hold": None, "drain": None, "calls": 0, "probe": {"passed": 3, "failed": 0, "problem": ""}, "bgp": None,
        "workers": [], "problems": [],
    },
    "/explain": {"view": {"problem": "", "nodes": []}},
    "/bgp/routes": {"announced": []},
}  # fmt: skip


class Told:
    """A way to whatever answers so."""

    def __init__(self, documents: dict[str, Any]) -> None:
        self.documents = documents

    async def request(
        self, method: str, target: str, body: object = None, *, timeout_s: float, lease: str | None = None
    ) -> Answer:
        return Answer(200, self.documents[target])

    async def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        raise NotImplementedError

    async def close(self) -> None: ...


def crew(parallel: int = 16, **ways: Told) -> Crew:
    named = {name.replace("_", "-"): way for name, way in ways.items()}
    return Crew(
        named,
        Leases(named, who="alice", what="", timeout_s=1.0),
        who="alice",
        timeout_s=1.0,
        parallel=parallel,
    )


def test_no_more_nodes_are_looked_at_at_a_time_than_is_said() -> None:
    """Each is several connections, and perhaps a process; of files there are a thousand for all of them."""

    class Busy(Told):
        at_work = most = 0

        async def request(
            self, method: str, target: str, body: object = None, *, timeout_s: float, lease: str | None = None
        ) -> Answer:
            Busy.at_work += 1
            Busy.most = max(Busy.most, Busy.at_work)
            await asyncio.sleep(0)
            Busy.at_work -= 1
            return Answer(
                200,
                self.documents[target] | ({"node": self.documents["name"]} if target == "/status" else {}),
            )

    ways = {f"n{i}": Busy(DOCUMENTS | {"name": f"n{i}"}) for i in range(9)}
    seen = asyncio.run(crew(2, **ways).look())
    assert all(one.answers for one in seen.values())
    assert Busy.most == 2 * len(DOCUMENTS)


def test_a_configuration_that_is_not_told_is_not_one_that_is_taken() -> None:
    class Late(Told):
        async def request(
            self, method: str, target: str, body: object = None, *, timeout_s: float, lease: str | None = None
        ) -> Answer:
            raise DeadlineError("no answer to /config within 1 s")

    assert "no answer" in asyncio.run(crew(ams_1=Late(DOCUMENTS)).do(Check("ams-1", "0.2.0")))


def test_a_note_survives_that_a_connection_is_lost() -> None:
    """Else hours of work would end at it, on a node perhaps that is done."""

    class Lost(Told):
        noted = 0

        async def request(
            self, method: str, target: str, body: object = None, *, timeout_s: float, lease: str | None = None
        ) -> Answer:
            if target == "/operation":
                self.noted += 1
                if self.noted == 1:
                    raise UnreachableError("ssh ams-1: the connection was lost")
            return Answer(200, {"token": "one"})

    note = Operation(
        id="op-1", kind=Kind.UPGRADE, who="alice", started_at=1.0, nodes=("ams-1",), before="", after="0.2.0",
        step=Step.DONE, state="done",
    )  # fmt: skip
    way = Lost(DOCUMENTS)
    assert asyncio.run(crew(ams_1=way).do(Record("ams-1", note))) == ""
    assert way.noted == 2


def test_another_node_that_answers_in_the_place_of_one_ends_it() -> None:
    """Else the release, or the configuration, of the one would go to the other."""
    with pytest.raises(UsageError, match="ams-2: it is ams-1 that answers there"):
        asyncio.run(crew(ams_1=Told(DOCUMENTS), ams_2=Told(DOCUMENTS)).look())


@pytest.mark.parametrize("target", list(DOCUMENTS))
@pytest.mark.parametrize("document", ["text", [], 7, None, {}, {"view": [], "announced": 7, "time": []}])
def test_what_is_not_understood_is_as_good_as_no_answer(target: str, document: object) -> None:
    seen = asyncio.run(crew(ams_1=Told(DOCUMENTS | {target: document})).look())
    assert "of another version" in seen["ams-1"].silence
