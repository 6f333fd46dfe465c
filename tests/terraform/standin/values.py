"""Values as Terraform sends them: MessagePack, in which what is not known yet is an extension of type 0."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import msgspec
import wire
from google.protobuf.message import Message

UNKNOWN = msgspec.msgpack.Ext(0, b"\0")


def read(value: Message) -> Any:
    return msgspec.msgpack.decode(value.msgpack)


def write(value: Any) -> Message:
    return wire.make("Value", msgpack=msgspec.msgpack.encode(value))


def is_unknown(value: Any) -> bool:
    return isinstance(value, msgspec.msgpack.Ext)


def planned(block: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """``value`` of a new resource, where what the provider computes and nobody set is unknown."""
    result = dict(value)
    for name, attribute in block.get("attributes", {}).items():
        if attribute.get("computed") and result.get(name) is None:
            result[name] = UNKNOWN
        elif (inner := attribute.get("nested_type")) and result.get(name) is not None:
            result[name] = _each(inner, inner["nesting_mode"], result[name], planned)
    for name, nested in block.get("block_types", {}).items():
        if result.get(name) is not None:
            result[name] = _each(nested["block"], nested["nesting_mode"], result[name], planned)
    return result


def _each(block: dict[str, Any], mode: str, value: Any, do: Any) -> Any:
    if is_unknown(value):
        return value
    if mode in {"list", "set"}:
        return [do(block, item) for item in value]
    if mode == "map":
        return {key: do(block, item) for key, item in value.items()}
    return do(block, value)


class Answers:
    """What the provider would have computed: the same for the same resource, and from the documentation's addresses.

    ``given`` has answers by attribute; in their strings ``{v4}``, ``{v6}``, ``{hex}`` and ``{number}`` differ from
    resource to resource. What is not given is made up by its type.
    """

    def __init__(self, type_name: str, configured: dict[str, Any], given: dict[str, Any]) -> None:
        known = msgspec.json.encode(_without_unknown(configured), order="sorted")
        digest = hashlib.sha256(type_name.encode() + known).digest()
        self._type_name = type_name
        self._given = given
        self._words = {
            "v4": str(IPv4Address("203.0.113.0") + 1 + digest[0] % 254),
            "v6": str(IPv6Address("2001:db8::") + int.from_bytes(digest[:8])),
            "hex": digest.hex()[:17],
            "number": str(int.from_bytes(digest[:3])),
        }

    def fill(self, block: dict[str, Any], value: dict[str, Any], *, top: bool = True) -> dict[str, Any]:
        """``value`` without anything unknown."""
        result = dict(value)
        for name, attribute in block.get("attributes", {}).items():
            if is_unknown(result.get(name)):
                result[name] = self._answer(name, attribute, top=top)
            elif (inner := attribute.get("nested_type")) and result.get(name) is not None:
                result[name] = _each(inner, inner["nesting_mode"], result[name], self._inner)
        for name, nested in block.get("block_types", {}).items():
            if result.get(name) is not None:
                result[name] = _each(nested["block"], nested["nesting_mode"], result[name], self._inner)
        return result

    def _inner(self, block: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        return self.fill(block, value, top=False)

    def _answer(self, name: str, attribute: dict[str, Any], *, top: bool) -> Any:
        if top and name in self._given:
            return self._in_words(self._given[name])
        if inner := attribute.get("nested_type"):
            if inner["nesting_mode"] == "single":
                everything = dict.fromkeys(inner["attributes"], UNKNOWN)
                return self._inner(inner, everything)
            return {} if inner["nesting_mode"] == "map" else []
        return self._of_type(attribute["type"])

    def _of_type(self, kind: Any) -> Any:
        match kind:
            case "string":
                return f"{self._type_name}-{self._words['hex']}"
            case "number":
                return int(self._words["number"])
            case "bool":
                return False
            case ["object", fields]:
                return {name: self._of_type(inner) for name, inner in fields.items()}
            case ["map", _]:
                return {}
            case _:
                return []

    def _in_words(self, answer: Any) -> Any:
        match answer:
            case str():
                return answer.format_map(self._words)
            case list():
                return [self._in_words(item) for item in answer]
            case dict():
                return {key: self._in_words(item) for key, item in answer.items()}
        return answer


def _without_unknown(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_unknown(item) for key, item in value.items() if not is_unknown(item)}
        case list():
            return [_without_unknown(item) for item in value if not is_unknown(item)]
    return value
