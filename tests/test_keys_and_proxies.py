"""Keys, addresses and proxies that cannot be right are told before anything is sent."""

from typing import Any

import pytest

from nbkit import connect
from nbkit.models import ConnectError, MissingKeyError
from nbkit.models.proxies import proxy_for
from tests.model_servers import Serve, asay, say
from tests.simulated import simulated

KEY = "sk-abcdef123456"
WAYS = [("NBKIT_API_KEY", None), ("OPENAI_API_KEY", "openai")]
PROXIES = ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without the proxies of the machine that runs the tests."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("sk-abc\ndef123456", r"'\\n'"),
        ('"sk-abcdef123456"', """'"'"""),
        ("“sk-abcdef123456”", "'“'"),
        ("'sk-abcdef123456", '"\'"'),
        ("sk–abcdef123456", "'–'"),
        ("sk-abc def123456", "' '"),
        ("sk-abc\u00a0def123456", r"'\\xa0'"),
        ("sk-密钥123456", "'密'"),
        ("sk-abc\x1bdef123456", r"'\\x1b'"),
    ],
)
@pytest.mark.parametrize(("variable", "spec"), WAYS)
def test_a_key_that_cannot_be_one(
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    spec: str | None,
    key: str,
    says: str,
) -> None:
    """A key with a slip of copying is told in one sentence without the key; nothing is sent."""
    server = serve()
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv(variable, key)
    with pytest.raises(ConnectError, match=f"{variable} contains .*{says}") as caught:
        connect(spec or server.base_url)
    assert "123456" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.asked == []


@pytest.mark.parametrize("key", ["", " \n"])
@pytest.mark.parametrize(("variable", "spec"), WAYS)
def test_an_empty_key(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, variable: str, spec: str | None, key: str
) -> None:
    """A key that is set but empty is told; nothing is sent."""
    server = serve()
    monkeypatch.setenv(variable, key)
    with pytest.raises(MissingKeyError, match=variable):
        connect(spec or server.base_url)
    assert server.asked == []


async def test_white_space_around_a_key_is_left_out(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line break after the key, as in a file, does no harm."""
    server = serve()
    monkeypatch.setenv("NBKIT_API_KEY", f" {KEY}\r\n")
    llm = connect(server.base_url)
    assert [say(llm), await asay(llm)] == ["Hello", "Hello"]
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "address",
    ["localhost:8000/v1", "http://", "http://host:80x/v1", "ftp://a", "http://my host/v1"],
)
def test_an_address_that_is_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENAI_BASE_URL, or an address given, must be one."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(ConnectError, match="OPENAI_BASE_URL is not the address"):
        connect("openai")
    with pytest.raises(ConnectError, match=r"http://localhost:8000/v1"):
        connect(address)


def test_a_password_in_an_address_is_not_shown(serve: Serve) -> None:
    """Neither the repr nor an error repeats the password that an address holds."""
    several = serve({"/v1/models": {"data": [{"id": "a"}, {"id": "b"}]}})
    address = several.base_url.replace("//", "//ann:hidden@")
    told = [repr(connect(address, model="a"))]
    for settings in ({}, {"ttft": 1}):
        with pytest.raises(ConnectError) as caught:
            connect(address, **settings)
        told.append(str(caught.value))
    with pytest.raises(ConnectError) as caught:
        connect("http://ann:hidden@127.0.0.1:9/v1")
    told.append(str(caught.value))
    assert "hidden" not in " ".join(told)
    assert "127.0.0.1" in told[0]


# --- proxies


@pytest.mark.parametrize(
    ("variable", "proxy"),
    [
        ("ALL_PROXY", "socks5://ann:secret@127.0.0.1:1080"),
        ("HTTP_PROXY", "socks5h://127.0.0.1:1080"),
        ("HTTP_PROXY", "proxy.example:3128"),
        ("HTTP_PROXY", "127.0.0.1:3128"),
        ("HTTP_PROXY", "http://"),
        ("HTTP_PROXY", "http://proxy.example:port"),
    ],
)
@pytest.mark.parametrize("model", ["m", None])
def test_a_proxy_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str, model: str | None
) -> None:
    """Another kind of proxy, or one without a scheme, is told at connect, without its password."""
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(ConnectError, match=f"{variable} is not an http:// address") as caught:
        connect("http://models.example/v1", model=model)
    assert "secret" not in str(caught.value)


async def test_a_proxy_is_used_by_all_calls(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question for models, blocking calls and async calls all go through the proxy."""
    proxy = serve({"/v1/models": {"data": [{"id": "m", "max_model_len": 9_000}]}})
    monkeypatch.setenv("HTTP_PROXY", proxy.address)
    llm: Any = connect("http://models.example/v1")
    assert (llm.model, llm.metadata.context_window) == ("m", 9_000)
    assert [say(llm), await asay(llm)] == ["Hello", "Hello"]
    assert {asked.headers["host"] for asked in proxy.asked} == {"models.example"}
    assert len(proxy.chats) == 2


@pytest.mark.parametrize(
    ("host", "direct"),
    [
        ("127.0.0.2", True),
        ("LOCALHOST", True),
        ("lamp.localhost", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("192.168.1.5", False),
        ("localhost.example", False),
        ("[fe80::1]", False),
    ],
)
def test_which_servers_are_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, host: str, *, direct: bool
) -> None:
    """All of 127.0.0.0/8, ::1 and localhost are asked directly, and nothing else."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    wanted = None if direct else "http://proxy.example:3128"
    assert proxy_for(f"http://{host}:8000/v1") == wanted


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("proxy", ["http://proxy.example:3128", "socks5://127.0.0.1:9", "x:1"])
async def test_a_loopback_server_is_asked_directly(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, host: str, proxy: str
) -> None:
    """A server on this machine never goes through a proxy, whichever is set."""
    server = serve()
    for name in PROXIES[:3]:
        monkeypatch.setenv(name, proxy)
    llm = connect(server.base_url.replace("127.0.0.1", host))
    assert [say(llm), await asay(llm)] == ["Hello", "Hello"]
    assert simulated(speed=0).complete("Hi").text


async def test_no_proxy_takes_any_form(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY with an IPv6 address in brackets, a network or a star breaks nothing."""
    server = serve()
    for text in ("[::1]", "localhost,127.0.0.0/8,[::1]", "*.example, [fe80::1]:80", "*"):
        monkeypatch.setenv("NO_PROXY", text)
        llm = connect(server.base_url, default_headers={"X-Test": str(len(text))})
        assert [say(llm), await asay(llm)] == ["Hello", "Hello"]
        assert connect("http://models.example/v1", model="m", context_window=9_000)


async def test_a_dead_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the proxy is what does not answer, the error says so, and it can be put right."""
    right = connect("http://models.example/v1", model="m", context_window=9_000)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    llm = connect("http://models.example/v1", model="m", context_window=9_000)
    with pytest.raises(ConnectError, match=r"models\.example through the proxy 127\.0\.0\.1"):
        say(llm)
    with pytest.raises(ConnectError, match=r"models\.example through the proxy 127\.0\.0\.1"):
        await asay(llm)
    monkeypatch.delenv("HTTP_PROXY")
    assert connect("http://models.example/v1", model="m", context_window=9_000) is right
    assert llm is not right
