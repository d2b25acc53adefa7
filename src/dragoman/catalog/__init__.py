"""What the house knows: providers, models, prices, and which model string means which.

Everything here is data or a pure function of it. Files are read once when the process
starts; listings of providers come in from outside (``listing.Listings``), as does the time.
"""
