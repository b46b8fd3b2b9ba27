"""Open-loop load inside the cluster: requests leave at their times, whether the earlier ones were answered or not.

Runs in a pod, on the image of the endpoints (`python -c ... URL SECONDS RATE`), until the file /tmp/end is there,
or for `SECONDS` at most, and prints one JSON document. Every second request takes a connection of its own, as
callers behind a proxy do.
"""

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import httpx

END = Path("/tmp/end")  # noqa: S108 - in a pod of its own
ROW = {"amount": 0.7, "age": 31, "kind": "b"}


def ended() -> bool:
    """Whether the test has seen enough."""
    return END.exists()


async def main(url: str, seconds: float, rate: float) -> dict[str, Any]:
    failures: list[str] = []
    versions: dict[str, int] = {}
    order: list[str] = []
    late = 0.0

    async def ask(number: int, client: httpx.AsyncClient) -> None:
        try:
            answer = await client.post(f"{url}/predict", json={"rows": [ROW]})
            if answer.status_code != 200:
                failures.append(f"{number}: {answer.status_code} {answer.text[:200]}")
                return
            version = answer.json()["model_version"]
            versions[version] = versions.get(version, 0) + 1
            if not order or order[-1] != version:
                order.append(version)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            failures.append(f"{number}: {type(error).__name__} {error}")

    start, sent, tasks = time.monotonic(), 0, []
    fresh = httpx.Limits(max_keepalive_connections=0)
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # plain HTTP: certificate authorities are not read
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60, verify=plain) as kept,
        httpx.AsyncClient(trust_env=False, timeout=60, verify=plain, limits=fresh) as new,
    ):
        while (due := start + sent / rate) < start + seconds and not ended():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            late = max(late, time.monotonic() - due)
            tasks.append(asyncio.create_task(ask(sent, kept if sent % 2 else new)))
            sent += 1
        await asyncio.gather(*tasks)
    return {
        "sent": sent,
        "failed": len(failures),
        "failures": failures[:20],
        "versions": versions,
        "order": order,
        "latest_start_seconds": late,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))))
