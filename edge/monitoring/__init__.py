"""What a Prometheus, an Alertmanager and a Grafana need to watch a fleet: rules, alerts, dashboards.

The tables here are the one source; what is committed in ``files`` is made of them (`edge.monitoring.export`). Names of
metrics are those of `edge.runtime.metric_table`: who renames one there breaks this package, and not a dashboard somewhere.
"""

from edge.monitoring.export import DASHBOARDS, DEFAULT_RUNBOOKS, export_dashboards, export_rules

__all__ = ["DASHBOARDS", "DEFAULT_RUNBOOKS", "export_dashboards", "export_rules"]
