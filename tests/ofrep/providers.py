"""The official provider for Python: one flag at a time, and stricter than the others.

It refuses a float without a decimal point, fails on an answer without `variant`, on a reason that it
does not know and on an error without `errorDetails`, and takes `Retry-After` in seconds only.
"""

import json
import os
import subprocess
import sys
import urllib.request
from urllib.parse import quote

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

BASE = os.environ.get("TIDEGATE_OFREP", "").rstrip("/")
if not BASE:
    sys.exit("TIDEGATE_OFREP is not set")

checks = failures = 0


def check(what, found, expected):
    """Prints whether something is as it should be; of what kind it is counts, too."""
    global checks, failures
    checks += 1
    if found == expected and type(found) is type(expected):
        print(f"ok      {what}")
    else:
        failures += 1
        print(f"FAILED  {what}: {found!r}, not {expected!r}")


def act(command, verb, flag):
    """Kills a flag, or lets it live again, by a command or by the admin API."""
    if command:
        subprocess.run(["bash", "-c", command], check=True, env={**os.environ, "FLAG": flag})
        return
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("TIDEGATE_ADMIN_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    admin = os.environ["TIDEGATE_ADMIN"].rstrip("/")
    body = json.dumps({"reason": "conformance of OFREP providers"}).encode()
    url = f"{admin}/api/v1/flags/{quote(flag, safe='')}/{verb}"
    urllib.request.urlopen(urllib.request.Request(url, body, headers)).read()


def client(domain, headers):
    api.set_provider(OFREPProvider(BASE, headers_factory=lambda: headers), domain)
    return api.get_client(domain)


def ctx(key="ana", **attributes):
    return EvaluationContext(key, attributes)


flags = client("server", {"Authorization": "Bearer conformance-server"})

check("a boolean", flags.get_boolean_value("a-boolean", False, ctx()), True)
check("a string", flags.get_string_value("a-string", "?", ctx()), 'Hello, "world" – grüß dich')
check("an integer", flags.get_integer_value("an-integer", 7, ctx()), 42)
check("a float that is whole", flags.get_float_value("a-float", 7.0, ctx()), 1.0)
check("a fraction", flags.get_float_value("a-fraction", 7.0, ctx()), 0.75)
full = {"title": "Summer", "sizes": [1, 2, 3], "nested": {"deep": True}}
check("an object", flags.get_object_value("an-object", {}, ctx()), full)
check("a name with a dot", flags.get_string_value("team.dotted", "?", ctx()), "dotted")

details = flags.get_boolean_details("a-boolean", False, ctx())
check("its variant", details.variant, "on")
check("its reason", details.reason, Reason.STATIC)
check("its owner", details.flag_metadata.get("owner"), "team-shop")
check("its version", len(details.flag_metadata.get("flagVersion", "")), 12)
check("a context is not needed", flags.get_boolean_value("a-boolean", False), True)

blue = flags.get_string_details("colour", "?", ctx())
check("who is not in the segment", (blue.value, blue.reason), ("blue", Reason.DEFAULT))
gold = flags.get_string_details("colour", "?", ctx(plan="gold"))
check("who is in the segment", (gold.value, gold.reason), ("gold", Reason.TARGETING_MATCH))
check("the rule that served", gold.flag_metadata.get("rule"), "gold")
recent = flags.get_boolean_value("recent", False, ctx(country="FR", app="2.4.0"))
check("all conditions hold", recent, True)
recent = flags.get_boolean_value("recent", False, ctx(country="US", app="2.4.0"))
check("one condition does not", recent, False)

values = [flags.get_string_value("half", "?", ctx(f"user-{n}")) for n in range(400)]
share = values.count("a"), values.count("b")
check(f"a split divides ({share[0]} to {share[1]})", min(share) > 140, True)
half = flags.get_string_details("half", "?", ctx("user-1"))
check("a split's reason", half.reason, Reason.SPLIT)
check("the same user gets the same", half.value, values[1])
nobody = flags.get_string_details("half", "?")
check("without a key the split is passed over", (nobody.value, nobody.reason), ("a", Reason.DEFAULT))
ana, bob = (flags.get_string_value("by-org", "?", ctx(key, org_id="acme")) for key in ("ana", "bob"))
check("colleagues get the same", ana, bob)

disabled = flags.get_string_details("disabled", "?", ctx())
check("a disabled flag is off", (disabled.value, disabled.reason), ("off", Reason.DISABLED))
dependent = flags.get_boolean_details("dependent", True, ctx())
check("so is who depends on it", (dependent.value, dependent.reason), (False, Reason.DISABLED))
expired = flags.get_boolean_details("expired", False, ctx())
check("an expired flag says so", (expired.value, expired.flag_metadata.get("expired")), (True, True))

for name in ("no-such-flag", "no/such/flag", "no such flag"):
    unknown = flags.get_string_details(name, "default", ctx())
    found = unknown.value, unknown.error_code
    check(f"an unknown flag: {name}", found, ("default", ErrorCode.FLAG_NOT_FOUND))
mismatch = flags.get_string_details("a-boolean", "default", ctx())
check("another type is a mismatch", mismatch.error_code, ErrorCode.TYPE_MISMATCH)
wrong_key = flags.get_boolean_details("a-boolean", False, EvaluationContext(7))
check("a targeting key that is no text", wrong_key.error_code, ErrorCode.INVALID_CONTEXT)
check("and why", wrong_key.error_message, "`targetingKey` is not a text")

check("a server sees internal flags", flags.get_boolean_value("internal", False, ctx()), True)
for who, headers in (
    ("a client's token", {"Authorization": "Bearer conformance-client"}),
    ("a client's API key", {"X-API-Key": "conformance-client"}),
    ("nobody", {}),
):
    seen = client(who, headers)
    internal = seen.get_boolean_details("internal", False, ctx())
    check(f"{who} does not see them", internal.error_code, ErrorCode.FLAG_NOT_FOUND)
    check(f"{who} sees others", seen.get_boolean_value("a-boolean", False, ctx()), True)
refused = client("wrong", {"Authorization": "Bearer not-this-one"})
refused = refused.get_boolean_details("a-boolean", False, ctx())
check("a wrong token has the default", (refused.value, refused.error_message), (False, "unauthorized"))

check("before it is killed", flags.get_boolean_value("switch", False, ctx()), True)
act(os.environ.get("TIDEGATE_KILL"), "kill", "switch")
killed = flags.get_boolean_details("switch", True, ctx())
check("a killed flag is off at once", (killed.value, killed.reason), (False, Reason.DISABLED))
check("and says that it is killed", killed.flag_metadata.get("killed"), True)
act(os.environ.get("TIDEGATE_UNKILL"), "unkill", "switch")
check("and lives again", flags.get_boolean_value("switch", False, ctx()), True)

print(f"openfeature-provider-ofrep: {checks - failures} of {checks} checks hold")
sys.exit(1 if failures else 0)
