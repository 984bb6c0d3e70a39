"""tongjie policy keygen, key, agree, sign, verify: files of mode 0600, one sentence and a code for each refusal."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from consortium.bundle import digest, to_json
from consortium.seal import public_key
from tests.make import HOME, HOST, NOW, Make
from tongjie.commands.policy_keys import app

BUNDLE = Make.bundle()
BODY = to_json(BUNDLE)
AT = "2026-11-22T12:00:00Z"


class Desk:
    """A folder with a bundle and a key, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle = folder / "bundle.json"
        self.bundle.write_text(json.dumps(json.loads(BODY), indent=1), "utf-8")
        self.key = folder / "policy.key"
        self.public = self.make(self.key)

    def run(self, *words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words])

    def make(self, path: Path) -> str:
        return str(json.loads(self.run("keygen", path, "--json").stdout)["public"])

    def sealed(self, *more: object, name: str = "sealed.json") -> Path:
        out = self.folder / name
        done = self.run("sign", self.bundle, "--key", self.key, "-o", out, *more)
        assert done.exit_code == 0, done.stderr
        return out

    def verify(self, path: Path, *more: object) -> Result:
        return self.run("verify", path, "--key", self.public, "--at", AT, *more)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def refused(done: Result, code: str, status: int = 1) -> bool:
    return done.exit_code == status and done.stderr.rstrip().endswith(f"[{code}]")


class TestKeys:
    def test_a_key_is_never_overwritten(self, desk: Desk) -> None:
        before = desk.key.read_text()
        assert refused(desk.run("keygen", desk.key), "KEY_EXISTS", 2)
        assert desk.key.read_text() == before

    def test_a_key_that_others_may_read_is_not_used(self, desk: Desk) -> None:
        desk.key.chmod(0o644)
        assert refused(desk.run("key", desk.key), "KEY_MODE", 2)
        assert refused(desk.run("sign", desk.bundle, "--key", desk.key), "KEY_MODE", 2)

    def test_a_file_that_holds_no_key_is_named(self, desk: Desk) -> None:
        desk.key.write_text("no key")
        assert refused(desk.run("key", desk.key), "SEAL_KEY", 2)
        assert refused(desk.run("key", desk.folder / "none"), "FILE_UNREADABLE", 2)
        assert refused(desk.run("keygen", desk.folder / "none" / "key"), "FILE_UNWRITABLE", 2)

    def test_keygen_keeps_the_private_half_and_prints_the_public_one(self, desk: Desk) -> None:
        assert stat.S_IMODE(desk.key.stat().st_mode) == 0o600
        raw = bytes.fromhex(desk.key.read_text())
        assert public_key(raw).public.hex() == desk.public
        said = desk.run("key", desk.key)
        assert said.stdout.split() == ["public", desk.public, "id", public_key(raw).id]
        assert raw.hex() not in said.stdout


class TestVerify:
    def test_exit_1_and_the_code_where_a_branch_would_refuse(self, desk: Desk) -> None:
        sealed = desk.sealed()
        stranger = desk.make(desk.folder / "other.key")
        assert refused(desk.run("verify", sealed, "--key", stranger, "--at", AT), "SEAL_UNKNOWN_KEY")
        assert refused(desk.verify(sealed, "--key", stranger, "--needed", 2), "SEAL_TOO_FEW")
        assert refused(desk.verify(sealed, "--held", f"2:{'0' * 64}"), "BUNDLE_OLDER")
        assert refused(desk.verify(sealed, "--held", f"1:{'0' * 64}"), "BUNDLE_FORK")
        assert refused(desk.run("verify", sealed, "--key", desk.public, "--at", "2020-01-01"), "BUNDLE_NOT_YET")
        assert refused(desk.run("verify", sealed, "--key", desk.public, "--at", "2099-01-01"), "BUNDLE_EXPIRED")
        assert refused(desk.verify(sealed, "--party", f"{HOME}={stranger}"), "AGREEMENT_UNSIGNED")
        assert refused(desk.verify(desk.bundle), "SEAL_FORM")
        assert refused(desk.run("verify", sealed, "--key", "00"), "SEAL_KEY")
        sealed.write_text(sealed.read_text("utf-8").replace("period_days", "Period_days"), "utf-8")
        assert refused(desk.verify(sealed), "SEAL_INVALID")
        told = desk.verify(sealed, "--json")
        assert (told.exit_code, json.loads(told.stdout)["code"]) == (1, "SEAL_INVALID")

    @pytest.mark.parametrize(
        "words", [("--held", "2"), ("--held", "x:" + "0" * 64), ("--at", "soon"), ("--needed", "0")]
    )
    def test_wrong_usage_is_2(self, desk: Desk, words: tuple[str, str]) -> None:
        done = desk.run("verify", desk.sealed(), "--key", desk.public, *words)
        assert done.exit_code == 2

    def test_what_a_branch_would_take_is_named(self, desk: Desk) -> None:
        said = json.loads(desk.verify(desk.sealed(), "--json").stdout)
        assert said == {
            "ok": True,
            "version": 1,
            "digest": digest(BODY),
            "keys": [public_key(bytes.fromhex(desk.key.read_text())).id],
        }
        held = f"{said['version']}:{said['digest']}"
        assert held in desk.verify(desk.sealed(), "--held", held).stdout


class TestSign:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("", "BUNDLE_INVALID"),
            ("{}", "BUNDLE_INVALID"),
            ("[" * 100_000, "BUNDLE_INVALID"),
            (to_json(Make.bundle(calendars=())), "BUNDLE_CALENDAR"),
            ('{"format": "tongjie-policy-v1"}', "SEAL_FORM"),
        ],
    )
    def test_what_is_no_sound_bundle_is_not_signed(self, desk: Desk, text: str, code: str) -> None:
        desk.bundle.write_text(text)
        assert refused(desk.run("sign", desk.bundle, "--key", desk.key), code)

    def test_a_signature_of_a_party_that_cannot_be_read_is_refused(self, desk: Desk) -> None:
        for text in ("", "{}", "[]", '{"agreement": "both@1", "org": "251020", "key_id": "x", "signature": "y"}'):
            (desk.folder / "a.json").write_text(text)
            done = desk.run("sign", desk.bundle, "--key", desk.key, "--agreed", desk.folder / "a.json")
            assert refused(done, "SEAL_FORM")

    def test_a_bundle_however_it_is_laid_out_is_signed_in_its_one_text(self, desk: Desk) -> None:
        done = desk.run("sign", desk.bundle, "--key", desk.key)
        assert json.loads(done.stdout)["body"] == BODY

    def test_a_second_key_signs_what_the_first_one_sealed(self, desk: Desk) -> None:
        second = desk.make(desk.folder / "second.key")
        both = desk.folder / "both.json"
        done = desk.run("sign", desk.sealed(), "--key", desk.folder / "second.key", "-o", both)
        assert done.exit_code == 0
        assert desk.verify(both, "--key", second, "--needed", 2).exit_code == 0

    def test_parties_agree_and_their_signatures_travel_beside(self, desk: Desk) -> None:
        words: list[object] = []
        parties: list[object] = []
        for org in (HOME, HOST):
            parties += ["--party", f"{org}={desk.make(desk.folder / f'{org}.key')}"]
            out = desk.folder / f"{org}.json"
            assert (
                desk.run(
                    "agree", desk.bundle, "both", "--org", org, "--key", desk.folder / f"{org}.key", "-o", out
                ).exit_code
                == 0
            )
            words += ["--agreed", out]
        assert desk.verify(desk.sealed(*words), *parties).exit_code == 0
        assert refused(desk.verify(desk.sealed(*words[:2]), *parties), "AGREEMENT_UNSIGNED")
        assert refused(desk.run("agree", desk.bundle, "none", "--org", HOME, "--key", desk.key), "AGREEMENT_UNKNOWN")
        assert refused(
            desk.run("agree", desk.bundle, "both@1", "--org", "990002", "--key", desk.key), "AGREEMENT_UNSIGNED"
        )


def test_the_time_of_these_tests_lies_in_the_bundle_s() -> None:
    assert BUNDLE.valid_from_ms < NOW < BUNDLE.valid_to_ms
