"""An adapter in a serving process that loads LoRA adapters while it runs, as vLLM's does.

Source: vLLM, `/v1/models`, `/v1/unload_lora_adapter`, `/v1/completions`. Credentials: VLLM_API_KEY.
"""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from expunge.core.digests import digest_folder
from expunge.core.errors import InvalidParameter, PeerRefused
from expunge.workflow.copies._kind import Probe, Standing
from expunge.workflow.copies._registry import kinds
from expunge.workflow.copies._web import ask, bearer, needed, web_address

_MODELS = "/v1/models/"


@kinds.add
class Lora:
    """Unloaded under every name, which is then asked for: the process must say that it knows none of them.

    The address is `http://host:8000/v1/models/NAME`, with `?also=OLD` for each other name. The weights are compared where the
    folder that they were loaded from can be read here; else the name alone tells, and nothing but memory is emptied.
    """

    def check(self, uri: str) -> None:
        _parsed(uri)

    def probe(self, uri: str, digest: str) -> Probe:
        server, names = _parsed(uri)
        listed = _listed(server)
        there = [name for name in names if name in listed]
        if not there:
            if answering := [name for name in names if _answers(server, name)]:
                return Probe(Standing.OTHER, f"'{answering[0]}' is not listed and answers all the same")
            return Probe(Standing.GONE, f"not listed, and none answers: {', '.join(names)}")
        read = [Path(root) for name in there if (root := listed[name].get("root")) and Path(root).is_dir()]
        if any(digest_folder(folder) != digest for folder in read):
            return Probe(Standing.OTHER, "it was loaded from a folder that is not the version that was registered")
        if any(listed[name].get("parent") is None for name in there):
            return Probe(Standing.OTHER, "it is no adapter but a whole model, which stops only with its process")
        how = "by digest" if len(read) == len(there) else "by name alone"
        return Probe(Standing.THERE, f"serves {', '.join(there)} (known {how})")

    def purge(self, uri: str, digest: str) -> None:
        server, names = _parsed(uri)
        listed = _listed(server)
        for name in names:
            if name in listed:
                body = {"lora_name": name}
                gone = ask(f"{server}/v1/unload_lora_adapter", method="POST", body=body, headers=_login())
                needed(gone, f"'{name}' was not unloaded")


def _parsed(uri: str) -> tuple[str, list[str]]:
    parts = web_address(uri)
    before, _, name = parts.path.partition(_MODELS)
    also = parse_qsl(parts.query)
    if not name or parts.fragment or any(key != "also" for key, _ in also):
        raise InvalidParameter(f"'{uri}' is no served adapter; write it as http://host:8000/v1/models/NAME?also=OLD")
    return f"{parts.scheme}://{parts.netloc}{before}", list(dict.fromkeys([unquote(name), *(old for _, old in also)]))


def _listed(server: str) -> dict[str, dict[str, Any]]:
    cards = needed(ask(f"{server}/v1/models", headers=_login()), "the process does not list its models").json()
    return {card["id"]: card for card in cards["data"]}


def _answers(server: str, name: str) -> bool:
    """Whether it answers by this name. Raises: PeerRefused, where it says neither yes nor 'no such model'."""
    body = {"model": name, "prompt": "a", "max_tokens": 1}
    found = ask(f"{server}/v1/completions", method="POST", body=body, headers=_login())
    if found.status // 100 == 2:
        return True
    if found.status == 404 and "does not exist" in str(found.json()):
        return False
    raise PeerRefused(f"whether '{name}' answers cannot be told: HTTP {found.status}")


def _login() -> dict[str, str]:
    return bearer("VLLM_API_KEY")
