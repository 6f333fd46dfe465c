"""A node that names a backend it cannot run, or tells it nonsense, does not start; and says which key is to blame."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import check_backends, parse_config
from edge.errors import ConfigError

NODE = """
[node]
name = "ams-1"
site = "ams"
server_id = "00000000000000a1"
[service]
addresses = ["192.0.2.1"]
[unicast]
addresses = ["198.51.100.11"]
[tls]
certificate = "chain.pem"
private_key = "key.pem"
[voice]
"""


@pytest.mark.parametrize(
    "voice, where, says",
    [
        ('backend = "psychic"\n', "$.voice.backend", "not installed; choose one of"),
        ('backends = ["psychic"]\n', "$.voice.backends", "not installed"),
        ('backend = "echo"\n[backends.echo]\nloud = true\n', "$.backends.echo", "has no settings"),
        ('backends = ["openai"]\n[backends.openai]\nurll = "wss://x"\n', "$.backends.openai.urll", "'url'"),
        ('backend = "pipecat"\n', "$.backends.pipecat.url", "missing"),
        (
            'backends = ["pipecat"]\n[backends.pipecat]\nurl = 7\n',
            "$.backends.pipecat.url",
            "expected str",
        ),
    ],
)
def test_the_key_that_is_wrong_is_named(voice: str, where: str, says: str) -> None:
    config = parse_config(NODE + voice, Path("/etc/edge"))
    with pytest.raises(ConfigError) as caught:
        check_backends(config)
    assert caught.value.where == where
    assert says in caught.value.problem


def test_settings_that_a_backend_understands_are_taken() -> None:
    text = NODE + 'backends = ["openai"]\n[backends.openai]\nurl = "wss://api.example/v1/realtime"\n'
    check_backends(parse_config(text, Path("/etc/edge")))
