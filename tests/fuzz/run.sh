#!/usr/bin/env bash
# Fuzzes the API of a real server from its own OpenAPI document: no 5xx, no status and no body that the
# document does not describe. FUZZ_EXAMPLES (20) cases an operation; FUZZ_SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/../.."

examples="${FUZZ_EXAMPLES:-20}"
seed="${FUZZ_SEED:-$RANDOM}"
venv=target/fuzz/venv
if [ ! -x "$venv/bin/schemathesis" ]; then
    command -v python3 >/dev/null || {
        echo "fuzzing needs python3 with venv (on Debian: apt-get install python3-venv)" >&2
        exit 1
    }
    mkdir -p target/fuzz
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'schemathesis==4.32.5'
fi

home="$(mktemp -d)"
server=""
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$home"
}
trap finish EXIT

export HEDDLE_DATA_DIR="$home/data" HEDDLE_LISTEN=127.0.0.1:0
heddle="${CARGO_TARGET_DIR:-target}/debug/heddle"
HEDDLE_FUZZ_KEYS="$("$heddle" keys create --name fuzz)"
export HEDDLE_FUZZ_KEYS
"$heddle" serve >"$home/log" 2>&1 &
server=$!
for _ in $(seq 600); do
    base="$(grep -o 'http://127.0.0.1:[0-9]*' "$home/log" | head -1 || true)"
    if [ -n "$base" ] && curl -sf "$base/readyz" >/dev/null; then break; fi
    kill -0 "$server" || { cat "$home/log" >&2; exit 1; }
    sleep 0.1
done

key="$(python3 -c 'import json,os; print(json.loads(os.environ["HEDDLE_FUZZ_KEYS"])["access_key"])')"
api() { # METHOD PATH [BODY]
    curl -sf -X "$1" "$base/api/v1$2" -H "Authorization: Bearer $("$heddle" keys token --access-key "$key")" ${3:+-d "$3"}
}
member() { python3 -c 'import json,sys; v=json.load(sys.stdin)
for k in sys.argv[1].split("."): v=v[k]
print(v)' "$1"; }
workspace="$(api POST /workspaces '{"name": "Fuzz"}' | member workspace.id)"
connection="$(api POST /connections "{\"workspace\": \"$workspace\", \"type\": \"webhook\", \"name\": \"Hook\",
    \"metadata\": {\"url\": \"https://hooks.invalid/x\", \"skip_url_test\": true}}" | member connection.id)"
rule="$(api POST /rules "{\"workspace\": \"$workspace\", \"connection\": \"$connection\", \"event\": \"*\",
    \"metadata\": {\"action\": \"send_webhook\"}}" | member rule.id)"
event="$(api POST /events "{\"workspace\": \"$workspace\", \"event\": \"a.b\", \"payload\": {\"n\": 1}}" | member event.id)"
export HEDDLE_FUZZ_IDS="{\"workspace\": \"$workspace\", \"workspace_id\": \"$workspace\",
    \"connection\": \"$connection\", \"rule\": \"$rule\", \"event\": \"$event\"}"

echo "fuzzing $base, $examples cases an operation, seed $seed (FUZZ_SEED=$seed repeats it)"
status=0
# One worker: the parser of CPython 3.11 counts its depth for all threads together and now and then fails.
SCHEMATHESIS_HOOKS=tests/fuzz/hooks.py "$venv/bin/schemathesis" run "$base/openapi.json" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --phases examples,coverage,fuzzing --max-examples "$examples" --seed "$seed" --workers 1 \
    --continue-on-failure --suppress-health-check all --warnings off || status=$?
if grep -E ' ERROR |panicked' "$home/log"; then
    echo "the server's log has errors" >&2
    status=1
fi
exit "$status"
