"""What is wrong with this machine as a node, found from the machine itself, with what to do about it.

Each check looks at one thing and never changes any. What cannot be known from here is said, too: a node sees its own
addresses over loopback, and only somebody else can tell that they are reached from outside.
"""

from edge.doctor.examine import Patient, examine
from edge.doctor.finding import Finding, Verdict, worst

__all__ = ["Finding", "Patient", "Verdict", "examine", "worst"]
