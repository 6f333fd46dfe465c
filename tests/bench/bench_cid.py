"""Connection IDs encoded and decoded per second, one core.

Method: for each algorithm, one prepared codec (as a node has it) encodes 20,000 connection IDs of different
nonces, and a ring of one configuration decodes them. The clock is this process's CPU time (user + system), so
that a busy machine does not count against us; a figure is the median of five rounds. Before timing, every
connection ID is decoded and compared with what it was made of: that is "delivered". Ratios are to plaintext,
which does everything but encrypt.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from edge.cid import Algorithm, CidCodec, CidConfig, CidRing, profile_edge

COUNT = 20_000
ROUNDS = 5
KEY = bytes(range(16))
CONFIGS = (
    CidConfig(0, 8, 8),
    profile_edge(0, KEY),
    CidConfig(0, 8, 10, KEY),
)


def run() -> list[dict[str, Any]]:
    return [row for config in CONFIGS for row in rows_of(config)]


def rows_of(config: CidConfig) -> list[dict[str, Any]]:
    codec, ring = CidCodec(config), CidRing([config])
    server_id = bytes(range(config.server_id_length))
    nonces = [number.to_bytes(config.nonce_length, "big") for number in range(COUNT)]
    cids = [codec.encode(server_id, nonce) for nonce in nonces]
    delivered = all(
        ring.decode(cid) == (config.rotation, server_id, nonce, 0)
        for nonce, cid in zip(nonces, cids, strict=True)
    )

    def encode_all() -> None:
        for nonce in nonces:
            codec.encode(server_id, nonce)

    def decode_all() -> None:
        for cid in cids:
            ring.decode(cid)

    return [
        {
            "group": "cid",
            "name": f"{verb} {config.algorithm}",
            "value": operations_per_s(work),
            "unit": "1/s",
            "delivered": delivered,
            "relative_to": f"{verb} {Algorithm.PLAINTEXT}",
        }
        for verb, work in (("encode", encode_all), ("decode", decode_all))
    ]


def operations_per_s(work: Callable[[], None]) -> float:
    """Median over the rounds, of `COUNT` operations each."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return COUNT / statistics.median(seconds)
