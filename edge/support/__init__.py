"""What helps others to understand a node, in one file, without what is nobody's business.

Twice over: only what is on a list goes in, and whatever goes in is searched for secrets and for strangers' addresses.
"""

from edge.support.bundle import Bundle, Source, packed
from edge.support.scrub import Scrubber, secrets_in

__all__ = ["Bundle", "Scrubber", "Source", "packed", "secrets_in"]
