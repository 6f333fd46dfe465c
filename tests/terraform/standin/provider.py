"""A provider that has the schemas of a true one and no cloud behind it.

What it computes is unknown in the plan and made up on apply; an attribute that forces a new resource is said to; what was
made stays as it is. That is enough to hold a module to its types, its wiring and its idempotence, and no more: nothing
here knows what a region or a plan is.
"""

from __future__ import annotations

from typing import Any

import msgspec
import schema
import wire
from google.protobuf.message import Message
from values import Answers, is_unknown, planned, read, write


class StandIn:
    """``provider`` is one entry of ``provider_schemas``; ``behaviour``: by resource, ``force_new`` and ``answers``."""

    def __init__(self, provider: dict[str, Any], behaviour: dict[str, Any]) -> None:
        self._provider = provider
        self._behaviour = behaviour

    def schemas(self, request: Message) -> Message:
        return schema.all_schemas(self._provider)

    def no_objection(self, request: Message) -> Message:
        """To a configuration: what the types and the schema say, Terraform has checked."""
        return wire.make("Empty")

    def upgrade(self, request: Message) -> Message:
        """A state file has JSON in it."""
        return wire.make("UpgradeResponse", upgraded_state=write(msgspec.json.decode(request.raw_state.json)))

    def read(self, request: Message) -> Message:
        return wire.make("ReadResponse", new_state=request.current_state)

    def plan(self, request: Message) -> Message:
        prior, proposed = read(request.prior_state), read(request.proposed_new_state)
        if proposed is None:
            return wire.make("PlanResponse", planned_state=write(None))
        if prior is None:
            return wire.make(
                "PlanResponse", planned_state=write(planned(self._block(request.type_name), proposed))
            )
        replacing = [
            name for name in self._traits(request).get("force_new", ()) if prior[name] != proposed[name]
        ]
        paths = [wire.make("Path", steps=[wire.make("Step", attribute_name=name)]) for name in replacing]
        return wire.make("PlanResponse", planned_state=write(proposed), requires_replace=paths)

    def apply(self, request: Message) -> Message:
        value = read(request.planned_state)
        if value is not None:
            value = self._answers(request, value).fill(self._block(request.type_name), value)
        return wire.make("ApplyResponse", new_state=write(value))

    def data(self, request: Message) -> Message:
        block = self._provider["data_source_schemas"][request.type_name]["block"]
        config = read(request.config)
        value = planned(block, config)
        return wire.make("DataResponse", state=write(self._answers(request, config).fill(block, value)))

    def _block(self, type_name: str) -> dict[str, Any]:
        return self._provider["resource_schemas"][type_name]["block"]

    def _traits(self, request: Message) -> dict[str, Any]:
        return self._behaviour.get(request.type_name, {})

    def _answers(self, request: Message, value: dict[str, Any]) -> Answers:
        configured = {name: item for name, item in value.items() if not is_unknown(item)}
        return Answers(request.type_name, configured, self._traits(request).get("answers", {}))
