"""edgectl token"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge.errors import UsageError


@click.group()
def token() -> None:
    """Make keys and tokens for callers, and see whether a token is good."""


@token.command("key", epilog="For example: edgectl token key --kid 2026-11 > tokens.jwks")
@click.option("--kid", required=True, help="The key's ID, for example the month it was made in.")
@click.option("--algorithm", type=click.Choice(["HS256", "EdDSA"]), default="HS256", show_default=True)
@click.option(
    "--private",
    type=click.Path(path_type=Path),
    help="With EdDSA: write the private key here; nodes need only the public one.",
)
def key(kid: str, algorithm: str, private: Path | None) -> None:
    """Print a new key as a JSON Web Key Set, for auth.keys_file.

    An HS256 key is one secret that your application's server and all nodes share. With EdDSA only your server can sign.
    """
    from edge.auth import signing

    if (algorithm == "EdDSA") != (private is not None):
        raise click.UsageError("EdDSA needs --private, and HS256 has no private key")
    made = signing.new_key(kid, algorithm)
    if private is not None:
        signing.write_private(private, made)
    click.echo(signing.public_set(made))


@token.command(
    "sign", epilog="For example: edgectl token sign --key tokens.jwks --audience voice.example --expires 600"
)
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path),
    help="A key set, or an EdDSA private key.",
)
@click.option("--kid", help="Which of its keys.  [default: the last]")
@click.option("--audience", required=True, help="The nodes' auth.audience.")
@click.option(
    "--expires", "lifetime_s", type=click.IntRange(1), default=3600, show_default=True, help="Seconds."
)
@click.option("--calls", type=click.IntRange(1), help="For how many calls it is good, on each node.")
@click.option("--backend", help="The only backend that it is good for.")
@click.option("--subject", help="Who it is for; backends are told.")
def sign(
    key_file: Path,
    kid: str | None,
    audience: str,
    lifetime_s: int,
    calls: int | None,
    backend: str | None,
    subject: str | None,
) -> None:
    """Print a token. Your application's server does the same with any JWT library."""
    from edge.auth import signing

    claims = {"calls": calls, "backend": backend, "sub": subject}
    click.echo(signing.sign(key_file, kid, audience, lifetime_s, claims))


@token.command(
    "check", epilog="For example: edgectl token check --keys tokens.jwks --audience voice.example < token"
)
@click.option("--keys", required=True, type=click.Path(path_type=Path), help="The nodes' auth.keys_file.")
@click.option("--audience", required=True, help="The nodes' auth.audience.")
def check(keys: Path, audience: str) -> None:
    """Read a token from stdin and print what it says, or why a node would refuse it (exit code 6)."""
    import msgspec

    from edge.auth import TokenKeys, signing

    try:
        known = TokenKeys(signing.read_file(keys), audience)
    except UsageError as error:
        raise UsageError(f"{keys}: {str(error).removeprefix(f'{keys}: ')}") from error
    if sys.stdin is not None and sys.stdin.isatty():
        click.echo("Paste the token, then press Enter and Ctrl-D.", err=True)
    claims = known.read(sys.stdin.read().strip() if sys.stdin is not None else "")
    click.echo(msgspec.json.format(msgspec.json.encode(dict(claims.all))).decode())
