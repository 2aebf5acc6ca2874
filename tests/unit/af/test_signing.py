import re

import pytest
from nacl.signing import SigningKey

import af
from af.signing import Signer, new_key, read_key, read_trust, sign, signer_of
from tests.unit.af.samples import neural_agent, python_agent

KEY = SigningKey(bytes(range(32)))
PUBLIC = bytes(KEY.verify_key).hex()
TIME = "2026-01-05T00:00:00Z"


def signed(agent=None):
    return sign(af.write(agent or python_agent()), KEY, TIME)


def refusal(action, *arguments):
    with pytest.raises(af.AfRefused) as caught:
        action(*arguments)
    return str(caught.value)


def test_signing_adds_one_key_and_changes_no_other_byte():
    plain = af.write(neural_agent())
    data = signed(neural_agent())
    start = data.index(b"signature: ")
    stop = data.index(b"---BINARY_SECTION:")
    assert data[:start] + data[stop:] == plain


def test_a_signed_file_parses_writes_back_to_the_same_bytes_and_names_its_signer():
    agent = af.parse(signed())
    assert af.write(agent) == signed()
    assert signer_of(agent) == Signer(PUBLIC, TIME, None)
    assert signer_of(agent, {PUBLIC: "Ada"}).trusted_as == "Ada"
    assert signer_of(python_agent()) is None


def test_any_changed_byte_is_noticed():
    data = signed()
    for position in range(0, len(data), 7):
        broken = bytearray(data)
        broken[position] ^= 1
        with pytest.raises(af.AfRefused):
            af.parse(bytes(broken))


def test_a_signature_of_another_file_does_not_fit():
    other = signed(python_agent(description="another"))
    tail = other[other.index(b"signature: ") : other.index(b"---BINARY")]
    data = signed()
    mixed = data[: data.index(b"signature: ")] + tail + data[data.index(b"---BINARY") :]
    assert "header: signature: it does not fit the file" in refusal(af.parse, mixed)


def test_the_time_of_signing_is_signed_too():
    assert "does not fit" in refusal(af.parse, signed().replace(TIME.encode(), b"2027-01-05T00:00:00Z"))


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text, tail: text.replace(tail, b"").replace(b"name: echo", tail + b"name: echo"),
        lambda text, tail: text.replace(tail, tail + b"x-late: 1\n"),
        lambda text, tail: text.replace(b"name: echo", b"description: 'a\n" + tail + b"b'\nname: echo"),
    ],
)
def test_a_signature_anywhere_but_at_the_headers_end_is_refused(rewrite):
    data = signed()
    tail = re.search(rb"^signature: .*?(?=^---BIN)", data, re.DOTALL | re.MULTILINE).group()
    af.parse(data)
    with pytest.raises(af.AfRefused, match=r"signature|column"):
        af.parse(rewrite(data, tail))


def test_a_changed_agent_is_not_signed_any_more():
    agent = af.parse(signed())
    assert agent.with_header(agent.header.model_copy(update={"author": "x"})).header.signature is None
    assert agent.with_section(af.encode_section("more", b"x")).header.signature is None


def test_compiling_keeps_the_signature_of_a_compiled_file_only():
    compiled = sign(af.write(af.compile_agent(neural_agent())), KEY, TIME)
    assert af.write(af.compile_agent(af.parse(compiled))) == compiled
    assert af.compile_agent(af.parse(signed(neural_agent()))).header.signature is None


def test_a_file_is_signed_again_in_place_of_the_old_signature():
    other = SigningKey(bytes(32))
    again = sign(signed(), other, TIME)
    assert signer_of(af.parse(again)).key == bytes(other.verify_key).hex()
    assert sign(again, KEY, TIME) == signed()
    broken = signed().replace(b"name: echo", b"name: ecko")
    assert signer_of(af.parse(sign(broken, KEY, TIME))).key == PUBLIC


def test_sections_without_an_index_cannot_be_signed():
    data = b"version: '1.0'\nname: a\n---BINARY_SECTION:one---\nhello\n"
    assert "nothing vouches for its sections" in refusal(sign, data, KEY, TIME)


def test_a_header_that_cannot_take_another_line_is_refused():
    assert "a signature cannot be added" in refusal(sign, b"{version: '1.0', name: a}", KEY, TIME)


def test_a_header_without_a_final_newline_can_be_signed():
    assert signer_of(af.parse(sign(b"version: '1.0'\nname: a", KEY, TIME)))


def test_a_new_key_is_its_owners_alone_and_never_overwritten(tmp_path):
    public = new_key(tmp_path / "ada.key")
    assert (tmp_path / "ada.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ada.key.pub").read_text() == f"{public} ada\n"
    assert bytes(read_key(tmp_path / "ada.key").verify_key).hex() == public
    assert read_trust(tmp_path / "ada.key.pub") == {public: "ada"}
    assert "never overwritten" in refusal(new_key, tmp_path / "ada.key")


def test_a_private_key_others_can_read_is_refused(tmp_path):
    new_key(tmp_path / "ada.key")
    (tmp_path / "ada.key").chmod(0o640)
    assert "others can read this private key (mode 0640)" in refusal(read_key, tmp_path / "ada.key")


def test_what_is_no_key_is_refused_with_its_line(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# ours\n\n{PUBLIC} Ada Lovelace\nnonsense\n")
    path.chmod(0o600)
    assert f"{path}, line 4: it is no public key" in refusal(read_trust, path)
    assert "it is not a private key" in refusal(read_key, path)
    path.write_text(f"# ours\n\n  {PUBLIC}   Ada Lovelace \n{'0' * 64}\n")
    assert read_trust(path) == {PUBLIC: "Ada Lovelace", "0" * 64: "0" * 12}
    assert "No such file" in refusal(read_trust, tmp_path / "none")
    assert "No such file" in refusal(read_key, tmp_path / "none")
