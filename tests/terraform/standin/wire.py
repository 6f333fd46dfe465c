"""The messages of Terraform's plugin protocol, version 6, of which the stand-in has a use; the wire format is protobuf.

Each field has its number and its type: a scalar of protobuf, or another message of this table; ``*`` after it: repeated.
A map of protobuf is a list of entries with a key and a value, and written as such here. Fields that are not listed are
skipped on the way in and absent on the way out, as protobuf has it.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "standin"

TABLE = {
    "Value": {"msgpack": (1, "bytes")},
    "Step": {"attribute_name": (1, "string")},
    "Path": {"steps": (1, "Step*")},
    "Diagnostic": {"severity": (1, "int32"), "summary": (2, "string"), "detail": (3, "string")},
    # --- schemas
    "Schema": {"version": (1, "int64"), "block": (2, "Block")},
    "Block": {"attributes": (2, "Attribute*"), "block_types": (3, "NestedBlock*")},
    "Attribute": {
        "name": (1, "string"),
        "type": (2, "bytes"),
        "required": (4, "bool"),
        "optional": (5, "bool"),
        "computed": (6, "bool"),
        "sensitive": (7, "bool"),
        "nested_type": (10, "Object"),
    },
    "Object": {"attributes": (1, "Attribute*"), "nesting": (3, "int32")},
    "NestedBlock": {
        "type_name": (1, "string"),
        "block": (2, "Block"),
        "nesting": (3, "int32"),
        "min_items": (4, "int64"),
        "max_items": (5, "int64"),
    },
    "SchemaEntry": {"key": (1, "string"), "value": (2, "Schema")},
    # --- calls
    "Empty": {},
    "Schemas": {
        "provider": (1, "Schema"),
        "resource_schemas": (2, "SchemaEntry*"),
        "data_source_schemas": (3, "SchemaEntry*"),
    },
    "RawState": {"json": (1, "bytes")},
    "UpgradeRequest": {"type_name": (1, "string"), "raw_state": (3, "RawState")},
    "UpgradeResponse": {"upgraded_state": (1, "Value")},
    "ReadRequest": {"type_name": (1, "string"), "current_state": (2, "Value")},
    "ReadResponse": {"new_state": (1, "Value")},
    "PlanRequest": {
        "type_name": (1, "string"),
        "prior_state": (2, "Value"),
        "proposed_new_state": (3, "Value"),
    },
    "PlanResponse": {"planned_state": (1, "Value"), "requires_replace": (2, "Path*")},
    "ApplyRequest": {"type_name": (1, "string"), "planned_state": (3, "Value")},
    "ApplyResponse": {"new_state": (1, "Value")},
    "DataRequest": {"type_name": (1, "string"), "config": (2, "Value")},
    "DataResponse": {"state": (1, "Value"), "diagnostics": (2, "Diagnostic*")},
}


def _classes() -> dict[str, type[Message]]:
    file = FileDescriptorProto(name=f"{PACKAGE}.proto", package=PACKAGE, syntax="proto3")
    for name, fields in TABLE.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            repeated, kind = kind.endswith("*"), kind.removesuffix("*")
            added = message.field.add(name=field, number=number)
            added.label = (
                FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
            )
            if kind in TABLE:
                added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
            else:
                added.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in TABLE}


MESSAGES = _classes()


def make(message: str, /, **fields: Any) -> Message:
    return MESSAGES[message](**fields)
