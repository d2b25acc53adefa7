"""How we prove ourselves to providers: which key, shown how, and to whom only."""
