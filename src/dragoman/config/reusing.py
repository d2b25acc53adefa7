"""How answers may be given again, as the settings say it."""

from __future__ import annotations

from dragoman.config.settings import Settings
from dragoman.reuse.policy import ReusePolicy


def reuse_policy(settings: Settings) -> ReusePolicy:
    """The policy of this process."""
    return ReusePolicy(
        allowed=settings.allow_client_storage,
        most_kept_bytes=settings.max_kept_bytes,
        window_s=settings.resume_window_s,
        cache_s=settings.answer_cache_ttl_s,
        cache_for=frozenset(settings.answer_cache_keys),
        cache_bytes=settings.answer_cache_bytes,
    )
