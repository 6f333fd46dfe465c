"""The recogniser's processes: ``python -m edge.backend.demo.recogniser``, started by `edge.backend.demo.listener`.

One process loads the model (0.7 s, 100 MB) and forks one for each call, in milliseconds and with that memory shared. A
call's process begins with the model as it was loaded, so that nothing of another caller is in it.

Between a worker and the first: standard input is a socket (SOCK_SEQPACKET); each message brings the descriptor of a
call's socket. Between a worker and a call's process, on that: records of a 4-byte big-endian length and as much
PCM (16 bit, mono, 16 kHz), of length 0 where the turn ends; and back one JSON object a line (`Report`).
Whoever reads the end of its socket exits: nobody outlives the worker.
"""

import os
import signal
import socket

import msgspec
import pocketsphinx  # type: ignore[import-untyped]

from edge.backend.demo.wire import HEADER, MAX_RECORD, RATE_HZ, Report

REPORT_BYTES = RATE_HZ * 2 // 5
"""What has been understood so far is looked at every 200 ms."""

_CMN = "47.7,0.7,9.7,19.9,4.5,1.6,5.0,-9.6,-6.2,-4.8,11.0,-0.4,3.0"
"""Cepstral means of two minutes of speech at -20 dB. The model's own are of other microphones: with them every third
first sentence is misunderstood, until the decoder has adapted."""


def serve(orders: socket.socket) -> None:
    """Fork a process for each socket that ``orders`` brings, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the worker decides when calls end
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    decoder = pocketsphinx.Decoder(samprate=RATE_HZ, loglevel="FATAL")
    decoder.set_cmn(_CMN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, 1, 1)
        if not message:
            return
        with socket.socket(fileno=descriptors[0]) as call:
            if os.fork() == 0:
                orders.close()
                try:
                    recognise(call, decoder)
                finally:
                    os._exit(0)


def recognise(call: socket.socket, decoder: pocketsphinx.Decoder) -> None:
    """One call: turn after turn until its socket ends."""
    encode = msgspec.json.Encoder().encode

    def report(report: Report) -> None:
        call.sendall(encode(report) + b"\n")

    report(Report(pid=os.getpid()))
    with call.makefile("rb") as records:
        in_turn, unreported, words = False, 0, ""
        while len(header := records.read(HEADER.size)) == HEADER.size:
            (size,) = HEADER.unpack(header)
            if size > MAX_RECORD:
                return
            if not in_turn:
                decoder.start_utt()
                in_turn, unreported, words = True, 0, ""
            if size == 0:
                decoder.end_utt()
                in_turn = False
                report(Report(words=_words(decoder), final=True))
                continue
            decoder.process_raw(records.read(size), no_search=False, full_utt=False)
            unreported += size
            if unreported >= REPORT_BYTES:
                unreported = 0
                if words != (words := _words(decoder)):
                    report(Report(words=words))


def _words(decoder: pocketsphinx.Decoder) -> str:
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis is not None else ""


if __name__ == "__main__":
    serve(socket.socket(fileno=0))
