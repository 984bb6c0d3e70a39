"""Seals: whose signature counts, what may follow what, and that no damaged byte is taken."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from consortium.agreement import AgreementStatus
from consortium.bundle import BundleError, Policy, digest, to_json
from consortium.seal import (
    MAX_TEXT,
    AgreementSeal,
    Held,
    PolicyKey,
    Seal,
    Sealed,
    SealError,
    Trust,
    agreement_text,
    countersign,
    from_text,
    missing_parties,
    open_sealed,
    public_key,
    seal,
    sign_agreement,
    to_text,
    unseal,
    with_agreement_seals,
)
from tests.make import DAY, HOME, HOST, NOW, Make

ONE, TWO, OTHER, HOME_KEY, HOST_KEY = (bytes([n]) * 32 for n in range(1, 6))
TRUST = Trust((public_key(ONE),))
BOTH = Trust((public_key(ONE), public_key(TWO)), needed=2)
PARTIES = Trust(TRUST.keys, 1, {HOME: (public_key(HOME_KEY),), HOST: (public_key(HOST_KEY),)})
BODY = to_json(Make.bundle())
TEXT = to_text(seal(BODY, ONE))


def code_of(text: str, trust: Trust = TRUST, held: Held | None = None, now: int = NOW) -> str:
    """The code that refuses this text."""
    with pytest.raises(SealError) as refused:
        unseal(text, trust, held, now)
    return refused.value.code


def changed(**more: Any) -> str:
    return json.dumps({**json.loads(TEXT), **more})


def seals(*rows: dict[str, Any]) -> str:
    return changed(seals=list(rows))


class TestForm:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            BODY,
            TEXT[:-1],
            TEXT + "x",
            changed(format="tongjie-policy-v2"),
            changed(format="tongjie-agreement-v1"),
            changed(body=7),
            changed(more=1),
            changed(seals=[]),
            changed(seals=json.loads(TEXT)["seals"] * 17),
            seals({"key_id": "0" * 15, "signature": "0" * 128}),
            seals({"key_id": "G" * 16, "signature": "0" * 128}),
            seals({"key_id": "0" * 16, "signature": "0" * 127}),
            seals({"key_id": "0" * 16, "signature": "0" * 128 + "\n"}),
            seals({"key_id": "0" * 16}),
            changed(agreement_seals=[]),
            changed(agreement_seals={"a@1": [{"org": "", "key_id": "0" * 16, "signature": "0" * 128}]}),
            "[" * 100_000,
            TEXT.replace('"body":"', '"body":"\\ud800'),
            "\ud800",
        ],
    )
    def test_what_is_no_sealed_bundle_is_refused(self, text: str) -> None:
        assert code_of(text) == "SEAL_FORM"

    def test_a_text_beyond_all_bounds_is_not_even_read(self) -> None:
        assert open_sealed(TEXT + " " * (MAX_TEXT - len(TEXT)), TRUST, None, NOW).version == 1
        assert code_of(TEXT + " " * (MAX_TEXT - len(TEXT) + 1)) == "SEAL_FORM"

    def test_more_seals_than_travel_are_not_made(self) -> None:
        stuffed = replace(seal(BODY, ONE), seals=tuple(Seal(f"{n:016x}", "0" * 128) for n in range(16)))
        with pytest.raises(SealError) as refused:
            countersign(stuffed, ONE)
        assert refused.value.code == "SEAL_FORM"

    @given(st.text())
    def test_no_text_opens_by_accident(self, text: str) -> None:
        assert code_of(text) == "SEAL_FORM"

    @given(
        st.text(alphabet=st.characters(exclude_categories=["Cs"])),
        st.lists(
            st.builds(Seal, st.from_regex(r"\A[0-9a-f]{16}\Z"), st.from_regex(r"\A[0-9a-f]{128}\Z")),
            min_size=1,
            max_size=4,
        ),
    )
    def test_every_sealed_text_reads_back(self, body: str, found: list[Seal]) -> None:
        beside = (AgreementSeal("a@1", HOME, "0" * 16, "1" * 128), AgreementSeal("a@1", HOST, "2" * 16, "3" * 128))
        sealed = Sealed(body, tuple(found), beside)
        assert from_text(to_text(sealed)) == sealed


class TestKeys:
    @pytest.mark.parametrize(
        "text", ["", "00" * 32, "01" + "00" * 31, "00" * 31 + "80", "ff" * 31, "zz" * 32, "ec" + "ff" * 31]
    )
    def test_a_key_under_which_anybody_could_sign_is_none(self, text: str) -> None:
        with pytest.raises(SealError) as refused:
            PolicyKey.from_hex(text)
        assert refused.value.code == "SEAL_KEY"

    @pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33)])
    def test_a_private_key_has_32_bytes(self, raw: bytes) -> None:
        with pytest.raises(SealError):
            seal(BODY, raw)

    def test_trust_needs_at_least_one_seal(self) -> None:
        with pytest.raises(SealError):
            Trust((), needed=0)

    def test_a_key_is_named_by_its_hash(self) -> None:
        # RFC 8032 §7.1, test 1: the public key of this secret; the id is the start of its SHA-256.
        secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
        public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        assert public_key(secret).public.hex() == public
        assert public_key(secret) == PolicyKey.from_hex(f" {public}\n")
        assert public_key(secret).id == "21fe31dfa154a261"


class TestSeals:
    def test_a_stranger_s_seal_is_not_enough(self) -> None:
        assert code_of(to_text(seal(BODY, OTHER))) == "SEAL_UNKNOWN_KEY"
        assert code_of(TEXT, Trust(())) == "SEAL_UNKNOWN_KEY"

    def test_a_seal_of_another_text_is_invalid(self) -> None:
        other = seal(to_json(Make.bundle(version=2)), ONE)
        assert code_of(to_text(replace(other, body=BODY))) == "SEAL_INVALID"

    def test_a_signature_under_another_key_s_name_is_invalid(self) -> None:
        (made,) = seal(BODY, OTHER).seals
        assert code_of(to_text(Sealed(BODY, (Seal(public_key(ONE).id, made.signature),)))) == "SEAL_INVALID"

    def test_a_signature_made_for_another_purpose_is_invalid(self) -> None:
        for purpose in ("", "tongjie-agreement-v1\n", "tongjie-policy-v1"):
            signature = Ed25519PrivateKey.from_private_bytes(ONE).sign((purpose + BODY).encode()).hex()
            assert code_of(to_text(Sealed(BODY, (Seal(public_key(ONE).id, signature),)))) == "SEAL_INVALID"

    def test_the_signed_bytes_are_the_documented_ones(self) -> None:
        signature = Ed25519PrivateKey.from_private_bytes(ONE).sign(b"tongjie-policy-v1\n" + BODY.encode()).hex()
        assert seal(BODY, ONE) == Sealed(BODY, (Seal(public_key(ONE).id, signature),))

    @given(st.integers(0, len(BODY) - 1), st.characters(exclude_categories=["Cs"]))
    def test_no_changed_character_passes(self, at: int, by: str) -> None:
        body = BODY[:at] + by + BODY[at + 1 :]
        if body != BODY:
            assert code_of(to_text(replace(seal(BODY, ONE), body=body))) == "SEAL_INVALID"

    @given(st.integers(0, 511))
    def test_no_changed_bit_of_a_signature_passes(self, bit: int) -> None:
        (made,) = seal(BODY, ONE).seals
        raw = bytearray.fromhex(made.signature)
        raw[bit // 8] ^= 1 << bit % 8
        assert code_of(to_text(Sealed(BODY, (Seal(made.key_id, raw.hex()),)))) == "SEAL_INVALID"

    def test_one_of_two_needed_is_too_few_and_twice_the_same_is_one(self) -> None:
        once = seal(BODY, ONE)
        assert code_of(to_text(once), BOTH) == "SEAL_TOO_FEW"
        assert code_of(to_text(replace(once, seals=once.seals * 2)), BOTH) == "SEAL_TOO_FEW"
        assert code_of(to_text(countersign(once, OTHER)), BOTH) == "SEAL_TOO_FEW"
        assert countersign(once, ONE) == once

    def test_a_false_seal_of_a_trusted_key_spoils_the_right_ones(self) -> None:
        false = Seal(public_key(TWO).id, seal(BODY, ONE).seals[0].signature)
        once = seal(BODY, ONE)
        text = to_text(replace(once, seals=(*once.seals, false)))
        assert code_of(text, Trust(BOTH.keys)) == "SEAL_INVALID"
        assert open_sealed(text, TRUST, None, NOW).version == 1  # whoever does not trust that key passes it over

    def test_enough_trusted_seals_open_the_bundle(self) -> None:
        assert open_sealed(TEXT, TRUST, None, NOW) == Make.bundle()
        opened = unseal(to_text(countersign(countersign(seal(BODY, ONE), OTHER), TWO)), BOTH, None, NOW)
        assert opened.key_ids == {public_key(ONE).id, public_key(TWO).id}
        assert opened.held == Held(1, digest(BODY))

    def test_a_sealed_text_that_is_no_bundle_is_refused_as_such(self) -> None:
        with pytest.raises(BundleError) as refused:
            unseal(to_text(seal("{}", ONE)), TRUST, None, NOW)
        assert refused.value.code == "BUNDLE_INVALID"


class TestSuccession:
    def test_an_older_version_is_refused_however_well_it_is_sealed(self) -> None:
        assert code_of(TEXT, held=Held(2, "0" * 64)) == "BUNDLE_OLDER"

    def test_two_contents_of_one_version_are_a_fork(self) -> None:
        assert code_of(TEXT, held=Held(1, "0" * 64)) == "BUNDLE_FORK"

    def test_a_bundle_before_and_after_its_time_is_refused(self) -> None:
        bundle = Make.bundle()
        assert code_of(TEXT, now=bundle.valid_from_ms - 1) == "BUNDLE_NOT_YET"
        assert code_of(TEXT, now=bundle.valid_to_ms) == "BUNDLE_EXPIRED"
        assert open_sealed(TEXT, TRUST, None, bundle.valid_from_ms) == bundle
        assert open_sealed(TEXT, TRUST, None, bundle.valid_to_ms - 1) == bundle

    def test_the_seal_is_judged_before_what_it_says(self) -> None:
        assert code_of(to_text(seal(BODY, OTHER)), held=Held(2, "0" * 64)) == "SEAL_UNKNOWN_KEY"

    def test_the_next_version_and_the_same_one_again_are_taken(self) -> None:
        assert open_sealed(TEXT, TRUST, Held(0, "0" * 64), NOW).version == 1
        held = unseal(TEXT, TRUST, None, NOW).held
        assert unseal(TEXT, TRUST, held, NOW).held == held

    def test_what_is_held_is_taken_again_after_its_end(self) -> None:
        held = unseal(TEXT, TRUST, None, NOW).held
        assert open_sealed(TEXT, TRUST, held, NOW + 10_000 * DAY).version == 1


def agreed(*who: tuple[str, bytes], **more: Any) -> str:
    """The bundle sealed, with these signatures of parties beside."""
    bundle = Make.bundle(**more)
    made = [sign_agreement(agreement, org, key) for agreement in bundle.agreements for org, key in who]
    return to_text(with_agreement_seals(seal(to_json(bundle), ONE), made))


class TestParties:
    def test_an_active_agreement_without_a_party_s_signature_is_refused(self) -> None:
        assert code_of(TEXT, PARTIES) == "AGREEMENT_UNSIGNED"
        with pytest.raises(SealError, match=f"both@1 is not signed by {HOST}$"):
            unseal(agreed((HOME, HOME_KEY)), PARTIES, None, NOW)

    def test_nobody_signs_for_another(self) -> None:
        assert code_of(agreed((HOME, HOME_KEY), (HOST, HOME_KEY)), PARTIES) == "AGREEMENT_UNSIGNED"
        assert code_of(agreed((HOME, HOME_KEY), (HOST, OTHER)), PARTIES) == "AGREEMENT_UNSIGNED"

    def test_a_library_whose_key_nobody_knows_cannot_have_signed(self) -> None:
        trust = replace(PARTIES, party_keys={HOME: (public_key(HOME_KEY),)})
        assert code_of(agreed((HOME, HOME_KEY), (HOST, HOST_KEY)), trust) == "AGREEMENT_UNSIGNED"

    def test_a_signature_holds_for_that_text_of_the_agreement_alone(self) -> None:
        old = Make.agreement()
        made = [sign_agreement(old, HOME, HOME_KEY), sign_agreement(old, HOST, HOST_KEY)]
        for new in (replace(old, notice_days=1), replace(old, version=2), replace(old, id="other")):
            sealed = seal(to_json(Make.bundle(agreements=(new,))), ONE)
            renamed = [replace(each, agreement=new.key) for each in made]
            assert code_of(to_text(with_agreement_seals(sealed, renamed)), PARTIES) == "AGREEMENT_UNSIGNED"

    def test_a_stranger_to_the_agreement_cannot_sign_it(self) -> None:
        with pytest.raises(SealError) as refused:
            sign_agreement(Make.agreement(), "990002", HOME_KEY)
        assert refused.value.code == "AGREEMENT_UNSIGNED"

    @pytest.mark.parametrize("more", [{"key_id": public_key(OTHER).id}, {"agreement": "other@1"}, {"org": HOST}])
    def test_a_signature_under_another_name_does_not_count(self, more: dict[str, str]) -> None:
        agreement = Make.agreement()
        made = sign_agreement(agreement, HOME, HOME_KEY)
        assert missing_parties(agreement, [made], PARTIES.party_keys) == {HOST}
        assert missing_parties(agreement, [replace(made, **more)], PARTIES.party_keys) == {HOME, HOST}

    def test_a_policy_seal_is_no_signature_of_an_agreement(self) -> None:
        agreement = Make.agreement()
        (made,) = seal(agreement_text(agreement), HOME_KEY).seals
        false = AgreementSeal(agreement.key, HOME, made.key_id, made.signature)
        assert HOME in missing_parties(agreement, [false], PARTIES.party_keys)

    def test_all_parties_signed(self) -> None:
        assert Policy(open_sealed(agreed((HOME, HOME_KEY), (HOST, HOST_KEY)), PARTIES, None, NOW)).version == 1
        assert missing_parties(Make.agreement(), [], PARTIES.party_keys) == {HOME, HOST}

    @pytest.mark.parametrize("status", [each for each in AgreementStatus if each is not AgreementStatus.ACTIVE])
    def test_an_agreement_that_serves_nobody_needs_no_signature(self, status: AgreementStatus) -> None:
        assert open_sealed(agreed(agreements=(Make.agreement(status=status),)), PARTIES, None, NOW).version == 1

    def test_who_asks_for_no_parties_gets_by_without(self) -> None:
        assert open_sealed(TEXT, TRUST, None, NOW).version == 1

    def test_a_signature_outlives_fields_that_this_software_does_not_know_yet(self) -> None:
        plain = json.loads(BODY)
        plain["agreements"][0]["future"] = {"b": 1, "a": [2]}
        text = json.dumps(plain["agreements"][0], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        made = []
        for org, key in ((HOME, HOME_KEY), (HOST, HOST_KEY)):
            signature = Ed25519PrivateKey.from_private_bytes(key).sign(b"tongjie-agreement-v1\n" + text.encode())
            made.append(AgreementSeal("both@1", org, public_key(key).id, signature.hex()))
        sealed = with_agreement_seals(seal(json.dumps(plain, ensure_ascii=False), ONE), made)
        assert open_sealed(to_text(sealed), PARTIES, None, NOW).version == 1
