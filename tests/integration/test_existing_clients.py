"""A client in the manner of Self-host's own for Python: requests, a session, Basic auth, JSON, as that sends it."""

import asyncio
from typing import Any

import requests

from tests.support.installation import Domain
from tests.support.standing import Guest


class ProgramsClient:
    """Raises requests.HTTPError for what is no success; gives the JSON of an answer, or its text, or None."""

    def __init__(self, base_url: str, username: str, password: str) -> None:
        self._programs = f"{base_url}/v2/programs"
        self._session = requests.Session()
        self._session.auth = (username, password)

    def close(self) -> None:
        self._session.close()

    def call(self, method: str, path: str = "", **arguments: Any) -> Any:
        response = self._session.request(method, self._programs + path, timeout=10, **arguments)
        response.raise_for_status()
        try:
            return response.json()
        except requests.exceptions.JSONDecodeError:
            return response.text or None


def use(client: ProgramsClient) -> None:
    created = client.call(
        "POST",
        json={
            "name": "existing",
            "type": "routine",
            "state": "active",
            "schedule": "0 45 23 * * 6",
            "deadline": 500,
            "language": "tengo",
            "tags": ["test_tag"],
        },
    )
    one = f"/{created['uuid']}"
    assert client.call("GET", params={"limit": 20, "offset": 0}) == [created]
    assert client.call("GET", params={"tags": ["test_tag", "other"]}) == [created]
    assert client.call("GET", one) == created
    changes = {
        "name": "existing, changed",
        "type": "module",
        "state": "inactive",
        "schedule": "0 45 23 * * 5",
        "deadline": 1000,
        "language": "tengo",
        "tags": ["tag_updated"],
    }
    assert client.call("PUT", one, json=changes) is None
    assert client.call("GET", one) == {"uuid": created["uuid"], **changes}
    text = {"Content-Type": "text/plain; charset=utf-8"}
    first = client.call("POST", f"{one}/code", data="export 1\n", headers=text)
    second = client.call("POST", f"{one}/code", data=b"export 2\n", headers=text)
    assert [first["revision"], second["revision"]] == [0, 1]
    assert client.call("PUT", f"{one}/revisions/0/sign") is None
    revisions = client.call("GET", f"{one}/revisions")
    assert [(each["revision"], each["signed"] is None) for each in revisions] == [(0, False), (1, True)]
    assert set(first) == {"revision", "created", "created_by", "signed", "signed_by", "checksum"}
    assert client.call("GET", f"{one}/code") == "export 1\n"
    assert "-export 1\n+export 2\n" in client.call("GET", f"{one}/diff", params={"rev_a": 0, "rev_b": -1})
    assert client.call("DELETE", f"{one}/revisions/1") is None
    assert client.call("DELETE", one) is None
    assert client.call("GET") == []


async def test_a_client_of_the_go_server_works_unchanged(guest: Guest, domain: Domain) -> None:
    await guest.start()
    client = ProgramsClient(f"http://127.0.0.1:{guest.manager_port}", domain.name, "root")
    await asyncio.to_thread(use, client)
    client.close()
