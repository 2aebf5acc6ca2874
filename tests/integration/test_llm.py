"""A language model's endpoint, played by a local server: what is sent, and what is made of what comes
back.
"""

import http.server
import json
import threading

import pytest

from swarm.adapters.chat import ANSWER_BYTES_MAX, OpenAiChat
from swarm.errors import ConfigRefused, PeerFault

SECRET = "sk-very-secret"


@pytest.fixture
def endpoint():
    """A server, what it was asked, and what it will answer: (status, headers, body)."""
    asked, says = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, dict(self.headers), json.loads(body)))
            status, headers, data = says[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.block_on_close = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", asked, says
    server.shutdown()
    server.server_close()
    thread.join()


def answering(content):
    return (200, {}, json.dumps({"choices": [{"message": {"content": content}}]}).encode())


def test_a_request_is_sent_with_the_key_that_a_reference_names(endpoint, monkeypatch, tmp_path):
    url, asked, says = endpoint
    says.append(answering('{"steps": []}'))
    monkeypatch.setenv("MY_KEY", SECRET)
    assert OpenAiChat(url, "tiny", "env:MY_KEY").complete("system", "user") == '{"steps": []}'
    path, headers, body = asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert (body["model"], [each["role"] for each in body["messages"]]) == ("tiny", ["system", "user"])
    (tmp_path / "key").write_text(f"{SECRET}\n")
    (tmp_path / "key").chmod(0o600)
    OpenAiChat(url, "tiny", f"file:{tmp_path / 'key'}").complete("system", "user")
    assert asked[1][1]["Authorization"] == f"Bearer {SECRET}"
    OpenAiChat(url, "tiny").complete("system", "user")
    assert "Authorization" not in asked[2][1]


@pytest.mark.parametrize(
    "reply",
    [
        (500, {}, b"oops"),
        (302, {"Location": "http://127.0.0.1:1/steal"}, b""),
        (200, {}, b"not json"),
        (200, {}, b'{"choices": []}'),
        (200, {}, b'{"choices": [{"message": {"content": 3}}]}'),
        (200, {}, b" " * (ANSWER_BYTES_MAX + 2)),
    ],
)
def test_an_answer_that_is_none_is_its_fault_and_nothing_is_followed(endpoint, reply):
    url, asked, says = endpoint
    says.append(reply)
    with pytest.raises(PeerFault, match="the language model failed"):
        OpenAiChat(url, "tiny").complete("system", "user")
    assert len(asked) == 1


def test_an_endpoint_that_is_not_there_is_told():
    with pytest.raises(PeerFault):
        OpenAiChat("http://127.0.0.1:9/v1", "tiny", timeout_s=5).complete("system", "user")


@pytest.mark.parametrize(
    "url", ["http://example.com/v1", "ftp://localhost/v1", "localhost", "http://10.0.0.1/v1"]
)
def test_nothing_is_sent_in_the_clear_to_another_machine(url):
    with pytest.raises(ConfigRefused, match="https"):
        OpenAiChat(url, "tiny").complete("system", "user")


@pytest.mark.parametrize("reference", [SECRET, f"plain:{SECRET}", "env:NOT_SET_ANYWHERE", "file:/nowhere"])
def test_a_key_that_is_no_reference_is_refused_and_never_told(endpoint, reference):
    url, asked, _ = endpoint
    with pytest.raises(ConfigRefused) as caught:
        OpenAiChat(url, "tiny", reference).complete("system", "user")
    assert SECRET not in str(caught.value) + caught.value.place + caught.value.remedy
    assert not asked
