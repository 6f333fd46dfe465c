"""How a node talks to the routing table. It knows nothing of QUIC or calls, and never imports ``edge``.

Read in this order: ``route`` (what we want the world to know), ``neighbor`` (what that becomes on one session),
``text`` (the speaker's language), ``table`` (desired against acknowledged), ``policy`` (when to announce at all),
``conf`` (the speaker's configuration file). All of these are pure. Then what acts: ``bridge`` and ``leash`` (the
two fences), ``account`` and ``exabgp`` (one process), ``speaker`` (one process after the other).
"""
