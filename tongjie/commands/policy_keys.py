"""``tongjie policy keygen|key|sign|agree|verify``: keys of the consortium and of its libraries, and what they sign."""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from consortium.bundle import BundleError, Policy, from_json, to_json
from consortium.seal import (
    FORMAT,
    KEY_BYTES,
    AgreementSeal,
    Held,
    PolicyKey,
    Sealed,
    SealError,
    Trust,
    countersign,
    from_text,
    public_key,
    sign_agreement,
    to_text,
    unseal,
    with_agreement_seals,
)

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Keys that policy bundles and agreements are signed with.")

_MODE = 0o600
KeyFile = Annotated[Path, typer.Option("--key", metavar="FILE", help="Private key file of mode 0600, from keygen.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def _refuse(code: str, message: str, status: int) -> NoReturn:
    typer.echo(f"{message} [{code}]", err=True)
    raise typer.Exit(status)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        _refuse("FILE_UNREADABLE", f"{path.name} cannot be read ({reason}); name another file", 2)


def _private(path: Path) -> bytes:
    text = _read(path).strip()
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        _refuse("KEY_MODE", f"others may read {path.name}; run chmod 600 on it", 2)
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        _refuse("SEAL_KEY", f"{path.name} must hold {2 * KEY_BYTES} hex digits, as keygen writes them", 2)
    return raw


def _say_key(key: PolicyKey, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"public": key.public.hex(), "id": key.id}))
    else:
        typer.echo(f"public {key.public.hex()}\nid     {key.id}")


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_text(text + "\n", "utf-8")
    except OSError as error:
        _refuse("FILE_UNWRITABLE", f"{out.name} cannot be written ({error.strerror}); name another file", 2)


def _draft(path: Path) -> Sealed:
    """A bundle as JSON, sealed already or not yet; one that is not is brought into its one canonical text."""
    text = _read(path)
    try:
        plain = json.loads(text)
        if isinstance(plain, dict) and plain.get("format") == FORMAT:
            return from_text(text)
        draft = Sealed(to_json(from_json(text)), ())
        Policy(from_json(draft.body))
    except BundleError as error:
        _refuse(error.code, str(error), 1)
    except (ValueError, RecursionError):
        _refuse("BUNDLE_INVALID", f"{path.name} is no policy bundle in JSON", 1)
    return draft


@app.command(epilog="Example: tongjie policy keygen policy.key")
def keygen(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; never overwritten.")],
    as_json: AsJson = False,
) -> None:
    """Make a key. The file keeps the private half (mode 0600); the public half is printed, for policy_keys of every edge."""
    raw = secrets.token_bytes(KEY_BYTES)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(raw.hex() + "\n")
    except FileExistsError:
        _refuse("KEY_EXISTS", f"{file.name} is there already and is not overwritten; name another file", 2)
    except OSError as error:
        _refuse("FILE_UNWRITABLE", f"{file.name} cannot be written ({error.strerror}); name another file", 2)
    _say_key(public_key(raw), as_json)


@app.command(epilog="Example: tongjie policy key hub/policy.key")
def key(file: Annotated[Path, typer.Argument(help="Private key file.")], as_json: AsJson = False) -> None:
    """Print the public half of a key."""
    _say_key(public_key(_private(file)), as_json)


@app.command(
    epilog="Example: tongjie policy agree bundle.json universities --org 251020 --key 251020.key -o 251020.json"
)
def agree(
    bundle: Annotated[Path, typer.Argument(help="A bundle as JSON, sealed or not.")],
    agreement: Annotated[str, typer.Argument(help="The agreement's id, or ID@VERSION.")],
    org: Annotated[str, typer.Option("--org", help="The party that signs.")],
    key: KeyFile,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write there instead of printing.")] = None,
) -> None:
    """Sign one agreement for a library that is party to it; `sign --agreed` puts the signature beside the bundle."""
    found = [each for each in from_json(_draft(bundle).body).agreements if agreement in (each.id, each.key)]
    if len(found) != 1:
        _refuse("AGREEMENT_UNKNOWN", f"{bundle.name} has {len(found)} agreements {agreement}; name it ID@VERSION", 1)
    try:
        signed = sign_agreement(found[0], org, _private(key))
    except SealError as error:
        _refuse(error.code, str(error), 1)
    _write(json.dumps({name: getattr(signed, name) for name in _FIELDS}), out)


_FIELDS = ("agreement", "org", "key_id", "signature")


def _agreed(path: Path) -> AgreementSeal:
    try:
        row = json.loads(_read(path))
        return AgreementSeal(*(str(row[name]) for name in _FIELDS))
    except (ValueError, KeyError, TypeError):
        _refuse("SEAL_FORM", f"{path.name} is not what `tongjie policy agree` writes", 1)


@app.command(epilog="Example: tongjie policy sign bundle.json --key policy.key -o sealed.json")
def sign(
    bundle: Annotated[Path, typer.Argument(help="A bundle as JSON, or one that others have sealed already.")],
    key: KeyFile,
    agreed: Annotated[list[Path] | None, typer.Option("--agreed", help="A party's signature, from agree.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write there instead of printing.")] = None,
) -> None:
    """Seal a policy bundle. A second key is added by signing what the first one sealed."""
    try:
        sealed = countersign(_draft(bundle), _private(key))
        text = to_text(with_agreement_seals(sealed, (_agreed(path) for path in agreed or ())))
        from_text(text)
    except SealError as error:
        _refuse(error.code, str(error), 1)
    _write(text, out)


def _held(text: str | None) -> Held | None:
    if text is None:
        return None
    version, _, digest = text.partition(":")
    if not (version.isascii() and version.isdigit() and len(digest) == 64):
        raise typer.BadParameter("give VERSION:DIGEST, as verify prints it", param_hint="--held")
    return Held(int(version), digest)


def _parties(texts: list[str]) -> dict[str, tuple[PolicyKey, ...]]:
    found: dict[str, tuple[PolicyKey, ...]] = {}
    for text in texts:
        org, _, public = text.partition("=")
        found[org] = (*found.get(org, ()), PolicyKey.from_hex(public))
    return found


def _at(text: str | None) -> int:
    if text is None:
        return int(time.time() * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("give a time as 2026-11-23T08:00:00Z", param_hint="--at") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@app.command(epilog="Example: tongjie policy verify sealed.json --key 6f0e…")
def verify(
    file: Annotated[Path, typer.Argument(metavar="SEALED", help="A sealed bundle.")],
    keys: Annotated[list[str], typer.Option("--key", metavar="HEX", help="A public key that is trusted.")],
    needed: Annotated[int, typer.Option("--needed", min=1, help="How many of them must have sealed it.")] = 1,
    parties: Annotated[
        list[str] | None, typer.Option("--party", metavar="ORG=HEX", help="A library's public key: parties must sign.")
    ] = None,
    held: Annotated[str | None, typer.Option("--held", metavar="VERSION:DIGEST", help="What a branch holds.")] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="When; without: now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a branch that trusts these keys would take this bundle. Exit 1 with the code where it would not."""
    floor, now = _held(held), _at(at)
    try:
        trust = Trust(tuple(map(PolicyKey.from_hex, keys)), needed, _parties(parties or []))
        opened = unseal(_read(file), trust, floor, now)
        Policy(opened.bundle)
    except BundleError as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "code": error.code, "message": str(error)}, ensure_ascii=False))
            raise typer.Exit(1) from error
        _refuse(error.code, str(error), 1)
    taken = opened.held
    if as_json:
        said = {"ok": True, "version": taken.version, "digest": taken.digest, "keys": sorted(opened.key_ids)}
        typer.echo(json.dumps(said))
    else:
        typer.echo(f"policy {taken.version}:{taken.digest}\nsealed by {', '.join(sorted(opened.key_ids))}")
