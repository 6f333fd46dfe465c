"""What `terraform providers schema -json` prints of one provider, as messages, and as things to walk through."""

from typing import Any

import msgspec
import wire
from google.protobuf.message import Message

NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}


def all_schemas(provider: dict[str, Any]) -> Message:
    """The answer to GetProviderSchema."""
    return wire.make(
        "Schemas",
        provider=_schema(provider.get("provider", {"version": 0, "block": {}})),
        resource_schemas=_entries(provider.get("resource_schemas", {})),
        data_source_schemas=_entries(provider.get("data_source_schemas", {})),
    )


def _entries(schemas: dict[str, Any]) -> list[Message]:
    return [wire.make("SchemaEntry", key=name, value=_schema(schema)) for name, schema in schemas.items()]


def _schema(schema: dict[str, Any]) -> Message:
    return wire.make("Schema", version=schema["version"], block=_block(schema["block"]))


def _block(block: dict[str, Any]) -> Message:
    return wire.make(
        "Block",
        attributes=_attributes(block.get("attributes", {})),
        block_types=[
            wire.make(
                "NestedBlock",
                type_name=name,
                block=_block(nested["block"]),
                nesting=NESTING[nested["nesting_mode"]],
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in block.get("block_types", {}).items()
        ],
    )


def _attributes(attributes: dict[str, Any]) -> list[Message]:
    return [_attribute(name, attribute) for name, attribute in attributes.items()]


def _attribute(name: str, attribute: dict[str, Any]) -> Message:
    flags = {flag: attribute.get(flag, False) for flag in ("required", "optional", "computed", "sensitive")}
    if (nested := attribute.get("nested_type")) is not None:
        inner = wire.make(
            "Object", attributes=_attributes(nested["attributes"]), nesting=NESTING[nested["nesting_mode"]]
        )
        return wire.make("Attribute", name=name, nested_type=inner, **flags)
    return wire.make("Attribute", name=name, type=msgspec.json.encode(attribute["type"]), **flags)
