"""The rows of the routes that manage the gateway, with who may use each; the room ``admin`` answers them."""

from __future__ import annotations

from typing import Literal

from dragoman.identity.permissions import Permission
from dragoman.surface.route import Route, Switch


def _rows(
    permission: Permission, switch: Switch | None, *rows: tuple[str, str, str]
) -> tuple[Route, ...]:
    return tuple(
        Route(method, path, permission, summary, page="managed", switch=switch)
        for method, path, summary in rows
    )


_A = "/api/admin"
_ON: Literal["enable_admin_routes"] = "enable_admin_routes"
_PLACE_VERBS = (
    ("update", "Changes {}"),
    ("suspend", "Has every key of {} serve no more until it is resumed"),
    ("resume", "Has the keys of {} serve again"),
)

_OB1 = (
    ("GET", f"{_A}/ob1", "Whether OB-1 can be used, whose turn it is, and what was spent today"),
    ("GET", f"{_A}/ob1/accounts", "OB-1's accounts, without their tokens"),
    ("POST", f"{_A}/ob1/accounts/refresh", "Renews the tokens of one account or of all"),
    ("POST", f"{_A}/ob1/accounts/import", "Takes accounts over from elsewhere"),
    ("POST", f"{_A}/ob1/accounts/export", "The accounts with their tokens, to take elsewhere"),
    ("DELETE", f"{_A}/ob1/accounts/{{account}}", "Forgets an account"),
    ("POST", f"{_A}/ob1/device-auth", "Begins a login by a code that a person types"),
    ("POST", f"{_A}/ob1/device-auth/poll", "Whether it was typed; then the account is there"),
    ("PUT", f"{_A}/ob1/rotation-mode", "Says whose turn it is among the accounts"),
)

MANAGED: tuple[Route, ...] = (
    *_rows(
        "admin",
        _ON,
        ("GET", f"{_A}/providers", "All providers, with where they are from and how they do"),
        ("POST", f"{_A}/providers", "Adds a provider or changes one, in force at once"),
        ("GET", f"{_A}/providers/{{name}}", "One provider"),
        ("DELETE", f"{_A}/providers/{{name}}", "Forgets what was added to a provider here"),
        ("POST", f"{_A}/providers/{{name}}/disable", "Takes a provider out of service"),
        ("POST", f"{_A}/providers/{{name}}/enable", "Takes a provider back into service"),
        (
            "GET",
            f"{_A}/accounts",
            "Accounts at providers that were logged in, and what they spent today",
        ),
        *_OB1,
        ("GET", f"{_A}/models", "All models, with who has them"),
        ("GET", f"{_A}/aliases", "Aliases that were added here"),
        ("POST", f"{_A}/aliases", "Adds an alias, in force at once"),
        ("GET", f"{_A}/aliases/{{name:path}}", "One alias"),
        ("PUT", f"{_A}/aliases/{{name:path}}", "Adds an alias or takes the place of one"),
        ("DELETE", f"{_A}/aliases/{{name:path}}", "Removes an alias"),
        ("GET", f"{_A}/routes", "Named routes that were added here"),
        ("POST", f"{_A}/routes", "Adds a named route, in force at once"),
        ("GET", f"{_A}/routes/{{name:path}}", "One named route"),
        ("PUT", f"{_A}/routes/{{name:path}}", "Adds a named route or takes the place of one"),
        ("DELETE", f"{_A}/routes/{{name:path}}", "Removes a named route"),
        ("POST", f"{_A}/users/generate-key", "Makes a key for a user"),
        ("GET", f"{_A}/api-keys", "All keys, the oldest first"),
        ("GET", f"{_A}/api-keys/{{id}}", "One key"),
        *(
            row
            for verb, what in (
                ("revoke", "Revokes a key for good"),
                ("update", "Changes a key"),
                ("rotate", "Gives a key another secret, now or after an overlap"),
                ("suspend", "Has a key serve no more until it is resumed"),
                ("resume", "Has a suspended key serve again"),
                ("reset-usage", "Has a key's use count anew"),
            )
            for row in (
                ("POST", f"{_A}/api-keys/{verb}", f"{what}; its id is in the body"),
                ("POST", f"{_A}/api-keys/{{id}}/{verb}", what),
            )
        ),
        ("POST", "/v1/generate_key", "Makes a key for a user"),
        ("GET", f"{_A}/tiers", "Tiers, those of the files as well"),
        ("PUT", f"{_A}/tiers", "Has these tiers stored and no others"),
        ("GET", f"{_A}/tiers/{{id}}", "One tier"),
        ("PUT", f"{_A}/tiers/{{id}}", "Adds a tier, or takes the place of one"),
        ("PATCH", f"{_A}/tiers/{{id}}", "Changes some limits of a tier"),
        ("DELETE", f"{_A}/tiers/{{id}}", "Forgets a stored tier"),
        ("GET", f"{_A}/budgets", "All budgets, with what is spent, held and left of each"),
        (
            "POST",
            f"{_A}/budgets/release",
            "Settles what is held for a call, an attempt or a lease",
        ),
        ("GET", f"{_A}/budgets/{{name}}", "One budget, with what is held of it for whom"),
        ("PUT", f"{_A}/budgets/{{name}}", "Defines a budget, or another one of that name"),
        ("DELETE", f"{_A}/budgets/{{name}}", "Removes a budget's definition"),
        ("GET", f"{_A}/budgets/{{name}}/parts", "How each part of a divided budget stands"),
        ("POST", f"{_A}/budgets/{{name}}/release", "Gives back all that is held of a budget"),
        ("GET", f"{_A}/tenants", "All tenants, by the alphabet"),
        ("POST", f"{_A}/tenants", "Makes a tenant"),
        ("GET", f"{_A}/tenants/{{id}}", "One tenant"),
        ("DELETE", f"{_A}/tenants/{{id}}", "Deletes a suspended tenant for good"),
        ("GET", f"{_A}/projects", "The projects of all tenants"),
        ("POST", f"{_A}/projects", "Makes a project in a tenant"),
        ("GET", f"{_A}/projects/{{tenant}}/{{id}}", "One project"),
        ("DELETE", f"{_A}/projects/{{tenant}}/{{id}}", "Deletes a suspended project for good"),
        *(
            row
            for verb, what in _PLACE_VERBS
            for row in (
                ("POST", f"{_A}/tenants/{{id}}/{verb}", what.format("a tenant")),
                ("POST", f"{_A}/projects/{{tenant}}/{{id}}/{verb}", what.format("a project")),
            )
        ),
        ("POST", "/v1/tenants", "Makes a tenant, with a key for who manages it"),
        ("GET", f"{_A}/metrics/summary", "What all tenants have used, and what has failed"),
        ("GET", f"{_A}/metrics/providers", "What each provider has served, and how it does"),
        ("GET", f"{_A}/metrics/models", "What each model has served"),
        ("GET", f"{_A}/metrics/queues", "What is under way, and what waits to be written"),
        ("GET", f"{_A}/usage", "What all tenants have used, by any of its groups"),
        ("GET", f"{_A}/invoices/{{month}}", "What tenants owe for a month"),
        ("GET", f"{_A}/requests", "Calls of all tenants, the newest first"),
        ("GET", f"{_A}/requests/{{id}}", "What became of one call"),
        ("GET", f"{_A}/audit", "What administrators did, the newest first"),
        ("GET", f"{_A}/audit/verify", "Whether the audit log is whole"),
        ("GET", f"{_A}/keys", "Keys of providers that were handed in"),
        (
            "GET",
            f"{_A}/credentials",
            "Tenants' own credentials at providers, without their values",
        ),
        ("POST", f"{_A}/credentials", "Brings a credential for a tenant"),
        ("GET", f"{_A}/credentials/{{id}}", "One credential of a tenant's"),
        ("DELETE", f"{_A}/credentials/{{id}}", "Removes a tenant's credential for good"),
        ("POST", f"{_A}/credentials/{{id}}/disable", "Takes a tenant's credential out of use"),
        ("POST", f"{_A}/credentials/{{id}}/enable", "Takes a tenant's credential back into use"),
        (
            "POST",
            f"{_A}/credentials/{{id}}/test",
            "Asks its provider whether a credential is good",
        ),
        ("GET", f"{_A}/credential-rules", "Which tenants may use their own credentials alone"),
        ("POST", f"{_A}/credential-rules", "Says whether a tenant may use its own alone"),
        ("POST", f"{_A}/keys/{{id}}/adopt", "Has a key that was handed in used"),
        ("DELETE", f"{_A}/keys/{{id}}", "Forgets a key that was handed in"),
    ),
    *_rows("public", _ON, ("POST", f"{_A}/keys", "Hands in a key of a provider")),
    *_rows(
        "tenant",
        _ON,
        ("POST", "/v1/api-keys", "Makes a key in the caller's tenant"),
        ("GET", "/v1/api-keys/{key_id}", "One key of the caller's tenant"),
        ("POST", "/v1/api-keys/{key_id}/update", "Changes such a key"),
        ("POST", "/v1/api-keys/{key_id}/rotate", "Gives such a key another secret"),
        ("POST", "/v1/api-keys/{key_id}/suspend", "Has such a key serve no more until resumed"),
        ("POST", "/v1/api-keys/{key_id}/resume", "Has such a key serve again"),
        ("GET", "/v1/projects", "The projects of the caller's tenant"),
        ("POST", "/v1/projects", "Makes a project in the caller's tenant"),
        ("GET", "/v1/projects/{id}", "One project of the caller's tenant"),
        ("DELETE", "/v1/projects/{id}", "Deletes such a project for good, once it is suspended"),
        *(
            ("POST", f"/v1/projects/{{id}}/{verb}", what.format("such a project"))
            for verb, what in _PLACE_VERBS
        ),
        ("GET", "/v1/routing-policies", "Names that the caller's tenant has given to models"),
        ("POST", "/v1/routing-policies", "Gives a name to models for the caller's tenant"),
        ("DELETE", "/v1/routing-policies/{name}", "Takes such a name back"),
        ("GET", "/v1/admin/usage", "What the caller's tenant has used, by any of its groups"),
        ("GET", "/v1/admin/invoices/{month}", "What the caller's tenant owes for a month"),
        ("GET", "/v1/providers", "Credentials of the caller's tenant, without their values"),
        ("POST", "/v1/providers", "Brings a credential of the tenant's own for a provider"),
        ("DELETE", "/v1/providers/{provider}", "Removes the tenant's credentials for a provider"),
        (
            "DELETE",
            "/v1/providers/services/{service}",
            "Removes the tenant's credentials for a service",
        ),
        ("GET", "/v1/credential-rule", "Whether the tenant's calls use its own credentials alone"),
        ("POST", "/v1/credential-rule", "Says whether they do; the operator's word stays"),
    ),
    *_rows(
        "usage",
        _ON,
        ("GET", "/v1/api-keys", "Keys of the caller's tenant; a user's own alone"),
        ("DELETE", "/v1/api-keys/{key_id}", "Revokes such a key"),
        ("GET", "/v1/tenants/me", "The tenant of the presented key"),
        ("GET", "/v1/stats", "What was used today, this month and in all"),
    ),
    *_rows("usage", None, ("GET", "/v1/keys/me", "Usage, limits and tier of the presented key")),
)
