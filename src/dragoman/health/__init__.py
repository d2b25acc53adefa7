"""How providers are doing: breakers, rests of keys, times. Pure: the time is passed in."""
