"""One module for each command; ``discovery`` finds them here."""
