#!/bin/sh
# Runs Alertmanager, which tells people of the alerts by mail. Its configuration reads no environment, so it is written here.
#
#   ALERTS_SMTP            the mail server, host:port (465: TLS; else STARTTLS where it is offered to a user with a password)
#   ALERTS_SMTP_USER       and ALERTS_SMTP_PASSWORD, where it wants them
#   ALERTS_TO              who is told, separated by commas (ADMIN_EMAIL)
#   ALERTS_FROM            whose mail it is (the same)
#   ALERTMANAGER, STORAGE  the program, and where it keeps silences
set -eu
umask 077
ALERTS_TO=${ALERTS_TO:-${ADMIN_EMAIL:-}}
: "${ALERTS_SMTP:?the mail server, host:port}" "${ALERTS_TO:?who is told of alerts}"

# In single quotes of YAML.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"; }

file=$(mktemp)
{
  printf 'global:\n  smtp_smarthost: %s\n' "$(quoted "$ALERTS_SMTP")"
  printf '  smtp_from: %s\n' "$(quoted "${ALERTS_FROM:-${ALERTS_TO%%,*}}")"
  if [ -n "${ALERTS_SMTP_USER:-}" ]; then
    printf '  smtp_auth_username: %s\n' "$(quoted "$ALERTS_SMTP_USER")"
    printf '  smtp_auth_password: %s\n' "$(quoted "${ALERTS_SMTP_PASSWORD:-}")"
  else
    printf '  smtp_require_tls: false\n'
  fi
  printf 'route:\n  receiver: mail\n  group_by: [alertname]\n  group_wait: %s\n  group_interval: 5m\n' "${ALERTS_WAIT:-30s}"
  # What is critical is said again every hour, the rest once a day.
  printf '  repeat_interval: 24h\n  routes:\n    - matchers: [severity="critical"]\n      repeat_interval: 1h\n'
  printf 'receivers:\n  - name: mail\n    email_configs:\n      - to: %s\n        send_resolved: true\n' "$(quoted "$ALERTS_TO")"
} >"$file"
exec "${ALERTMANAGER:-/bin/alertmanager}" --config.file="$file" --storage.path="${STORAGE:-/alertmanager}" --cluster.listen-address= "$@"
