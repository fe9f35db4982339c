#!/bin/sh
#
# Fills in the scrape interval of prometheus.yml, then becomes the command that it is given:
#
#   entrypoint.sh prometheus --config.file=/tmp/prometheus.yml
#
# The paths are those of the container unless the environment has others.
set -eu

interval=${PROMETHEUS_SCRAPE_INTERVAL:-15s}
template=${PROMETHEUS_TEMPLATE:-/etc/prometheus/prometheus.yml}
alerts=${PROMETHEUS_ALERTS:-/etc/prometheus/alerts}
config=${PROMETHEUS_CONFIG:-/tmp/prometheus.yml}

case $interval in
    *[!0-9a-z]*)
        echo "PROMETHEUS_SCRAPE_INTERVAL is no duration such as 15s: $interval" >&2
        exit 1
        ;;
esac

sed -e "s|\${PROMETHEUS_SCRAPE_INTERVAL}|$interval|" -e "s|/etc/prometheus/alerts|$alerts|" "$template" > "$config"
exec "$@"
