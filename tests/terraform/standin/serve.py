"""Run as `serve.py SCHEMAS BEHAVIOUR`: what Terraform starts as a provider's program.

Terraform and its plugins agree on a socket with one line on stdout, then speak gRPC over it. That they do so in the clear
here is `TF_DISABLE_PLUGIN_TLS`, which the tests set: the socket is in a folder that only this user can enter.
"""

import os
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import msgspec
import wire
from provider import StandIn

COOKIE = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"


def methods(standin: StandIn) -> dict[str, tuple[object, str]]:
    """By name: what answers, and the message that it takes."""
    return {
        "GetProviderSchema": (standin.schemas, "Empty"),
        "ValidateProviderConfig": (standin.no_objection, "Empty"),
        "ValidateResourceConfig": (standin.no_objection, "Empty"),
        "ValidateDataResourceConfig": (standin.no_objection, "Empty"),
        "ConfigureProvider": (standin.no_objection, "Empty"),
        "StopProvider": (standin.no_objection, "Empty"),
        "UpgradeResourceState": (standin.upgrade, "UpgradeRequest"),
        "ReadResource": (standin.read, "ReadRequest"),
        "PlanResourceChange": (standin.plan, "PlanRequest"),
        "ApplyResourceChange": (standin.apply, "ApplyRequest"),
        "ReadDataSource": (standin.data, "DataRequest"),
    }


def service(name: str, table: dict[str, tuple[object, str]]) -> grpc.GenericRpcHandler:
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(
            lambda request, _context, answer=answer: answer(request),
            request_deserializer=wire.MESSAGES[message].FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )
        for method, (answer, message) in table.items()
    }
    return grpc.method_handlers_generic_handler(name, handlers)


def main(schemas: str, behaviour: str) -> None:
    if os.environ.get("TF_PLUGIN_MAGIC_COOKIE") != COOKIE:
        sys.exit("This is a provider for Terraform's tests, which Terraform starts.")
    (provider,) = msgspec.json.decode(Path(schemas).read_bytes())["provider_schemas"].values()
    standin = StandIn(provider, msgspec.json.decode(Path(behaviour).read_bytes())["behaviour"])
    done = threading.Event()

    def shutdown(_request: object) -> object:
        done.set()
        return wire.make("Empty")

    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers(
        [
            service("tfplugin6.Provider", methods(standin)),
            service("plugin.GRPCController", {"Shutdown": (shutdown, "Empty")}),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        server.add_insecure_port(f"unix://{folder}/socket")
        server.start()
        sys.stdout.write(f"1|6|unix|{folder}/socket|grpc\n")
        sys.stdout.flush()
        terraform = os.getppid()
        while not done.wait(timeout=1) and os.getppid() == terraform:
            pass  # Terraform that was killed has not said good-bye.
        server.stop(grace=1).wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
