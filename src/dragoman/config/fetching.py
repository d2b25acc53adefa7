"""What of the settings says which addresses of callers may be fetched, and how much from there."""

from __future__ import annotations

from dragoman import __version__
from dragoman.config.settings import Settings
from dragoman.transport.fetch import FetchPolicy
from dragoman.transport.fetch_url import Rules


def fetch_policy(settings: Settings) -> FetchPolicy:
    """The policy of the fetcher; what no setting names is as the policy has it."""
    return FetchPolicy(
        rules=Rules(
            protocols=tuple(settings.image_fetch_allowed_protocols),
            hosts=tuple(settings.image_fetch_allowed_hosts),
            any_port=settings.image_fetch_allow_private,
        ),
        allow_private=settings.image_fetch_allow_private,
        forward_auth=settings.image_fetch_forward_auth,
        total_s=settings.image_fetch_timeout_ms / 1000,
        max_bytes=settings.image_fetch_max_bytes,
        most_bytes=4 * settings.image_fetch_max_bytes,
        most_held=max(FetchPolicy().most_held, 16 * settings.image_fetch_max_bytes),
        max_redirects=settings.image_fetch_max_redirects,
        user_agent=settings.image_fetch_user_agent or f"dragoman/{__version__}",
        referer=settings.image_fetch_referer,
    )
