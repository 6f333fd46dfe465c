"""How a node talks to the routing table. It knows nothing of QUIC or calls, and never imports ``edge``.

Read in this order. The first five groups are pure: time, dice and bytes come in as arguments.

* What we say: ``route`` (what we want the world to know), ``neighbor`` (what that becomes on one session).
* When to say it: ``state`` and ``ladder`` (the table of moves, and why it is so), ``params``, ``condition`` and
  ``situation`` (what is known at one moment), ``triggers`` (what makes a node want a move), ``guards`` (what
  refuses it), ``policy`` (the machine that climbs), ``explain`` (why a node is where it is).
* What it costs: ``damping`` (how routers count flaps), ``ledger`` (what ours have cost so far).
* What the others say: ``received`` (the events), ``control_route`` (state and load as communities), ``reception``,
  ``adj_rib_in``, ``members``, ``source`` and ``flap_damper`` (how much of it is believed), ``node_seen``,
  ``view_params`` and ``view`` (who else announces, and how much they can take), ``echo`` (our own, seen back).
* The speakers' languages: for ExaBGP ``conf``, ``text``, ``updates`` and ``table`` (desired against
  acknowledged); for BIRD ``bird_conf``, ``bird_control``, ``bird_heard`` and ``bird_table``.

Then what acts. ``speaker`` is what the rest of a node sees: one process after the other (``lives``), each a
``child`` that dies with us, run by an ``account``. For ExaBGP that is ``exabgp``, with ``bridge`` and ``leash`` for
its two fences; for BIRD ``bird_speaker`` and ``bird``, with ``keeper``. ``bfd`` is a BIRD beside ExaBGP. What
outlives the process is in files: ``ledger_file`` and ``starts``, by ``state_file`` and ``clocks``.
"""
