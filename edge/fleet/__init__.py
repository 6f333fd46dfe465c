"""A fleet as its operator sees it: the file that says what it is, and the ways to its nodes."""
