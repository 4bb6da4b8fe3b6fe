"""What is built upon the metrics: alerts, recording rules and dashboards."""
