"""From a model string to an ordered plan of candidates. Pure: health and time are passed in."""
