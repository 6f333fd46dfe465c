"""What is taken out of text, and what has to stay for it to be of use."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.support.scrub import REDACTED, Scrubber, networks, secrets_in

KEY = bytes(range(200, 232))


@pytest.mark.parametrize(
    "in_file", [KEY.hex(), base64.b64encode(KEY).decode(), base64.urlsafe_b64encode(KEY).decode()]
)
@pytest.mark.parametrize(
    "in_text",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.b64encode(KEY).decode().rstrip("="),
        base64.urlsafe_b64encode(KEY).decode(),
    ],
)
def test_a_key_is_found_however_it_is_written(in_file: str, in_text: str) -> None:
    scrubber = Scrubber(secrets_in(f'[[generations]]\nsecret = "{in_file}"\n'.encode()), None)
    assert scrubber.scrub(f"before {in_text} after").rstrip("=") in (
        f"before {REDACTED} after",
        f"before {REDACTED}= after",
    )
    assert scrubber.redacted == 1


def test_the_words_of_a_file_of_secrets_are_no_secrets() -> None:
    ring = b"version = 3\nissue = 2\n[[generations]]\nnumber = 0\ncreated = 2026-11-21T10:00:00Z\n"
    text = "version 3, generations: 2 created 2026-11-21T10:00:00Z, number 0"
    assert Scrubber(secrets_in(ring), None).scrub(text) == text


@given(
    st.text(st.characters(codec="ascii", exclude_categories=("C",)), min_size=4, max_size=80).map(str.strip)
)
def test_a_password_is_found_also_where_json_has_escaped_it(password: str) -> None:
    if len(password) < 4:
        return
    scrubber = Scrubber(secrets_in(password.encode() + b"\n"), None)
    for text in (f"key {password} said", json.dumps({"reason": f"key {password} said"})):
        assert password not in scrubber.scrub(text).replace(REDACTED, "")


PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\nabcd\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text,left",
    [
        (f"a {PEM} b", f"a {REDACTED} b"),
        ("a -----BEGIN PRIVATE KEY-----\ncut off", f"a {REDACTED}"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln end", f"token {REDACTED} end"),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {REDACTED}"),
        ("url=https://bob:hunter2@example.net/x", f"url=https://{REDACTED}@example.net/x"),
        ('password = "hunter2"', f'password = "{REDACTED}"'),
        ("OPENAI_API_KEY=sk-12ab", f"OPENAI_API_KEY={REDACTED}"),
        ('{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQ"}', f'{{"kty":"oct","k":"{REDACTED}"}}'),
        ("secret: x9!", f"secret: {REDACTED}"),
        # All of it goes, whatever is in it.
        ('"password": "two words, and more"', f'"password": "{REDACTED}"'),
        ('{"token":5,"secret":"x\\"y z","n":1}', f'{{"token":5,"secret":"{REDACTED}","n":1}}'),
        ('"reason": "password=\\"a b\\" was"', f'"reason": "password=\\"{REDACTED}\\" was"'),
        ('"reason": "said \\"token=abc\\""', f'"reason": "said \\"token={REDACTED}\\""'),
        ("password=123456 x", f"password={REDACTED} x"),
        ("password=/abc/def x", f"password={REDACTED} x"),
        # Of clouds.
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", f"aws_secret_access_key = {REDACTED}"),
        ("id AKIAIOSFODNN7EXAMPLE.", f"id {REDACTED}."),
        ("AWS_ACCESS_KEY_ID=abcdef", f"AWS_ACCESS_KEY_ID={REDACTED}"),
        ("with sk-live-0123456789abcdef and", f"with {REDACTED} and"),
        ("AGE-SECRET-KEY-1QQPQYQSZQGPQYQSZQ", REDACTED),
        # On a command line, in a URL, in a field of HTTP.
        (
            "COMMAND=edgectl call x --token opaque --password hunter2 --say hi",
            f"COMMAND=edgectl call x --token {REDACTED} --password {REDACTED} --say hi",
        ),
        ("https://ghp_abc@example.net/x", f"https://{REDACTED}@example.net/x"),
        ("db://u:p@ss@example.net/x", f"db://{REDACTED}@example.net/x"),
        ("db://u:p/ss@example.net/x", f"db://{REDACTED}@example.net/x"),
        ("Authorization: Token abc", f"Authorization: Token {REDACTED}"),
        ('"said": "Bearer abc", "n": 1', f'"said": "Bearer {REDACTED}", "n": 1'),
        ("'authorization': 'abcdef'", f"'authorization': '{REDACTED}'"),
        ("Proxy-Authorization: Basic dTpw", f"Proxy-Authorization: Basic {REDACTED}"),
        ("Set-Cookie: session=abc; Path=/\nnext", f"Set-Cookie: {REDACTED}\nnext"),
        # Of BGP speakers.
        ('password "hunter2";', f'password "{REDACTED}";'),
        ("md5-password hunter2;", f"md5-password {REDACTED};"),
        ("md5-password 'hunter 2';", f"md5-password '{REDACTED}';"),
        ("neighbor 198.51.100.1 password hunter2", f"neighbor 198.51.100.1 password {REDACTED}"),
        # Of others' programs.
        (
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc\n-----END PGP PRIVATE KEY BLOCK-----",
            REDACTED,
        ),
        (
            "10:02 edge[7]: -----BEGIN PRIVATE KEY-----\n10:02 edge[7]: abcd\n10:02 edge[7]: -----END PRIVATE KEY----- x",
            f"10:02 edge[7]: {REDACTED} x",
        ),
        # What is of use stays.
        ('private_key = "/etc/edge/tls/key.pem"', 'private_key = "/etc/edge/tls/key.pem"'),
        ("keys_version 3 tokens: 4", "keys_version 3 tokens: 4"),
        ('"token": null', '"token": null'),
        ("decided from=starting to=announced", "decided from=starting to=announced"),
        ("the password was changed, the token is old", "the password was changed, the token is old"),
        ("wss://example.net:443/v1/@me", "wss://example.net:443/v1/@me"),
        ("https://example.net/x?mail=a@b", "https://example.net/x?mail=a@b"),
        ('"secret_files_not_read": []', '"secret_files_not_read": []'),
        ("--token-audience voice --say hello", "--token-audience voice --say hello"),
    ],
)
def test_what_looks_like_a_secret_goes(text: str, left: str) -> None:
    assert Scrubber((), None).scrub(text) == left


OURS = networks(["192.0.2.0/24", "198.51.100.11", "2001:db8:1::/48"])


@pytest.mark.parametrize(
    "text,left",
    [
        ("from 203.0.113.9:4433 to 192.0.2.1", "from [address-1]:4433 to 192.0.2.1"),
        ("203.0.113.9, 203.0.113.10 and 203.0.113.9.", "[address-1], [address-2] and [address-1]."),
        ("[2001:db8:2::7]:443 at 10:02:11", "[[address-1]]:443 at 10:02:11"),
        ("lost 2001:db8:2::7: timed out", "lost [address-1]: timed out"),
        ("lost 2001:db8:2::7.", "lost [address-1]."),
        ("::ffff:203.0.113.9 is 203.0.113.9", "[address-1] is [address-1]"),
        (
            "2001:db8:1::5 and 2001:DB8:2:0:0:0:0:7 and 2001:db8:2::7",
            "2001:db8:1::5 and [address-1] and [address-1]",
        ),
        ("peer='203.0.113.9'", "peer='[address-1]'"),
        ("198.51.100.11 198.51.100.12", "198.51.100.11 [address-1]"),
        (
            "version 0.1.0, 2026-11-21 10:02:11, 00:16:3e:11:22:33",
            "version 0.1.0, 2026-11-21 10:02:11, 00:16:3e:11:22:33",
        ),
        ("ends at ::", "ends at [address-1]"),
    ],
)
def test_strangers_get_names_and_ours_stay(text: str, left: str) -> None:
    assert Scrubber((), OURS).scrub(text) == left
    assert Scrubber((), None).scrub(text) == text


@given(
    st.ip_addresses(),
    st.sampled_from(["{}", "[{}]:443", "from={},", "at {}.", "at {}: gone", '"{}"', "({})"]),
)
def test_no_strangers_address_is_left_wherever_it_stands(address: object, form: str) -> None:
    scrubbed = Scrubber((), []).scrub(form.format(address))
    assert str(address) not in scrubbed
    assert "[address-1]" in scrubbed


def test_no_secret_is_no_pattern_that_fits_everything() -> None:
    assert Scrubber(["", "abc"], None).scrub("abc") == "abc"
    assert list(secrets_in(b"")) == []


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "_-",
        "1:",
        "1.",
        "eyJ-",
        "token_",
        "://",
        "://a:",
        "-----BEGIN PRIVATE KEY-----",
        'token="',
        "password=\\",
        'password "',
        "--token ",
        "neighbor a ",
        "cookie:",
        "secret_",
        'token:\\"',
        "\\",
    ],
)
def test_no_text_takes_for_ever(piece: str) -> None:
    """What goes back and forth in it needs minutes for so much, and the limit of a test ends it; else it is a second."""
    text = piece * (300_000 // len(piece))
    assert Scrubber(["0123456789abcdef"], OURS).scrub(text)
