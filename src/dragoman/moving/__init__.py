"""Moving in from other gateways and out of this one: their files read, ours written."""
