"""Which column names look as if they held something secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from async_export.errors import ConfigurationError

__all__ = ("refuse_secrets", "secret_names")

_ANYWHERE = re.compile(
    r"""
    passw(or[dt]|d) | passphrase | passcode | (pass|pw)hash | pwd
    | credential | secret(?!ar) | signature | token | totp
    | (access|api|activation|auth|encryption|license|master|private|session|signing|ssh)key
    | (activation|auth|backup|confirmation|otp|pin|recovery|reset|security|verification)code
    | session(id|data) | securityanswer | (credit)?cardnumber | creditcard | socialsecurity
    """,
    re.VERBOSE,
)
"""What no innocent name holds, in whichever style it is written."""

_AS_PART = frozenset(
    ("csrf", "cvc", "cvv", "hash", "hashed", "jwt", "otp", "pass", "pin", "pw", "salt", "ssn")
)
"""Short words count only by themselves, so that "shipping" and "assault" stay exportable."""

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""The words of a name: ``APIKey`` and ``api_key2`` have two."""


def secret_names(names: Iterable[str]) -> list[str]:
    """Pick the names that look secret, such as ``password_hash`` or ``apiToken``."""
    return [name for name in names if _looks_secret(name)]


def _looks_secret(name: str) -> bool:
    parts = [part.lower() for part in _PARTS.findall(name)]
    return bool(_ANYWHERE.search("".join(parts))) or not _AS_PART.isdisjoint(parts)


def refuse_secrets(owner: str, columns: Mapping[str, str]) -> None:
    """Refuse columns that look secret, which nobody has named.

    Args:
        owner: Who would export them.
        columns: By the name under which they would be exported, that in the database.

    Raises:
        ConfigurationError: there are some.
    """
    secrets = [name for name, column in columns.items() if secret_names((name, column))]
    if secrets:
        raise ConfigurationError(
            f"{owner} would export {', '.join(secrets)}, which looks secret; list what to export "
            "in Meta.fields, declare a field of that name, or name it in Meta.exclude"
        )
