"""The configuration file of a node: `schema` says what may be in it, `load` reads it, `checks` compares its
parts, `files` reads the certificate and keys that it names, `backends` asks the backends about theirs, `source`
remembers what it was.

The structs that tune one piece of code live beside that code; here they are put together.
"""

from edge.config.backends import backend_names, check_backends
from edge.config.files import (
    Credentials,
    key_file,
    load_credentials,
    load_keys,
    load_members,
    load_token_keys,
    read_credentials,
    read_members,
)
from edge.config.fingerprint import config_hash
from edge.config.load import load_config, parse_config
from edge.config.schema import NodeConfig
from edge.config.source import ConfigFile

__all__ = [
    "ConfigFile",
    "Credentials",
    "NodeConfig",
    "backend_names",
    "check_backends",
    "config_hash",
    "key_file",
    "load_config",
    "load_credentials",
    "load_keys",
    "load_members",
    "load_token_keys",
    "parse_config",
    "read_credentials",
    "read_members",
]
