"""Checks of any gateway's surfaces over HTTP; shares no line with the codecs, so it can disagree with them."""
