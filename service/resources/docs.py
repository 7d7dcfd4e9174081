"""`/docs`: the API description as a page, by Swagger UI from an installed package."""

import base64
from hashlib import sha256

import falcon
import falcon.asgi
from openapi_ui_bundles import swagger_ui

from service.errors import Problem

# validatorUrl: null, because the badge would send the document's address to a third party.
START = (
    "SwaggerUIBundle({url: '%s/openapi.json', dom_id: '#docs', validatorUrl: null, deepLinking: true,"
    " docExpansion: 'list', defaultModelsExpandDepth: 0, displayRequestDuration: true})"
)
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Flash-sale checkout</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{prefix}/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="{prefix}/docs/swagger-ui-bundle.js"></script>
<script>{start}</script>
</body>
</html>
"""
# The page loads from and asks nothing but the service itself; Swagger UI writes styles and pictures into the page.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self' 'unsafe-inline';"
    " img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}


class DocsResource:
    """`/docs`."""

    def __init__(self, path_prefix: str) -> None:
        """`path_prefix` is what a proxy in front strips from each path."""
        start = START % path_prefix
        digest = base64.b64encode(sha256(start.encode()).digest()).decode()
        self._page = PAGE.format(prefix=path_prefix, start=start)
        self._policy = CONTENT_SECURITY_POLICY.format(digest=digest)

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the page."""
        resp.text = self._page
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", self._policy)
        resp.set_header("X-Content-Type-Options", "nosniff")

    on_head = on_get


class DocsFileResource:
    """`/docs/{name}`: the files that the page loads."""

    def __init__(self) -> None:
        self._files = {name: (swagger_ui.static_path / name).read_bytes() for name in FILES}

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        """Answer one file. Raises Problem 404."""
        if name not in self._files:
            raise Problem("not_found", 404, "There is no such file.")
        resp.data = self._files[name]
        resp.content_type = FILES[name]
        resp.set_header("X-Content-Type-Options", "nosniff")

    on_head = on_get
