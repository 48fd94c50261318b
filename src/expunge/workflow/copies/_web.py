"""Ask another service over HTTP. Answers are values; only silence is an error."""

import json
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from expunge.core.errors import InvalidParameter, PeerRefused

SECONDS = 60.0  # that a peer may be silent
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Answer:
    """Status, body and where the next page is."""

    status: int
    body: bytes
    next: str | None = None

    def json(self) -> Any:
        """Raises: PeerRefused, where the body is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError as e:
            raise PeerRefused("the peer answered with what is no JSON; is the address right?") from e


class _SameHost(HTTPRedirectHandler):
    """Credentials are for the host they were meant for: a redirect elsewhere goes without, and changes nothing there."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            new.remove_header("Authorization")
        return new


_opener = build_opener(_SameHost)


def ask(
    url: str,
    *,
    method: str = "GET",
    body: bytes | Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """What the peer answers, whatever its status. Raises: PeerRefused, where nothing answers."""
    sent = json.dumps(body).encode() if isinstance(body, Mapping) else body
    head = {"Content-Type": "application/json"} if isinstance(body, Mapping) else {}
    try:
        with _opened(Request(url, data=sent, method=method, headers={**head, **(headers or {})})) as found:
            return Answer(found.status, found.read(), _next(found.headers.get("Link", "")))
    except HTTPError as e:
        with e:
            return Answer(e.code, e.read())


def sha256_at(url: str, headers: Mapping[str, str]) -> str:
    """Plain SHA-256 of what lies at an address, never whole in memory. Raises: PeerRefused."""
    state = sha256()
    try:
        with _opened(Request(url, headers=dict(headers))) as found:
            while chunk := found.read(_CHUNK):
                state.update(chunk)
    except HTTPError as e:
        e.close()
        raise PeerRefused(f"a file could not be read: HTTP {e.code}") from e
    return state.hexdigest()


@contextmanager
def _opened(request: Request) -> Iterator[Any]:
    try:
        with _opener.open(request, timeout=SECONDS) as found:
            yield found
    except HTTPError:
        raise
    except (URLError, OSError, HTTPException) as e:
        host = urlsplit(request.full_url).netloc
        raise PeerRefused(
            f"{host} does not answer ({type(e).__name__}); is it running, and is the address right?"
        ) from e


def needed(answer: Answer, what: str) -> Answer:
    """The answer, if it is a yes. Raises: PeerRefused."""
    if answer.status // 100 == 2:
        return answer
    hint = "; its credentials come from the environment" if answer.status in (401, 403) else ""
    raise PeerRefused(f"{what}: HTTP {answer.status}{hint}")


def bearer(*variables: str) -> dict[str, str]:
    """The header of the first of these environment variables that is set; none without."""
    token = next((value for name in variables if (value := os.environ.get(name))), None)
    return {"Authorization": f"Bearer {token}"} if token else {}


def basic(user: str, password: str) -> dict[str, str]:
    """The header of a user and a password."""
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


def web_address(uri: str) -> SplitResult:
    """Raises: InvalidParameter, for what is no http(s) address."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidParameter(f"'{uri}' is no http or https address")
    return parts


def _next(link: str) -> str | None:
    """The next page of a `Link` header (RFC 8288)."""
    for part in link.split(","):
        if 'rel="next"' in part:
            return part.partition("<")[2].partition(">")[0]
    return None
