"""What the fuzzer needs to know of Heddle: how a machine token is signed, and which ids are real.

A token lives for a minute at most, so that each request gets a fresh one. Half of the ids in paths and
bodies are those of things that exist: an API that only ever answers 404 is not tested.
"""

import base64
import hashlib
import hmac
import json
import os
import random
import time

import schemathesis

KEYS = json.loads(os.environ["HEDDLE_FUZZ_KEYS"])
REAL = json.loads(os.environ["HEDDLE_FUZZ_IDS"])


def _part(value):
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def token():
    now = int(time.time())
    access_key = KEYS["access_key"]
    header = {"alg": "HS256", "typ": "JWT", "kid": access_key}
    claims = {
        "iss": "urn:heddle:m2m:" + access_key,
        "aud": "heddle-api",
        "org": KEYS["organization_id"],
        "iat": now,
        "exp": now + 30,
    }
    signed = _part(header) + b"." + _part(claims)
    signature = hmac.new(KEYS["secret_key"].encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@schemathesis.auth()
class MachineToken:
    def get(self, case, context):
        return token()

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = "Bearer " + data
        case.headers.pop("X-Heddle-Publishable-Key", None)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts real ids where made-up ones lead nowhere."""
    dice = random.Random(repr(case.path_parameters) + repr(case.body))
    for name, real in REAL.items():
        parameters = case.path_parameters or {}
        if name in parameters and dice.random() < 0.5:
            parameters[name] = real
        if isinstance(case.body, dict) and name in case.body and dice.random() < 0.7:
            case.body[name] = real
