"""`users`: accounts of the review page. Passwords come from the terminal or from stdin, never from the command line."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.options import WORKSPACE, Database, WorkspacePath
from flows.console import cell, say
from flows.workspace import review_database

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

app = typer.Typer(no_args_is_help=True, help="Accounts of the review page, for servers that others can reach.")


class RoleName(StrEnum):
    """What an account may do."""

    viewer = "viewer"
    reviewer = "reviewer"
    admin = "admin"


NameArgument = Annotated[str, typer.Argument(help="Name of the account.", metavar="NAME")]
_ROLES = "viewer: looks; reviewer: also decides; admin: also starts repairs, changes settings, sees identifiers."


@app.command()
def add(
    name: NameArgument,
    role: Annotated[RoleName, typer.Option("--role", help=_ROLES)] = RoleName.reviewer,
    workspace: WorkspacePath = WORKSPACE,
    database: Database = None,
) -> None:
    """Make an account; asks for its password, or reads it from stdin (one line)."""
    from pipeline.review.web.access.accounts import add_account

    password = _password(name)
    with _writing(workspace, database) as session:
        add_account(session, name, password, role.value, by=operator())
    say(f"{name}: {role.value}")


@app.command("list")
def list_users(workspace: WorkspacePath = WORKSPACE, database: Database = None) -> None:
    """Show all accounts."""
    from pipeline.review.web.access.accounts import accounts

    table = Table("name", "role", "since", "", box=None, header_style="bold")
    with _writing(workspace, database) as session:
        for each in accounts(session):
            state = "disabled" if each.disabled else ""
            table.add_row(cell(each.name), each.role, f"{each.created:%Y-%m-%d}", state)
    Console().print(table)


@app.command()
def password(name: NameArgument, workspace: WorkspacePath = WORKSPACE, database: Database = None) -> None:
    """Give an account another password and sign all of its browsers out."""
    from pipeline.review.web.access.accounts import account, set_password

    with _writing(workspace, database) as session:
        account(session, name)  # before somebody thinks of a password for nobody
    new = _password(name)
    with _writing(workspace, database) as session:
        set_password(session, name, new, by=operator())
    say(f"{name}: new password; signed out everywhere")


@app.command()
def role(
    name: NameArgument,
    new: Annotated[RoleName, typer.Argument(help=_ROLES, metavar="ROLE")],
    workspace: WorkspacePath = WORKSPACE,
    database: Database = None,
) -> None:
    """Give an account another role, from its next request on."""
    from pipeline.review.web.access.accounts import set_role

    with _writing(workspace, database) as session:
        set_role(session, name, new.value, by=operator())
    say(f"{name}: {new.value}")


@app.command()
def disable(name: NameArgument, workspace: WorkspacePath = WORKSPACE, database: Database = None) -> None:
    """Lock an account and sign all of its browsers out at once. Its decisions stay."""
    _lock(name, True, workspace, database)


@app.command()
def enable(name: NameArgument, workspace: WorkspacePath = WORKSPACE, database: Database = None) -> None:
    """Unlock an account."""
    _lock(name, False, workspace, database)


def operator() -> str:
    """Who types the command, for the log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "operator"


def _lock(name: str, disabled: bool, workspace: Path, database: str | None) -> None:
    from pipeline.review.web.access.accounts import set_disabled

    with _writing(workspace, database) as session:
        set_disabled(session, name, disabled, by=operator())
    say(f"{name}: {'disabled; signed out everywhere' if disabled else 'enabled'}")


@contextmanager
def _writing(workspace: Path, database: str | None) -> Iterator[Session]:
    from pipeline.review.store import open_store

    store = open_store(database or review_database(workspace.resolve()))
    try:
        with store.writing() as session:
            yield session
    finally:
        store.dispose()


def _password(name: str) -> str:
    from pipeline.review.web.access.accounts import check_rules

    if sys.stdin.isatty():
        found = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        found = sys.stdin.readline().rstrip("\r\n")
    check_rules(name, found)
    return str(found)
