"""Seals: who signed a policy bundle, and whether this one may replace the one held (Ed25519, RFC 8032).

A sealed bundle is the bundle's exact text with signatures beside it. Whoever decides by a policy names the keys it trusts; it takes no
bundle without enough of their seals, none older than the newest it has held, and no second one under a version it knows. Parties
sign each of their agreements by themselves, so that no consortium office can bind a library to terms it never saw.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta

from consortium.agreement import Agreement, AgreementStatus
from consortium.bundle import Bundle, BundleError, digest, from_json

FORMAT = "tongjie-policy-v1"
"""Names the form; it is signed with the text, so that no signature made for another purpose passes here."""

AGREEMENT_FORMAT = "tongjie-agreement-v1"
"""The same for an agreement by itself."""

KEY_BYTES = 32
"""Length of a private and of a public key."""

MAX_TEXT = 16 * 1024 * 1024
"""Longest sealed bundle taken, in characters."""

MAX_SEALS = 16
"""Most seals of a bundle, and of an agreement."""

MAX_AGREEMENTS = 4_096
"""Most agreements whose parties' signatures a sealed bundle carries."""

_SIGN_BIT = 0x80
# Points of small order (RFC 8032 §5.1.7 leaves them to the verifier): under such a key anybody can sign. Zeros are one of them.
_WEAK = frozenset(
    bytes.fromhex(text)
    for text in (
        "00" * 32,
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)


class SealError(BundleError):
    """A sealed bundle that is not taken; ``code`` is stable.

    SEAL_FORM (cannot be read), SEAL_KEY (a key that is none), SEAL_UNKNOWN_KEY, SEAL_INVALID, SEAL_TOO_FEW, AGREEMENT_UNSIGNED,
    BUNDLE_OLDER, BUNDLE_FORK, BUNDLE_NOT_YET, BUNDLE_EXPIRED.
    """


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """A public key, 32 raw bytes. Raises SealError SEAL_KEY for one that anybody could sign under."""

    public: bytes

    def __post_init__(self) -> None:
        plain = self.public[:-1] + bytes([self.public[-1] & ~_SIGN_BIT]) if self.public else b""
        if len(self.public) != KEY_BYTES or plain in _WEAK:
            raise SealError("SEAL_KEY", "a policy key is the 64 hex digits that keygen printed")

    @property
    def id(self) -> str:
        """First 16 hex digits of the key's SHA-256: how a seal names its key."""
        return hashlib.sha256(self.public).hexdigest()[:16]

    @staticmethod
    def from_hex(text: str) -> PolicyKey:
        """A key from 64 hex digits. Raises SealError SEAL_KEY."""
        try:
            return PolicyKey(bytes.fromhex(text.strip()))
        except ValueError as error:
            raise SealError("SEAL_KEY", "a policy key is the 64 hex digits that keygen printed") from error


@dataclass(frozen=True, slots=True)
class Seal:
    """A signature over a bundle's text, hex, and the id of its key."""

    key_id: str
    signature: str


@dataclass(frozen=True, slots=True)
class AgreementSeal:
    """A party's signature over one agreement (named ID@VERSION) as it stands in the bundle."""

    agreement: str
    org: str
    key_id: str
    signature: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A bundle's exact text and who signed it, with its agreements' own signatures beside."""

    body: str
    seals: tuple[Seal, ...]
    agreement_seals: tuple[AgreementSeal, ...] = ()


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys one believes: ``needed`` different ones of ``keys`` must have sealed a bundle.

    ``party_keys`` by library: where there are any, every ACTIVE agreement needs a signature of each of its parties.
    """

    keys: tuple[PolicyKey, ...]
    needed: int = 1
    party_keys: Mapping[str, tuple[PolicyKey, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.needed < 1:
            raise SealError("SEAL_KEY", "at least one trusted key must seal a bundle")


@dataclass(frozen=True, slots=True)
class Held:
    """The newest bundle its holder ever took: nothing older is taken again, and no other one of that version."""

    version: int
    digest: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle that was taken, what to remember of it, and the trusted keys that sealed it."""

    bundle: Bundle
    held: Held
    key_ids: frozenset[str]


def public_key(private: bytes) -> PolicyKey:
    """The public half of a private key of 32 bytes. Raises SealError SEAL_KEY."""
    return PolicyKey(_private(private).public_key().public_bytes_raw())


def seal(body: str, private: bytes) -> Sealed:
    """Sign a bundle's text with a private key of 32 bytes. Raises SealError SEAL_KEY."""
    return countersign(Sealed(body, ()), private)


def countersign(sealed: Sealed, private: bytes) -> Sealed:
    """Add the seal of one more key; one that is there already is made anew. Raises SealError SEAL_KEY, SEAL_FORM."""
    key_id = public_key(private).id
    signature = _private(private).sign(_message(FORMAT, sealed.body)).hex()
    others = tuple(each for each in sealed.seals if each.key_id != key_id)
    return _bounded(replace(sealed, seals=(*others, Seal(key_id, signature))))


def sign_agreement(agreement: Agreement, org: str, private: bytes) -> AgreementSeal:
    """The signature of one party. Raises SealError SEAL_KEY, and AGREEMENT_UNSIGNED for a library that is no party."""
    if org not in {party.org for party in agreement.parties}:
        raise SealError("AGREEMENT_UNSIGNED", f"{org} is no party of the agreement {agreement.key}")
    signature = _private(private).sign(_message(AGREEMENT_FORMAT, agreement_text(agreement)))
    return AgreementSeal(agreement.key, org, public_key(private).id, signature.hex())


def with_agreement_seals(sealed: Sealed, seals: Iterable[AgreementSeal]) -> Sealed:
    """The same bundle with these signatures of parties beside. Raises SealError SEAL_FORM."""
    return _bounded(replace(sealed, agreement_seals=(*sealed.agreement_seals, *seals)))


def agreement_text(agreement: Agreement) -> str:
    """What a party signs: canonical JSON, sorted keys, no spaces, sets as sorted lists."""
    return _canonical(msgspec.to_builtins(agreement, order="sorted"))


def missing_parties(
    agreement: Agreement,
    seals: Iterable[AgreementSeal],
    keys_by_org: Mapping[str, tuple[PolicyKey, ...]],
    *,
    text: str | None = None,
) -> frozenset[str]:
    """Parties that have not signed this agreement with a key of theirs.

    ``text``: the agreement as the bundle writes it, where that is at hand; a later version of this software may know more fields.
    """
    message = _message(AGREEMENT_FORMAT, agreement_text(agreement) if text is None else text)
    signed = {
        each.org
        for each in seals
        if each.agreement == agreement.key
        and any(key.id == each.key_id and _holds(key, each.signature, message) for key in keys_by_org.get(each.org, ()))
    }
    return frozenset(party.org for party in agreement.parties) - signed


def open_sealed(text: str, trust: Trust, held: Held | None, now: int) -> Bundle:
    """The bundle in this text, where its holder may take it at ``now`` (ms UTC). See ``unseal`` for what it raises."""
    return unseal(text, trust, held, now).bundle


def unseal(text: str, trust: Trust, held: Held | None, now: int) -> Opened:
    """Check form, seals, version, time and the parties' signatures, in this order.

    The very bundle that is held is taken again whatever the time is: a branch goes on by what it has until a newer one comes.
    Raises SealError, and BundleError where the text that was sealed is no bundle.
    """
    sealed = from_text(text)
    key_ids = trusted_seals(sealed, trust)
    bundle = from_json(sealed.body)
    new = Held(bundle.version, digest(sealed.body))
    check_succession(held, new)
    if new != held:
        check_time(bundle, now)
    if trust.party_keys:
        check_parties(sealed, bundle, trust.party_keys)
    return Opened(bundle, new, key_ids)


def trusted_seals(sealed: Sealed, trust: Trust) -> frozenset[str]:
    """Ids of the trusted keys that sealed this text. Seals of strangers are passed over, a false one of a trusted key is not.

    Raises SealError SEAL_UNKNOWN_KEY, SEAL_INVALID, SEAL_TOO_FEW.
    """
    message = _message(FORMAT, sealed.body)
    keys = {key.id: key for key in trust.keys}
    valid: set[str] = set()
    for each in sealed.seals:
        key = keys.get(each.key_id)
        if key is None:
            continue
        if not _holds(key, each.signature, message):
            raise SealError("SEAL_INVALID", f"the seal of key {each.key_id} is not of this policy bundle")
        valid.add(each.key_id)
    if not valid:
        raise SealError("SEAL_UNKNOWN_KEY", "the policy bundle is sealed by no key that is trusted here")
    if len(valid) < trust.needed:
        raise SealError("SEAL_TOO_FEW", f"the policy bundle has {len(valid)} trusted seals of {trust.needed} needed")
    return frozenset(valid)


def check_succession(held: Held | None, new: Held) -> None:
    """Whether ``new`` may follow what is held. Raises SealError BUNDLE_OLDER, BUNDLE_FORK."""
    if held is None:
        return
    if new.version < held.version:
        raise SealError(
            "BUNDLE_OLDER", f"policy version {new.version} is older than version {held.version}, which is held"
        )
    if new.version == held.version and new.digest != held.digest:
        raise SealError("BUNDLE_FORK", f"policy version {new.version} is held with another content; raise the version")


def check_time(bundle: Bundle, now: int) -> None:
    """Whether the bundle is in its time at ``now`` (ms UTC). Raises SealError BUNDLE_NOT_YET, BUNDLE_EXPIRED."""
    if now < bundle.valid_from_ms:
        raise SealError("BUNDLE_NOT_YET", f"policy version {bundle.version} is not valid yet")
    if now >= bundle.valid_to_ms:
        raise SealError("BUNDLE_EXPIRED", f"policy version {bundle.version} is not valid any more")


def check_parties(sealed: Sealed, bundle: Bundle, keys_by_org: Mapping[str, tuple[PolicyKey, ...]]) -> None:
    """Whether the parties of every ACTIVE agreement signed it. Raises SealError AGREEMENT_UNSIGNED, naming who did not."""
    written = json.loads(sealed.body)["agreements"]
    if len(written) != len(bundle.agreements):
        raise SealError("SEAL_FORM", "the policy bundle says its agreements twice")
    for agreement, plain in zip(bundle.agreements, written, strict=True):
        if agreement.status is not AgreementStatus.ACTIVE:
            continue
        missing = missing_parties(agreement, sealed.agreement_seals, keys_by_org, text=_canonical(plain))
        if missing:
            who = ", ".join(sorted(missing))
            raise SealError("AGREEMENT_UNSIGNED", f"the agreement {agreement.key} is not signed by {who}")


# --- form ---


class _SealRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]


class _PartyRow(_SealRow, frozen=True, forbid_unknown_fields=True):
    org: Annotated[str, Meta(min_length=1, max_length=16)]


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["tongjie-policy-v1"]
    body: str
    seals: Annotated[list[_SealRow], Meta(min_length=1, max_length=MAX_SEALS)]
    agreement_seals: Annotated[
        dict[Annotated[str, Meta(max_length=160)], Annotated[list[_PartyRow], Meta(max_length=MAX_SEALS)]],
        Meta(max_length=MAX_AGREEMENTS),
    ] = {}


def to_text(sealed: Sealed) -> str:
    """The sealed bundle as it travels and is kept: one JSON object, the bundle's text as a string in it."""
    beside: dict[str, list[dict[str, str]]] = {}
    for each in sealed.agreement_seals:
        row = {"org": each.org, "key_id": each.key_id, "signature": each.signature}
        beside.setdefault(each.agreement, []).append(row)
    seals = [{"key_id": each.key_id, "signature": each.signature} for each in sealed.seals]
    return _canonical({"format": FORMAT, "body": sealed.body, "seals": seals, "agreement_seals": beside})


def from_text(text: str) -> Sealed:
    """Read a sealed bundle without believing it. Raises SealError SEAL_FORM."""
    if len(text) > MAX_TEXT:
        raise SealError("SEAL_FORM", "the sealed policy bundle is longer than this software takes")
    try:
        found = msgspec.json.decode(text, type=_Text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SealError("SEAL_FORM", f"this is no sealed policy bundle ({type(error).__name__})") from error
    return Sealed(
        found.body,
        tuple(Seal(row.key_id, row.signature) for row in found.seals),
        tuple(
            AgreementSeal(name, row.org, row.key_id, row.signature)
            for name, rows in found.agreement_seals.items()
            for row in rows
        ),
    )


def _bounded(sealed: Sealed) -> Sealed:
    if len(sealed.seals) > MAX_SEALS or len(sealed.agreement_seals) > MAX_AGREEMENTS:
        raise SealError("SEAL_FORM", "a policy bundle does not carry so many seals")
    return sealed


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _message(form: str, text: str) -> bytes:
    return f"{form}\n{text}".encode()


def _private(raw: bytes) -> Ed25519PrivateKey:
    if len(raw) != KEY_BYTES:
        raise SealError("SEAL_KEY", f"a private policy key has {KEY_BYTES} bytes")
    return Ed25519PrivateKey.from_private_bytes(raw)


def _holds(key: PolicyKey, signature: str, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
