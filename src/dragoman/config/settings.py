"""Every setting, once: its name, its type, its default and what it means.

A setting's environment variable is its name in capitals. Where a value comes from is decided
in ``load.py``: flag, environment, ``.env``, ``dragoman.toml``, default (D37). Times end in their unit.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from dragoman.config.folders import default_home, default_secrets
from dragoman.config.origins import wrong_origins
from dragoman.config.proxies import as_networks
from dragoman.config.words import CommaList, Protocols, in_lower_case, mode_word
from dragoman.core.errors import GatewayError
from dragoman.core.provider import Strategy
from dragoman.telemetry.sampling import SamplerName

Mode = Literal["local", "test", "prod"]


class ConfigError(GatewayError):
    """The configuration cannot be used; the message says which part and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid_request", message, code="configuration_error", status=500)


class Settings(BaseSettings):
    """The configuration of one process."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, case_sensitive=False)

    # --- server
    mode: Annotated[Mode, BeforeValidator(mode_word)] = "prod"
    """local: for one person on one machine; test: fixed quotas; prod: fail-closed."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    bind_host: str | None = None
    """The same by another name, which goes before ``HOST`` where both are said at one place."""
    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that share the port."""
    dragoman_home: Path = Field(default_factory=default_home)
    """Folder of the database, the journal and the sealed secrets."""
    library_folder: Path | None = None
    """Folder of the library's own JSON files; api/api_json in ``dragoman_home`` unless said."""
    database_url: str | None = None
    """Default: SQLite in ``dragoman_home``; must be said in prod."""
    allowed_hosts: CommaList = []
    """Names beyond localhost that a Host header may say in local mode."""
    trusted_proxies: Annotated[CommaList, AfterValidator(as_networks)] = []
    """Addresses and networks (CIDR) of proxies whose X-Forwarded-For is believed; docs/deployment.md."""
    cors_allow_origins: CommaList = []
    """Web origins whose pages may call; must be said in prod, without a wildcard."""
    local_keys: CommaList = ["2api_test"]
    """Keys accepted in local mode on a bind beyond loopback."""
    max_body_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    """The largest request body that is read; a larger one is 413."""
    drain_timeout_s: float = Field(default=120, ge=0)
    """How long streams may run on after SIGTERM."""
    drain_delay_s: float = Field(default=0, ge=0, le=600)
    """How long SIGTERM still takes requests while /ready says 503, so that balancers look elsewhere first."""
    strict_local_guards: bool = False
    """Refuses a half-configured start in local mode as well, as production does."""

    # --- surfaces
    enable_openai_routes: bool = True
    """Serves OpenAI's paths under /v1; without it they are 404."""
    enable_anthropic_routes: bool = True
    """Serves Messages and their token counter, under /v1 and on Anthropic's router (/v3)."""
    enable_gemini_routes: bool = True
    """Serves Gemini's paths, under /v1beta, /v1 and on its router (/v2)."""
    enable_groq_routes: bool = True
    """Serves Groq's router (/v4)."""
    enable_ollama_routes: bool = True
    """Serves Ollama's paths, under /api and on its router (/v5)."""
    enable_openrouter_routes: bool = True
    """Serves OpenRouter's router (/v6)."""
    enable_models_routes: bool = True
    """Serves the lists of models under /v1; a router's own goes with the router."""
    enable_admin_routes: bool = True
    """Serves what admins do over HTTP, under /admin and /api/admin, and what tenants manage for themselves."""

    # --- admin API
    admin_keys_rate_limit_rps: int = Field(default=5, ge=0)
    """Keys of providers that one address may hand in a second, without a key of its own; 0: as many as come."""
    admin_keys_rate_limit_rpm: int = Field(default=60, ge=0)
    """The same of a minute."""
    admin_keys_rate_limit_rpd: int = Field(default=1000, ge=0)
    """The same of a day."""
    admin_keys_max_body_bytes: int = Field(default=4096, ge=64, le=65_536)
    """The largest body of such a request; a larger one is 413."""
    admin_keys_allowed_providers: CommaList = []
    """Providers whose keys may be handed in; any that is known unless said."""
    admin_keys_log_max_entries: int = Field(default=1000, ge=1)
    """Keys that may wait for an administrator, and the most that are listed at once."""
    admin_keys_log_max_bytes: int = Field(default=5 * 1024 * 1024, ge=1024)
    """Size above which the log of them, logs/admin-keys.jsonl in the home, is turned over."""
    admin_metrics_max_error_lines: int = Field(default=200_000, ge=1)
    """Failed calls, the newest first, that the summary of metrics looks through."""

    # --- secrets and keys
    fernet_key: SecretStr | None = None
    """Seals the database's own secrets: a comma list, the first seals and all open; must be said in prod."""
    dragoman_secrets: Path = Field(default_factory=default_secrets)
    """Folder of your own keys of providers (`.env`) and of logins by OAuth, open to you alone."""
    credential_store: Literal["file", "keyring"] = "file"
    """Where your keys of providers are kept: in that folder, or in the system's keyring, which then also seals
    the logins; needs the extra `[keyring]`."""
    ob1_rotation_mode: Literal["cache-first", "balanced", "performance"] = "cache-first"
    """Whose turn it is among OB-1's accounts: stay with one while it is well, take turns, or take any."""
    ob1_proxy_url: SecretStr | None = None
    """An HTTP proxy, as http://user:password@host:3128, by which OB-1 and its accounts' server are reached."""
    key_prefix: str = Field(default="drg", pattern=r"^[a-z0-9]{2,16}$")
    """What the keys that are made here begin with."""
    key_stale_s: float = Field(default=600, ge=1, le=600)
    """How long known keys go on while the database cannot be asked; a revocation waits as long."""
    default_admin_user_id: str | None = None
    """The user of the admin key that is stored at the start, together with the next one."""
    default_admin_api_key: SecretStr | None = Field(default=None, min_length=8, max_length=256)
    """That admin key: 8 to 256 visible ASCII characters."""

    # --- upstream, as D17 says
    connect_timeout_ms: int = Field(default=3_000, ge=1)
    """How long connecting to a provider may take."""
    first_event_timeout_ms: int = Field(default=600_000, ge=1)
    """How long a provider may take to its first event, or to a whole reply."""
    stream_idle_timeout_ms: int = Field(default=120_000, ge=1)
    """How long a provider may be silent within a stream."""
    upstream_timeout_ms: int | None = Field(default=None, ge=1)
    """Bounds ``first_event_timeout_ms`` where set."""
    stream_write_timeout_ms: int = Field(default=60_000, ge=1)
    """How long a caller may leave a stream unread."""
    max_retries: int = Field(default=2, ge=0, le=10)
    """Retries of one request, all candidates together, before its first byte."""
    retry_share: float = Field(default=0.2, ge=0, le=1)
    """Tries beyond the first, as a share of requests, for each provider and for all together."""
    retries_per_s: float = Field(default=3, ge=0)
    """Tries beyond the first that may be made every second besides."""
    hedge: Literal["asked", "always", "never"] = "asked"
    """Who gets a second try beside a slow one: who says ``routing.hedge``, everybody, or nobody."""
    hedge_share: float = Field(default=0.1, ge=0, le=1)
    """At most so many of them get one."""
    breaker_failures: int = Field(default=5, ge=1)
    """Failures in a row that open a breaker."""
    breaker_open_s: float = Field(default=30, gt=0)
    """How long a breaker stays open before a request may probe."""
    disable_provider_auto_disable: bool = False
    """Switches auto-disable off: no model or provider is left out for its failures beyond its breakers."""
    disable_provider_after_models: int = Field(default=2, ge=1)
    """So many disabled models of a provider disable all of it."""
    disable_model_after_s: float = Field(default=60, ge=0)
    """How long at least the requests to a model have to fail in a row, five or more, before it is disabled."""
    disable_probe_s: float = Field(default=60, gt=0)
    """Seconds after which a request may try again who is disabled."""
    upstream_client: Literal["direct", "ry", "aiohttp"] | None = None
    """The HTTP client towards providers; the gateway's own (direct) unless said."""
    upstream_ca_file: Path | None = None
    """A PEM file of authorities that are trusted beside the system's."""
    max_upstream_connections: int = Field(default=4096, ge=1)
    """Connections to providers in use at once; beyond it a request is refused with 503."""
    use_stub_adapters: bool | None = None
    """Forces (true) or forbids (false) the stub that answers without a provider."""

    # --- routing
    routing_strategy: Strategy = "cost"
    """How ``auto`` chooses unless the request says it; docs/routing.md has them all."""
    model_caps_refresh_ms: int = Field(default=5000, ge=0)
    """How old the list of models may be, with who has each and how quick it is; it is worked out from memory."""

    # --- images and documents by address
    image_fetch: bool = True
    """Whether what a request names by address is fetched for providers that take bytes alone (Gemini, Ollama)."""
    image_fetch_providers: CommaList = []
    """Providers, by name or `*`, that get pictures as bytes though they could fetch them themselves."""
    image_fetch_timeout_ms: int = Field(default=15_000, ge=1)
    """How long fetching one image or document may take, redirects included."""
    image_fetch_max_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    """The largest image or document that is fetched; all of one request may be four times that."""
    image_fetch_max_redirects: int = Field(default=3, ge=0, le=10)
    """Redirects that are followed, each judged like a first address."""
    image_fetch_allow_private: bool = False
    """Opens loopback and private networks, at any port; metadata services stay closed."""
    image_fetch_forward_auth: bool = False
    """Shows the caller's Authorization to hosts in ``IMAGE_FETCH_ALLOWED_HOSTS``, over https, never beyond."""
    image_fetch_allowed_protocols: Protocols = ["http", "https"]
    """Schemes of addresses that may be fetched."""
    image_fetch_allowed_hosts: CommaList = []
    """Fetches from these alone: host, host:port, .domain for all below it; else any host, ports 80 and 443."""
    image_fetch_user_agent: str | None = Field(default=None, pattern=r"^[\x20-\x7e]+$")
    """What servers of images are told; dragoman and its version unless said."""
    image_fetch_referer: str | None = Field(default=None, pattern=r"^[\x21-\x7e]+$")
    """The Referer header for them; a request's ``x-image-fetch-referer`` goes before it."""

    # --- ledger
    usage_buffer_size: int = Field(default=100, ge=1)
    """Settled calls that are written to SQL in one batch."""
    usage_flush_interval: float = Field(default=5.0, gt=0)
    """Seconds after which a smaller batch is written as well."""
    usage_durability: Literal["process", "host"] = "process"
    """What the journal survives: kill -9 of the process, or the loss of the machine's power as well."""

    # --- figures that come later
    reconcile: bool = True
    """Asks providers that tell it (OpenRouter) what calls came to whose usage nobody knows."""
    reconcile_interval_s: float = Field(default=5.0, gt=0)
    """How often it is looked whether there is somebody to ask."""
    reconcile_sample: float = Field(default=0.0, ge=0, le=1)
    """The share of known calls that are asked about as well, so that drift of prices is found."""
    estimate_missing_usage: bool = False
    """Estimates, by bytes and labelled as such, the tokens that a provider does not tell: docs/ledger.md."""

    # --- how long it is kept
    ledger_keep_days: int | None = Field(default=None, ge=1)
    """Calls that are older are removed while the gateway serves, as by `dragoman cleanup`; unset: they stay."""

    # --- what was asked and answered
    keep_bodies: CommaList = []
    """Tenants, or `*`, whose requests and answers are kept, sealed, for who manages them: docs/telemetry.md."""
    keep_bodies_days: int = Field(default=7, ge=1, le=3650)
    """How long."""
    keep_bodies_bytes: int = Field(default=1024 * 1024, ge=1024, le=16 * 1024 * 1024)
    """How much of each is kept at most, from its beginning."""

    # --- what clients have us keep
    allow_client_storage: bool = True
    """Whether the gateway keeps responses that say ``store: true``; without it they are 400."""
    max_kept_responses: int = Field(default=10_000, ge=0)
    """Responses that the gateway keeps for one tenant; over it ``store: true`` is 429. 0: as many as come."""
    max_kept_bytes: int = Field(default=1024 * 1024 * 1024, ge=0)
    """Bytes of them together, before they are sealed; over it ``store: true`` is 429. 0: as many as come.
    Answers that are recorded for an Idempotency-Key or a resumable stream are bounded alike, apart from them."""

    # --- answers that are given again
    resume_window_s: float = Field(default=60, gt=0)
    """How long a recorded answer goes on while nobody reads it, and a broken stream can be resumed."""
    answer_cache_ttl_s: float = Field(default=0, ge=0)
    """How long the cache gives an answer again; 0: there is no cache."""
    answer_cache_keys: CommaList = []
    """Ids of the API keys, or `*`, whose calls are cached unasked; others ask by `x-dragoman-cache: true`."""
    answer_cache_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """What the cache may take of a process's memory."""

    # --- shared state
    data_source_preference: Literal["redis", "filesystem"] = "redis"
    """With ``filesystem``, models.json, providers.json, tiers.json and keys.json are kept up to date under data in
    the home; all but the last are read at the start where they are newer than the database."""
    api_providers_file: Path | None = None
    """Where providers.json is kept, its JSON schema beside it. Default: data/providers.json in the home."""
    api_models_file: Path | None = None
    """Where models.json is kept. Default: data/models.json in the home."""
    api_keys_file: Path | None = None
    """Where `dragoman import json` and the mirror have keys.json. Default: data/keys.json in the home."""
    api_tiers_file: Path | None = None
    """The file of tiers, which is read whatever is mirrored. Default: data/tiers.json in the home."""
    redis_url: SecretStr | None = None
    """Redis or Valkey, as host:6379 or redis://host:6379: several gateways share limits, the health of providers
    and the cache of answers through it; needs the extra `[redis]`."""
    redis_username: str | None = None
    """The user there, unless the URL says it."""
    redis_password: SecretStr | None = None
    """Its password, unless the URL says it."""
    redis_db: int | None = Field(default=None, ge=0)
    """The number of the database there, unless the URL says it."""
    redis_tls: bool = False
    """Speaks TLS to it, as a URL with rediss:// does."""
    redis_prefix: str = Field(default="dragoman", pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    """What our keys there begin with: gateways that share nothing need different ones."""
    error_log_to_redis: bool = True
    """Lines of failed calls go to a list in Redis, where there is one; else, and while it is away, to
    logs/api-error.jsonl in the home."""

    # --- telemetry
    log_level: Annotated[
        Literal["debug", "info", "warn", "warning", "error", "critical", "silent"] | None,
        BeforeValidator(in_lower_case),
    ] = None
    """Default: debug in local, else info."""
    log_format: Annotated[Literal["json", "text"], BeforeValidator(in_lower_case)] = "json"
    """One JSON object a line, or text for people."""
    log_to: str = "stderr"
    """Where lines go: stderr, stdout, syslog, the path of a file that is appended to, or package.module:function,
    which gets each line as text."""
    log_sensitive_payloads: bool = False
    """Whether lines tell whole URLs, the first kilobyte of bodies and the messages of errors; keys never."""
    otel_exporter_otlp_endpoint: str | None = None
    """Where traces go, for example http://localhost:4318, or :4317 for gRPC; unset: none are made."""
    otel_exporter_otlp_traces_endpoint: str | None = None
    """The same as a whole URL, to which no /v1/traces is added; goes before the other one."""
    otel_exporter_otlp_protocol: Literal["http/protobuf", "grpc"] | None = None
    """How; grpc where the endpoint's port is 4317 or its scheme grpc, else http/protobuf. grpc needs `[otel]`."""
    otel_exporter_otlp_headers: SecretStr | None = None
    """Headers for the receiver, as name=value,name=value with values encoded as in a URL."""
    otel_exporter_otlp_timeout: int = Field(default=10_000, ge=1)
    """Milliseconds that the receiver has for one batch."""
    otel_exporter_otlp_compression: Literal["none", "gzip"] = "none"
    """Whether batches are compressed, which costs more here than it saves on a network nearby."""
    otel_exporter_otlp_certificate: Path | None = None
    """A PEM file of authorities that the receiver's certificate is checked against."""
    otel_service_name: str | None = None
    """What this gateway is called in traces; dragoman unless said here or among the attributes."""
    otel_resource_attributes: str | None = None
    """What else is said of it there, as name=value,name=value."""
    otel_traces_sampler: SamplerName = "parentbased_always_on"
    """Which traces are recorded; parentbased: as the caller's traceparent says, where it has one."""
    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1)
    """The share of traces for traceidratio and parentbased_traceidratio."""
    otel_bsp_max_queue_size: int = Field(default=8192, ge=16)
    """Spans that may wait for the receiver; of more the newest are dropped and counted."""
    otel_bsp_max_export_batch_size: int = Field(default=512, ge=1)
    """Spans of one batch."""
    otel_bsp_schedule_delay: int = Field(default=5000, ge=10)
    """Milliseconds after which a smaller batch goes as well."""
    otel_console_export: bool = False
    """Writes spans to standard output as JSON lines, with or without an endpoint."""
    otel_sdk_disabled: bool = False
    """Makes no traces, whatever else is said of them."""
    otel_forward_tracestate: bool = False
    """Whether providers get the caller's tracestate beside traceparent; it may tell of the caller's house."""

    # --- limits
    api_key_hash_secret: SecretStr = SecretStr("anygpt-api")
    """What a key is hashed with where it is named and not told, as in `/v1/keys/me`; it is stored otherwise."""
    rate_limit_hash_secret: SecretStr = SecretStr("anygpt-rate-limit")
    """What keys' ids are hashed with where limits are counted in Redis."""

    # --- test mode
    test_rate_limit_rpm: int = Field(default=2, ge=1)
    """Requests a minute of every key in MODE=test."""
    test_daily_token_limit: int = Field(default=1_000_000, ge=1)
    """Tokens a day of every key in MODE=test."""
    test_monthly_cost_limit: Decimal = Field(default=Decimal(1000), ge=0)
    """What every key may spend in a month in MODE=test, in USD."""

    # --- from dragoman.toml only
    provider_order: CommaList = []
    """The order in which a bare model id is looked for."""
    providers: list[dict[str, Any]] = []
    """Rows as written; the catalogue's schema reads them."""
    aliases: dict[str, str | list[str]] = {}
    """Names of your own for a model, or for several to try in order."""
    routes: dict[str, dict[str, Any]] = {}
    """Names of your own for several models, with the strategy that chooses among them."""
    quality: dict[str, Any] = {}
    """Ranks of your own by provider/model or model, 0 to 100, for the strategy `quality`."""
    prices: dict[str, dict[str, Any]] = {}
    """Prices of your own by provider/model, in USD per million tokens."""
    services: list[dict[str, Any]] = []
    """Other APIs that are called with a credential of yours; docs/services.md has them all."""
    oauth: dict[str, dict[str, Any]] = {}
    """Places to log in at by OAuth, by names of your own; docs/oauth.md has them all."""
    tiers: dict[str, dict[str, Any]] = {}
    """Limits that keys share by a name, in place of those of that name in data/tiers.json."""
    budgets: dict[str, dict[str, Any]] = {}
    """What callers may spend, by names of your own; docs/budgets.md has them all."""
    alerts: dict[str, Any] = {}
    """When the operator is told of trouble, and who listens; docs/alerts.md has it all."""
    tools: dict[str, Any] = {}
    """How many tools callers may offer, how large and under which names; docs/TOOL_CALLING_SPEC.md has it all."""
    charges: list[dict[str, Any]] = []
    """What tenants are charged beside what their calls cost; docs/ledger.md has it all."""

    _file_text: str = PrivateAttr(default="")

    @property
    def file_text(self) -> str:
        """The configuration file as it was read; empty: there was none."""
        return self._file_text

    def read_from(self, text: str) -> Settings:
        """The same settings, with the text of the file that they came from."""
        self._file_text = text
        return self

    @property
    def database(self) -> str:
        """The database's URL; SQLite in the home folder unless one is said."""
        return self.database_url or f"sqlite:///{self.dragoman_home / 'dragoman.db'}"

    @property
    def level(self) -> str:
        """The level of logs."""
        return self.log_level or ("debug" if self.mode == "local" else "info")

    @property
    def first_event_timeout_s(self) -> float:
        """Seconds until the first event, or a whole unary reply."""
        bound = self.first_event_timeout_ms
        if self.upstream_timeout_ms is not None:
            bound = min(bound, self.upstream_timeout_ms)
        return bound / 1000


def check_serving(settings: Settings) -> None:
    """Refuses a half-configured production (D21, R-SEC-002).

    Raises:
        ConfigError: names what is missing, a command that makes it, and ``--local``.
    """
    if bool(settings.default_admin_user_id) != bool(settings.default_admin_api_key):
        raise ConfigError(
            "Of DEFAULT_ADMIN_USER_ID and DEFAULT_ADMIN_API_KEY one is missing: say both, or none."
        )
    strict = settings.strict_local_guards and settings.mode == "local"
    if settings.mode != "prod" and not strict:
        return
    missing = []
    if not settings.database_url:
        missing.append(
            "DATABASE_URL is not set. Say where the data lives, for example\n"
            f"    export DATABASE_URL=sqlite:///{settings.dragoman_home / 'dragoman.db'}"
        )
    if settings.fernet_key is None or not settings.fernet_key.get_secret_value():
        missing.append(
            "FERNET_KEY is not set. Make one with\n    export FERNET_KEY=$(python3 -c "
            "'import base64,os;print(base64.urlsafe_b64encode(os.urandom(32)).decode())')"
        )
    missing += wrong_origins(settings.cors_allow_origins)
    if settings.use_stub_adapters:
        missing.append(
            "USE_STUB_ADAPTERS is set. The stub does not serve in production: unset it."
        )
    if missing:
        listed = "\n".join(f"  - {line}" for line in missing)
        where = "with STRICT_LOCAL_GUARDS" if strict else "in MODE=prod"
        raise ConfigError(
            f"Dragoman does not start half-configured {where}:\n{listed}\n"
            "To have them all written to a new .env file: dragoman init --prod\n"
            "To try it on this machine without any of this: dragoman serve --local"
        )
