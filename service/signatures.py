"""Verification of the signatures of webhooks, as Standard Webhooks defines them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from collections.abc import Sequence

import falcon.asgi
from standardwebhooks import Webhook, WebhookVerificationError

from service.errors import Problem

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
# The library raises these for malformed headers as well: numbers, base64, UTF-8, and dates out of range.
REFUSALS = (WebhookVerificationError, ValueError, OverflowError, OSError)


def require_signature(request: falcon.asgi.Request, body: bytes, verifiers: Sequence[Webhook]) -> None:
    """Require that one of the secrets signed the body within the last five minutes. Without verifiers, all bodies pass.

    Raises Problem 401. The library compares signatures in constant time.
    """
    headers = {name: request.get_header(name) or "" for name in HEADERS}
    if verifiers and not any(_is_signed(verifier, body, headers) for verifier in verifiers):
        raise Problem(
            "invalid_signature", 401, "Sign the exact body with a current secret, and send the three webhook- headers."
        )


def _is_signed(verifier: Webhook, body: bytes, headers: dict[str, str]) -> bool:
    try:
        verifier.verify(body, headers, json_parse=False)
    except REFUSALS:
        return False
    return True
