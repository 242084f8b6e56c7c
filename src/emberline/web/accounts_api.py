"""Accounts and tokens as JSON: administrators keep the accounts, everybody their own password and tokens."""

from __future__ import annotations

import datetime
import time
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from emberline.web.accounts import Account, AccountError
from emberline.web.permissions import Action, ForbiddenError, Role, require
from emberline.web.sessions import LOCAL_USER
from emberline.web.signin import start_session
from emberline.web.tokens import Token, TokenNotFoundError
from emberline.web.visitors import Visitor, required, site_of

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["accounts"])


async def _visitor(request: Request) -> Visitor:
    return required(request)


async def _admin(request: Request) -> Visitor:
    return required(request, Action.MANAGE_ACCOUNTS)


Me = Annotated[Visitor, Depends(_visitor)]
Admin = Annotated[Visitor, Depends(_admin)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewAccount(_Strict):
    """An account to be made."""

    name: str = Field(examples=["jana"])
    role: Role
    password: str = Field(repr=False, description="10 to 1000 characters.")


class AccountChanges(_Strict):
    """What is to be changed of an account; what is left out stays."""

    role: Role | None = None
    password: str | None = Field(None, repr=False)
    current_password: str | None = Field(None, repr=False, description="Needed to change your own password.")


class NewToken(_Strict):
    """A token to be made."""

    name: str = Field(min_length=1, max_length=100, description="What it is for.", examples=["notebook at work"])
    role: Role | None = Field(None, description="What it may do: your role or less; your role unless given.")
    days: float | None = Field(None, gt=0, le=3660, description="How long it is valid; for ever unless given.")


@router.get("/accounts", summary="List accounts")
def list_accounts(request: Request, _: Admin) -> dict[str, Any]:
    """Every account, by name."""
    return {"accounts": [_shown(account) for account in site_of(request).accounts.all()]}


@router.post("/accounts", status_code=201, summary="Make an account")
def create_account(request: Request, _: Admin, new: NewAccount) -> dict[str, Any]:
    """Make an account; a server that runs without accounts asks for them when it is started again."""
    return _shown(site_of(request).accounts.add(new.name, new.role, new.password))


@router.patch("/accounts/{name}", summary="Change an account")
async def change_account(
    request: Request, response: Response, me: Me, name: str, changes: AccountChanges
) -> dict[str, Any]:
    """Change a role (administrators) or a password (everybody their own). A new password ends all sessions."""
    accounts = site_of(request).accounts
    own = name.casefold() == me.account.casefold()
    if changes.role is not None or not own:
        require(me.role, Action.MANAGE_ACCOUNTS)
    account = await anyio.to_thread.run_sync(accounts.get, name)
    if changes.password is not None:
        if own:
            await _confirm(request, me, changes.current_password or "")
        account = await anyio.to_thread.run_sync(accounts.set_password, account.name, changes.password)
        if own and me.via == "session":
            await start_session(request, response, account.name)
    if changes.role is not None:
        account = await anyio.to_thread.run_sync(accounts.set_role, account.name, changes.role)
    return _shown(account)


async def _confirm(request: Request, me: Visitor, password: str) -> None:
    """Whoever finds an open browser, or a token, shall not be able to take the account over."""
    address = request.client.host if request.client else ""
    if await request.scope["emberline.identifier"].by_password(me.account, password, address) is None:
        raise AccountError("the current password is wrong", field="current_password")


@router.delete("/accounts/{name}", status_code=204, summary="Remove an account")
def remove_account(request: Request, me: Admin, name: str) -> None:
    """Remove an account, its sessions and tokens; its jobs stay."""
    if name.casefold() == me.account.casefold():
        raise AccountError("you cannot remove your own account", field="name")
    site_of(request).accounts.remove(name)


@router.get("/tokens", summary="List your tokens")
def list_tokens(request: Request, me: Me) -> dict[str, Any]:
    """Your tokens for scripts; what they are cannot be shown again."""
    return {"tokens": [_shown_token(token) for token in site_of(request).accounts.tokens.all(me.account)]}


@router.post("/tokens", status_code=201, summary="Make a token")
def create_token(request: Request, me: Me, new: NewToken) -> dict[str, Any]:
    """Make a token for scripts; `token` is shown this once. Send it as `Authorization: Bearer …`."""
    _by_hand(me)
    require(me.role, Action.KEEP_TOKENS)
    role = new.role or me.role
    if role.rank > me.role.rank:
        raise ForbiddenError(
            "a token may not do more than you", found=f"the role {role}", expected=f"{me.role} or less"
        )
    expires = None if new.days is None else time.time() + new.days * 86400
    token, secret = site_of(request).accounts.tokens.create(me.account, new.name, role, expires=expires)
    return _shown_token(token) | {"token": secret}


@router.delete("/tokens/{id}", status_code=204, summary="Take a token back")
def delete_token(request: Request, me: Me, id: str) -> None:
    """Take one of your tokens back, at once; administrators anybody's."""
    owner = None if me.role is Role.ADMIN else me.account
    if not site_of(request).accounts.tokens.delete(id, owner):
        raise TokenNotFoundError("there is no such token", where=id[:80])


def _by_hand(me: Visitor) -> None:
    """A token that is found shall not make others that outlive it."""
    if me.via == "token" and me.account != LOCAL_USER:
        raise ForbiddenError("a token cannot make tokens", action="Sign in, or send your name and password.")


def _shown(account: Account) -> dict[str, Any]:
    return {"name": account.name, "role": str(account.role), "created": _time(account.created)}


def _shown_token(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": str(token.role),
        "created": _time(token.created),
        "used": _time(token.used),
        "expires": _time(token.expires),
    }


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
