"""Places to log in at by OAuth 2, one file each; ``catalog/login.py`` reads them."""
