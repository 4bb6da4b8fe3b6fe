"""No dress in which a provider may repeat a token is shown."""

import base64
import html
import json
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.http.redaction import SHORTEST, holds_secret, redacted

TOKEN = "glpat-0123/456+89_ab=="
PATIENT = hypothesis.settings(deadline=None)

DRESSES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "URL": lambda token: quote(token, safe=""),
    "URL in lower case": lambda token: quote(token, safe="").lower(),
    "URL of a form": quote_plus,
    "URL twice": lambda token: quote(quote(token, safe=""), safe=""),
    "URL, each character": lambda token: "".join(f"%{byte:02x}" for byte in token.encode()),
    "HTML": html.escape,
    "HTML, each character": lambda token: "".join(f"&#{ord(character)};" for character in token),
    "HTML in hexadecimal": lambda token: "".join(f"&#x{ord(character):X};" for character in token),
    "JSON": lambda token: json.dumps(token)[1:-1],
    "JSON, each character": lambda token: "".join(f"\\u{ord(character):04X}" for character in token),
    "base64": lambda token: base64.b64encode(token.encode()).decode(),
    "base64 for URLs": lambda token: base64.urlsafe_b64encode(token.encode()).decode().rstrip("="),
    "base64 in a URL": lambda token: quote(base64.b64encode(token.encode()).decode(), safe=""),
    "base64 of a user": lambda token: base64.b64encode(f"oauth2:{token}".encode()).decode(),
    "base64 of a name": lambda token: base64.b64encode(f"x:{token}\n".encode()).decode(),
    "base64 of a header": lambda token: base64.b64encode(f"Bearer {token}".encode()).decode(),
    "hexadecimal": lambda token: token.encode().hex(),
    "hexadecimal in upper case": lambda token: token.encode().hex().upper(),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_token_is_redacted_in_every_dress(dress: str) -> None:
    worn = DRESSES[dress](TOKEN)
    seen = redacted(f'invalid token "{worn}" (401)', (TOKEN,))
    assert seen.startswith('invalid token "')
    assert seen.endswith('" (401)')
    assert "[token]" in seen
    assert len(seen) < len('invalid token "[token]" (401)') + 14, "of base64, what stands before the token may stay"
    assert holds_secret(worn, (TOKEN,))


@PATIENT
@given(
    st.text(string.ascii_letters + string.digits + string.punctuation, min_size=SHORTEST, max_size=80),
    st.sampled_from(sorted(DRESSES)),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_any_token_is_redacted_in_every_dress(token: str, dress: str, before: str, after: str) -> None:
    worn = DRESSES[dress](token)
    assert holds_secret(f"{before}{worn}{after}", (token,))
    assert token not in redacted(f"{before}{worn}{after}", (token,)).replace("[token]", "\0")


@given(st.text(max_size=200), st.lists(st.text(max_size=SHORTEST - 1)))
def test_what_is_too_short_to_be_a_token_is_redacted_nowhere(text: str, secrets: list[str]) -> None:
    assert redacted(text, tuple(secrets)) == text
    assert not holds_secret(text, tuple(secrets))


def test_plain_words_stay() -> None:
    text = "401 Unauthorized: the token is invalid (request 0123456789abcdef, see https://example.com/a%20b)"
    assert redacted(text, (TOKEN, f"Bearer {TOKEN}")) == text


def test_a_longer_secret_counts_before_one_that_it_holds() -> None:
    assert redacted(f"sent {TOKEN} as Bearer {TOKEN}", (TOKEN, f"Bearer {TOKEN}")) == "sent [token] as [token]"


def test_a_token_as_long_as_may_be_is_redacted_whole() -> None:
    token = "ab/+" * 16_000
    text = f"before {token} after " + "ab/" * 20_000
    assert redacted(text, (token,)).startswith("before [token] after ab/")
