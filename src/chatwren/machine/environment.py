"""What of this process's environment a child gets beside what it is given: what it needs, and no secret of another's.

Each name is a group of patterns of variables, in capitals: names count without regard to case.
"""

import os
from fnmatch import fnmatchcase

from chatwren.settings import Settings, variable

_MACHINE = ("PATH", "HOME", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "LD_*", "MALLOC_*")
_GO = ("GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG", "GOTRACEBACK")
_NETWORK = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_DATABASE = ("PG*",)  # what its client libraries read beside its URL
_OBJECT_STORES = ("AWS_*", "GOOGLE_*", "AZURE_*", "IDENTITY_*", "MSI_*")  # their credentials
_COOKIE_SECRETS = variable("cookie_secrets")

POSTGRES = _MACHINE
SANDBOX = (*_MACHINE, *_GO)
ENGINE = (*SANDBOX, *_NETWORK, *_DATABASE)
WORKER = (
    *(*ENGINE, *_OBJECT_STORES, "PYTHON*"),
    *(known for name in Settings.fields if (known := variable(name)) != _COOKIE_SECRETS),
)
WEB = (*WORKER, _COOKIE_SECRETS)


def inherited(patterns: tuple[str, ...]) -> dict[str, str]:
    """The variables of this process that match one of the patterns."""
    return {
        name: value
        for name, value in os.environ.items()
        if any(fnmatchcase(name.upper(), pattern) for pattern in patterns)
    }
