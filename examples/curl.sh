#!/bin/sh
# Dragoman with curl alone: a whole answer, a stream, Anthropic's dialect, and what it all took.
# DRAGOMAN_BASE_URL, DRAGOMAN_API_KEY and DRAGOMAN_MODEL choose where, with which key, and what.
set -eu

url=${DRAGOMAN_BASE_URL:-http://127.0.0.1:8000}
key=${DRAGOMAN_API_KEY:-drg_test}
model=${DRAGOMAN_MODEL:-openai/gpt-4o-mini}

post() {
    path=$1
    shift
    curl -sS --fail-with-body -N "$url$path" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "$@"
    echo
}

echo "--- a whole answer"
post /v1/chat/completions -d "{\"model\": \"$model\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}"

echo "--- a stream"
post /v1/chat/completions \
    -d "{\"model\": \"$model\", \"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"Tell me a story\"}]}"

echo "--- the same model in Anthropic's dialect; what it cannot take is named in a header"
post /v1/messages -D /dev/stderr \
    -d "{\"model\": \"$model\", \"max_tokens\": 100, \"top_k\": 5,
         \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}"

echo "--- what this key has used"
curl -sS --fail-with-body "$url/v1/usage" -H "Authorization: Bearer $key"
echo
