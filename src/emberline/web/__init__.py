"""The web application: pages, the JSON API and UWS for one workspace, with accounts and roles."""

from emberline.web.accounts import Account, AccountError, AccountNotFoundError, Accounts
from emberline.web.permissions import ForbiddenError, Role
from emberline.web.serving import DEFAULT_PORT, create_app, serve

__all__ = [
    "DEFAULT_PORT",
    "Account",
    "AccountError",
    "AccountNotFoundError",
    "Accounts",
    "ForbiddenError",
    "Role",
    "create_app",
    "serve",
]
