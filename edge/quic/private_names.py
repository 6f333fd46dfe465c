"""What the connections of this package and `edge.quic.http3` use of aioquic beyond its documentation, held against what is installed.

Each name stands with the line of aioquic 1.7.2 where it was read and with its purpose. Moving to another
version means reading those lines again.
"""

from typing import NamedTuple

import aioquic
from aioquic.h3.connection import H3Connection
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection, QuicNetworkPath
from aioquic.quic.recovery import QuicPacketRecovery
from aioquic.quic.stream import QuicStream
from aioquic.tls import Context

from edge.errors import EdgeError

ENGINE_VERSION = "1.7.2"


class PrivateName(NamedTuple):
    """A name of aioquic that no documentation promises."""

    owner: str
    name: str
    line: int
    purpose: str


PRIVATE_NAMES = (
    PrivateName("QuicConnection", "_host_cids", 306, "hand out our CIDs and reset tokens"),
    PrivateName("QuicConnection", "_host_cid_seq", 315, "number them; the preferred address takes 1"),
    PrivateName("QuicConnection", "_local_initial_source_connection_id", 319, "CID our handshake names"),
    PrivateName("QuicConnection", "_remote_active_connection_id_limit", 352, "how many the peer holds"),
    PrivateName("QuicConnection", "_replenish_connection_ids", 3114, "override: replace retired CIDs"),
    PrivateName("QuicConnection", "_write_new_connection_id_frame", 4026, "override: Retire Prior To"),
    PrivateName("QuicConnection", "_on_new_connection_id_delivery", 2794, "have it sent again"),
    PrivateName("QuicConnection", "_write_handshake_done_frame", 4013, "override: NEW_TOKEN beside it"),
    PrivateName("QuicConnection", "_initialize", 1798, "override: tickets of our own"),
    PrivateName("QuicConnection", "_serialize_transport_parameters", 3436, "override: preferred_address"),
    PrivateName("QuicConnection", "_network_paths", 340, "paths in use, the active one first"),
    PrivateName("QuicConnection", "_peer_cid", 343, "CIDs a peer can spare; token of a stateless reset"),
    PrivateName("QuicConnection", "_original_destination_connection_id", 380, "make it long enough"),
    PrivateName("QuicConnection", "_probe_preferred_address", 2941, "override: notice the probe"),
    PrivateName("QuicConnection", "_handshake_complete", 304, "nothing to probe or reset before it"),
    PrivateName("QuicConnection", "_connect", 1499, "override: send again what was early for a Retry"),
    PrivateName("QuicConnection", "_confirm_handshake", 1483, "override: begin to delay ACKs"),
    PrivateName("QuicConnection", "_events", 303, "take all events at once"),
    PrivateName("QuicConnection", "_state", 370, "who closed; whether an Initial was genuine"),
    PrivateName("QuicConnection", "_close_event", 294, "know of a close before draining ends"),
    PrivateName("QuicConnection", "_close_pending", 408, "notice a CONNECTION_CLOSE that is about to leave"),
    PrivateName("QuicConnection", "_close_begin", 1458, "drain after a stateless reset"),
    PrivateName("QuicConnection", "_loss", 397, "round-trip time and probe timeout"),
    PrivateName("QuicConnection", "_spaces", 367, "when the next ACK is due"),
    PrivateName("QuicConnection", "_ack_delay", 291, "delay ACKs by what we advertise, not 1 ms"),
    PrivateName("QuicConnection", "_alpn_handler", 1319, "override: tickets for one protocol only"),
    PrivateName("QuicConnection", "_payload_received", 2852, "override: count what is to be acknowledged"),
    PrivateName(
        "QuicConnection", "_streams", 371, "what is not acknowledged, and what waits for a gap to close"
    ),
    PrivateName("QuicConnection", "_crypto_streams", 302, "the same during the handshake"),
    PrivateName("QuicConnection", "_local_max_data", 320, "notice a peer that leaves gaps"),
    PrivateName("QuicConnection", "_remote_max_datagram_frame_size", 357, "whether datagrams are wanted"),
    PrivateName("QuicConnection", "_remote_max_data", 355, "whether the peer reads"),
    PrivateName("QuicConnection", "_remote_max_data_used", 356, "the same"),
    PrivateName("QuicConnection", "_max_datagram_size", 339, "what fits a packet"),
    PrivateName("QuicConnection", "_datagrams_pending", 409, "how many wait for the congestion window"),
    PrivateName("QuicConnection", "_ping_pending", 411, "whether a PING was asked for"),
    PrivateName("QuicConnection", "_retire_connection_ids", 413, "whether CIDs are to be given back"),
    PrivateName("QuicPacketRecovery", "_on_packets_lost", 528, "send refused early data again"),
    PrivateName("QuicPacketRecovery", "_rtt_smoothed", 158, "round-trip time"),
    PrivateName("QuicPacketRecovery", "_rtt_initialized", 155, "whether it has been measured"),
    PrivateName("QuicStreamSender", "_buffer_start", 195, "first byte that is not acknowledged"),
    PrivateName("QuicStreamSender", "_buffer_stop", 196, "end of what was written"),
    PrivateName("QuicStreamSender", "_reset_error_code", 199, "whether what it holds will still be sent"),
    PrivateName(
        "H3Connection", "_get_local_settings", 764, "override: settings of later WebTransport drafts"
    ),
    # Without an underscore, but attributes of objects that only the engine is meant to see.
    PrivateName("Context", "alpn_negotiated", 1354, "which protocol early data is of"),
    PrivateName("Context", "early_data_accepted", 1355, "whether there is early data"),
    PrivateName("Context", "get_session_ticket_cb", 1316, "not to look for a ticket"),
    PrivateName("Context", "_server_handle_finished", 2188, "wrap: send a ticket of our own"),
    PrivateName("Context", "_build_session_ticket", 1499, "what it has to hold"),
    PrivateName("Context", "_psk_key_exchange_mode", 1364, "whether the client can use one"),
    PrivateName("QuicNetworkPath", "addr", 201, "the `Path` it stands for"),
    PrivateName("QuicNetworkPath", "bytes_received", 202, "what may be sent to a peer that may not be there"),
    PrivateName("QuicNetworkPath", "bytes_sent", 203, "the same"),
    PrivateName("QuicNetworkPath", "is_validated", 204, "whether the peer is known to be there"),
    PrivateName("QuicNetworkPath", "peer_cid", 207, "CID reserved for probing"),
    PrivateName("QuicNetworkPath", "local_challenge_sent", 205, "suppress or repeat a PATH_CHALLENGE"),
    PrivateName("QuicNetworkPath", "remote_challenges", 208, "whether the peer waits for a PATH_RESPONSE"),
    PrivateName("QuicStream", "max_stream_data_remote", 383, "whether the peer reads"),
    PrivateName("QuicStream", "is_blocked", 380, "whether the peer lets it be opened"),
    PrivateName("QuicStreamSender", "buffer_is_empty", 186, "whether a stream has something to send"),
    PrivateName("QuicStreamSender", "reset_pending", 189, "the same for a reset"),
    PrivateName("QuicStreamReceiver", "stop_pending", 33, "the same for the other direction"),
)


def verify_engine() -> None:
    """Hold the installed aioquic against what this file was written for; raises `EdgeError`."""
    if aioquic.__version__ != ENGINE_VERSION:
        raise EdgeError(
            f"aioquic {aioquic.__version__}: this build needs exactly {ENGINE_VERSION};"
            f" install it with 'pip install aioquic=={ENGINE_VERSION}'"
        )
    owners: dict[str, object] = {
        "QuicConnection": QuicConnection(configuration=QuicConfiguration(is_client=True)),
        "QuicPacketRecovery": QuicPacketRecovery(
            congestion_control_algorithm="reno",
            initial_rtt=0.1,
            max_datagram_size=1200,
            peer_completed_address_validation=False,
            send_probe=lambda: None,
        ),
        "H3Connection": H3Connection,
        "Context": Context(is_client=False),
        "QuicStream": QuicStream(),
        "QuicStreamSender": QuicStream().sender,
        "QuicStreamReceiver": QuicStream().receiver,
        "QuicNetworkPath": QuicNetworkPath(("192.0.2.1", 443)),
    }
    missing = [f"{owner}.{name}" for owner, name, *_ in PRIVATE_NAMES if not hasattr(owners[owner], name)]
    if missing:
        raise EdgeError(f"aioquic {aioquic.__version__}: lacks {', '.join(missing)}; reinstall it unmodified")
