"""Other APIs, one file each; ``catalog/service.py`` reads them."""
