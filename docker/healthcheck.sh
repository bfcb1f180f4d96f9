#!/usr/bin/env bash
# Exit status 0 when the bot in this container answers /health with 200. By bash alone: curl would be another ten megabytes.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/${ROCKET_PORT:-8000}"
printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 4 _ status _ <&3
[[ $status == 200 ]]
