"""Signatures, against the code that the documentation gives, and a vector of others."""

import asyncio
import base64
import hmac
import json
import re
import shutil
from typing import Any

import pytest

from gateway.webhooks.signing import Secrets
from tests.fixtures.layout import ROOT

PAGE = (ROOT / "docs/clients/webhooks.md").read_text("utf-8")
SECRETS = Secrets(b"a key that is long enough to sign")
BODY = '{"data":{"stockChanged":{"seq":"7","name":"Bücher €"}}}'.encode()
NAME, AT = "msg_3_7", 1_782_820_800
NODE = shutil.which("node")


def documented(language: str) -> str:
    """Return the first piece of code in a language on the page."""
    found = re.search(rf"```{language}[^\n]*\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def message(*salts: str) -> dict[str, str]:
    """Return the headers of a message that is signed by these secrets."""
    return {
        "webhook-id": NAME,
        "webhook-timestamp": str(AT),
        "webhook-signature": SECRETS.signatures(salts, NAME, AT, BODY),
    }


OLD, NEW = SECRETS.new_salt(), SECRETS.new_salt()
CASES: list[tuple[str, dict[str, str], bytes, int, bool]] = [
    (NEW, message(NEW), BODY, AT, True),
    (NEW, message(NEW, OLD), BODY, AT + 300, True),
    (OLD, message(NEW, OLD), BODY, AT - 300, True),
    (OLD, message(NEW), BODY, AT, False),
    (NEW, message(NEW), BODY + b" ", AT, False),
    (NEW, message(NEW), BODY, AT + 301, False),
    (NEW, message(NEW), BODY, AT - 301, False),
    (NEW, {**message(NEW), "webhook-id": "msg_3_8"}, BODY, AT, False),
    (NEW, {**message(NEW), "webhook-timestamp": str(AT + 1)}, BODY, AT, False),
    (NEW, {**message(NEW), "webhook-signature": "v1,"}, BODY, AT, False),
    (NEW, {**message(NEW), "webhook-signature": "v2,AAAA"}, BODY, AT, False),
]


def test_the_documented_python_verifies() -> None:
    """What is ours and in time, and nothing else."""
    names: dict[str, Any] = {}
    exec(documented("python"), names)  # noqa: S102 - it is our own page
    for salt, headers, body, now, holds in CASES:
        assert names["verify"](SECRETS.secret(salt), headers, body, now=now) is holds


@pytest.mark.skipif(NODE is None, reason="no Node.js on this machine")
async def test_the_documented_javascript_verifies() -> None:
    """The same in Node.js."""
    cases = [
        [SECRETS.secret(salt), headers, base64.b64encode(body).decode(), now]
        for salt, headers, body, now, _ in CASES
    ]
    script = (
        f"{documented('js')}\nconsole.log(JSON.stringify({json.dumps(cases)}"
        ".map(([s, h, b, n]) => verify(s, h, Buffer.from(b, 'base64'), n))))"
    )
    assert NODE is not None
    process = await asyncio.create_subprocess_exec(
        NODE, "-e", script, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert json.loads(told) == [holds for *_, holds in CASES]


def test_secrets_follow_from_salt_and_key() -> None:
    """The same in every process, and others with another key."""
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", SECRETS.secret(NEW))
    assert Secrets(b"a key that is long enough to sign").secret(NEW) == SECRETS.secret(NEW)
    assert Secrets(b"another key, also long enough to sign").secret(NEW) != SECRETS.secret(NEW)
    assert SECRETS.secret(NEW) != SECRETS.secret(OLD)


def test_a_salt_knows_its_key() -> None:
    """So nothing is signed that no receiver could verify; older salts are taken at their word."""
    salt = SECRETS.new_salt()
    assert SECRETS.knows(salt)
    assert not Secrets(b"another key, also long enough to sign").knows(salt)
    assert SECRETS.knows(NEW)
    assert SECRETS.new_salt() != salt


def test_the_vector_of_standard_webhooks() -> None:
    """The example of its specification, computed as we do."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
    made = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert made == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
