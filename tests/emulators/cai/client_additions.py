"""What the platform adds to the generated client: `default_client`, and a cursor over paged lists."""

import os
from collections.abc import Iterator
from typing import Any

import cmlapi


def default_client(url: str | None = None, cml_api_key: str | None = None) -> Any:
    """A client of the workbench; without arguments inside one of its sessions."""
    session_url = os.environ.get("CDSW_API_URL", "").removesuffix("/api/v1")
    url = url or session_url
    key = cml_api_key or os.environ.get("CDSW_APIV2_KEY")
    if not url or not key:
        raise ValueError("outside a workbench, default_client needs url and cml_api_key")
    configuration = cmlapi.Configuration()
    configuration.host = url
    client = cmlapi.ApiClient(configuration)
    client.set_default_header("authorization", f"Bearer {key}")
    return cmlapi.CMLServiceApi(client)


class Cursor:
    """All items of a paged list."""

    def __init__(self, method: Any, **options: Any) -> None:
        self._method, self._options = method, options

    def items(self) -> Iterator[Any]:
        """Items, page after page."""
        token = ""
        while True:
            page = self._method(**self._options, **({"page_token": token} if token else {}))
            lists = [value for value in page.to_dict().values() if isinstance(value, list)]
            yield from (lists[0] if lists else [])
            token = page.next_page_token
            if not token:
                return
