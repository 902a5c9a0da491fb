#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Grafana dashboards of deploy/grafana/dashboards, from the tables below.

make_dashboards.py           writes them
make_dashboards.py --check   fails when they are not what the tables say
"""
import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent.parent / "deploy" / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, WIDTH, HEIGHT = 3, 8, 8

HERE = 'instance=~"$instance"'
MODEL = HERE + ',model=~"$model"'
INFER = HERE + ',scope="infer"'
GIVEN = ',code="2xx"'  # refusals are quick


def rate(name, where=HERE, more=""):
    return f"rate({name}{{{where}{more}}}[$__rate_interval])"


def total(name, where=HERE, by="", more=""):
    return f"sum{f' by ({by})' if by else ''} ({rate(name, where, more)})"


def quantile(q, name, where, by=""):
    labels = ", ".join(filter(None, [by, "le"]))
    return f"histogram_quantile({q}, sum by ({labels}) ({rate(name + '_bucket', where)}))"


def quantiles(name, where):
    return [(quantile(q, name, where), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)]


def mean(name, where, by):
    return f"{total(name + '_sum', where, by)} / {total(name + '_count', where, by)}"


def share(part, whole):
    return f"{part} / clamp_min({whole}, 1e-9)"


# title, unit, [(query, legend)], and of a panel that is no plot of lines its kind
API = [
    ("Requests by route", "reqps",
     [(total("volley_http_request_duration_seconds_count", by="route"), "{{route}}")]),
    ("Answers by class of status", "reqps",
     [(total("volley_requests_total", by="code"), "{{code}}")]),
    ("Errors of the server, of all answers", "percentunit",
     [(share(total("volley_requests_total", INFER, more=',code="5xx"'),
             total("volley_requests_total", INFER)), "5xx")]),
    ("Latency", "s", quantiles("volley_http_request_duration_seconds", INFER + GIVEN)),
    ("Latency by route, p95", "s",
     [(quantile(0.95, "volley_http_request_duration_seconds", HERE + GIVEN, "route"),
       "{{route}}")]),
    ("Latency, all of it", "s",
     [(f"sum by (le) (increase(volley_http_request_duration_seconds_bucket{{{INFER}{GIVEN}}}"
       "[$__rate_interval]))", "{{le}}")], "heatmap"),
    ("Connections", "short",
     [(f"volley_http_connections_open{{{HERE}}}", "open on {{instance}}"),
      (f"volley_http_streams_open{{{HERE}}}", "streams on {{instance}}"),
      (f"volley_http_connections_limit{{{HERE}}}", "limit of {{instance}}")]),
    ("Refused and lost", "reqps",
     [(total("volley_http_connections_refused_total"), "connections past the limit"),
      (total("volley_http_parse_errors_total"), "not a request, too large or too slow"),
      (total("volley_http_requests_cancelled_total"), "the client had gone")]),
    ("Turned away", "reqps",
     [(total("volley_rate_limited_total", by="by"), "past the limits of the {{by}}"),
      (total("volley_access_denied_total", by="reason"), "without the right: {{reason}}")]),
    ("Traffic", "Bps",
     [(total("volley_http_received_bytes_total"), "received"),
      (total("volley_http_sent_bytes_total"), "sent")]),
]

INFERENCE = [
    ("Inferences", "ops", [(total("nv_inference_count", MODEL, "model"), "{{model}}")]),
    ("Runs", "ops", [(total("nv_inference_exec_count", MODEL, "model"), "{{model}}")]),
    ("Inferences in one run, mean", "short",
     [(mean("volley_batch_size", MODEL, "model"), "{{model}}")]),
    ("Latency, p95", "s",
     [(quantile(0.95, "volley_request_duration_seconds", MODEL, "model"), "{{model}}")]),
    ("Waiting for an instance, p95", "s",
     [(quantile(0.95, "volley_queue_duration_seconds", MODEL, "model"), "{{model}}")]),
    ("The model's run, p95", "s",
     [(quantile(0.95, "volley_compute_infer_duration_seconds", MODEL, "model"), "{{model}}")]),
    ("Where the time goes, mean", "s",
     [(mean(f"volley_{stage}_duration_seconds", MODEL, "model"), "{{model}} " + legend)
      for stage, legend in (("queue", "queue"), ("compute_input", "input"),
                            ("compute_infer", "run"), ("compute_output", "output"))]),
    ("Requests waiting", "short",
     [(f"nv_inference_pending_request_count{{{MODEL}}}", "{{model}} on {{instance}}")]),
    ("Failures", "ops",
     [(total("nv_inference_request_failure", MODEL, "model, reason"), "{{model}} {{reason}}")]),
    ("Sequences", "short", [(f"volley_sequences{{{MODEL}}}", "{{model}} on {{instance}}")]),
    ("Time to load", "s", [(f"nv_model_load_duration_secs{{{MODEL}}}", "{{model}} {{version}}")],
     "table"),
    ("Models by state", "short", [(f"sum by (state) (volley_models{{{HERE}}})", "{{state}}")]),
]

ARMS = [
    ("Routes: requests by arm", "reqps",
     [(total("volley_route_requests_total", by="route, arm"), "{{route}} {{arm}}")]),
    ("Routes: failures by arm", "reqps",
     [(total("volley_route_requests_total", by="route, arm, outcome", more=',outcome!="ok"'),
       "{{route}} {{arm}} {{outcome}}")]),
    ("Routes: latency by arm, p95", "s",
     [(quantile(0.95, "volley_route_request_duration_seconds", HERE, "route, arm"),
       "{{route}} {{arm}}")]),
    ("Routes: share of an arm", "percentunit",
     [(f"volley_route_arm_share{{{HERE}}}", "{{route}} {{arm}} on {{instance}}")]),
    ("Routes: arms rolled back", "short",
     [(f"sum by (route, arm, reason) (increase(volley_route_rollbacks_total{{{HERE}}}"
       "[$__rate_interval]))", "{{route}} {{arm}} {{reason}}")]),
]

SYSTEM = [
    ("Processor", "short",
     [(rate("process_cpu_seconds_total"), "cores used on {{instance}}"),
      (f"volley_worker_threads{{{HERE}}}", "workers of {{instance}}")]),
    ("Processor of the machine", "percentunit",
     [(f"nv_cpu_utilization{{{HERE}}}", "{{instance}}")]),
    ("Memory", "bytes",
     [(f"process_resident_memory_bytes{{{HERE}}}", "used by {{instance}}"),
      (f"volley_memory_limit_bytes{{{HERE}}}", "limit of {{instance}}")]),
    ("Memory of the machine", "bytes",
     [(f"nv_cpu_memory_used_bytes{{{HERE}}}", "used on {{instance}}"),
      (f"nv_cpu_memory_total_bytes{{{HERE}}}", "of {{instance}}")]),
    ("Disk", "Bps",
     [(rate("volley_disk_read_bytes_total"), "read by {{instance}}"),
      (rate("volley_disk_written_bytes_total"), "written by {{instance}}")]),
    ("Allocations", "ops", [(total("volley_allocations_total", by="kind"), "{{kind}}")]),
    ("Up for", "s", [(f"volley_uptime_seconds{{{HERE}}}", "{{instance}}")]),
    ("Lines of the access log", "ops",
     [(rate("volley_access_log_lines_total"), "{{instance}}"),
      (rate("volley_access_log_dropped_total"), "dropped on {{instance}}")]),
    ("Traces", "ops",
     [(rate("volley_otlp_exported_spans_total"), "sent by {{instance}}"),
      (rate("volley_otlp_dropped_spans_total"), "dropped on {{instance}}"),
      (rate("volley_otlp_failures_total"), "failures on {{instance}}")]),
    ("Version", "short", [(f"volley_build_info{{{HERE}}}", "{{version}} on {{instance}}")],
     "table"),
    ("Compressed answers, of their size before", "percentunit",
     [(share(total("volley_http_compressed_bytes_after_total"),
             total("volley_http_compressed_bytes_before_total")), "after / before")]),
]

STORE = [
    ("Sessions of motion sensors", "short",
     [(f"volley_imu_sessions{{{HERE}}}", "on {{instance}}"),
      (f"volley_imu_sessions_attached{{{HERE}}}", "attached on {{instance}}"),
      (f"volley_imu_sessions_limit{{{HERE}}}", "limit of {{instance}}")]),
    ("Readings and steps", "ops",
     [(total("volley_imu_readings_total"), "readings"),
      (total("volley_imu_steps_total"), "steps")]),
    ("Readings waiting", "short", [(f"volley_imu_readings_waiting{{{HERE}}}", "{{instance}}")]),
    ("Transactions of the store", "ops",
     [(rate("volley_imu_snapshots_total"), "{{instance}}"),
      (rate("volley_imu_snapshot_errors_total"), "failed on {{instance}}")]),
    ("Sessions saved", "ops", [(rate("volley_imu_snapshot_sessions_total"), "{{instance}}")]),
    ("Time of a transaction, mean", "s",
     [(mean("volley_imu_snapshot_duration_seconds", HERE, "instance"), "{{instance}}")]),
    ("Cache: lookups", "ops",
     [(total("volley_cache_hits_total", by="tier"), "hits, {{tier}}"),
      (total("volley_cache_misses_total"), "misses")]),
    ("Cache: hits, of all lookups", "percentunit",
     [(f"{total('volley_cache_hits_total', by='model')} / "
       f"({total('volley_cache_hits_total', by='model')} + "
       f"{total('volley_cache_misses_total', by='model')})", "{{model}}")]),
    ("Cache: memory", "bytes",
     [(f"volley_cache_memory_bytes{{{HERE}}}", "used on {{instance}}"),
      (f"volley_cache_memory_max_bytes{{{HERE}}}", "limit of {{instance}}")]),
    ("Cache: results that came and went", "ops",
     [(total("volley_cache_insertions_total"), "kept"),
      (total("volley_cache_refused_total"), "not kept"),
      (total("volley_cache_evictions_total", by="reason"), "gone: {{reason}}")]),
    ("Cache: time of a hit, p95", "s",
     [(quantile(0.95, "volley_cache_hit_duration_seconds", HERE, "model"), "{{model}}")]),
    ("Redis", "ops",
     [(total("volley_redis_hits_total"), "hits"), (total("volley_redis_misses_total"), "misses"),
      (total("volley_redis_sets_total"), "results sent"),
      (total("volley_redis_refused_total"), "refused"),
      (total("volley_redis_timeouts_total"), "too late"),
      (total("volley_redis_failures_total"), "failures")]),
    ("Redis: time of an answer, p95", "s",
     [(quantile(0.95, "volley_redis_get_duration_seconds", HERE), "p95")]),
    ("Redis: circuit", "short",
     [(f"volley_redis_open{{{HERE}}}", "open on {{instance}}"),
      (f"volley_redis_stores_paused{{{HERE}}}", "no room for results, {{instance}}")]),
    ("MQTT", "ops",
     [(total("volley_mqtt_messages_total"), "messages"),
      (total("volley_mqtt_published_total"), "events sent"),
      (total("volley_mqtt_refused_total"), "refused"),
      (total("volley_mqtt_malformed_total"), "malformed")]),
    ("Broker", "short", [(f"volley_mqtt_connected{{{HERE}}}", "reached by {{instance}}"),
                         (f"volley_mqtt_devices{{{HERE}}}", "devices on {{instance}}")]),
]

# file, title, panels, whether a model is chosen
DASHBOARDS = [
    ("api", "Volley: API", API, False),
    ("inference", "Volley: inference", INFERENCE + ARMS, True),
    ("system", "Volley: system", SYSTEM, False),
    ("store", "Volley: stores", STORE, False),
]

LINES = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}


def panel(number, title, unit, queries, kind="timeseries"):
    column, row = number % COLUMNS, number // COLUMNS
    options = {
        "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"},
                       "tooltip": {"mode": "multi", "sort": "desc"}},
        "heatmap": {"calculate": False, "yAxis": {"unit": unit}, "tooltip": {"show": True}},
        "table": {"showHeader": True},
    }[kind]
    form = {"timeseries": "time_series", "heatmap": "heatmap", "table": "table"}[kind]
    return {
        "id": number + 1, "title": title, "type": kind, "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0,
                                     "custom": LINES if kind == "timeseries" else {}},
                        "overrides": []},
        "options": options,
        "targets": [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr,
                     "legendFormat": legend, "format": form, "instant": kind == "table",
                     "range": kind != "table"}
                    for i, (expr, legend) in enumerate(queries)],
    }


def variable(name, query):
    return {"name": name, "type": "query", "datasource": SOURCE, "query": query, "refresh": 2,
            "multi": True, "includeAll": True, "allValue": ".*", "sort": 1,
            "current": {"text": ["All"], "value": ["$__all"]}}


def dashboard(name, title, panels, has_model):
    variables = [{"name": "datasource", "type": "datasource", "query": "prometheus"},
                 variable("instance", 'label_values(up{job="volley"}, instance)')]
    if has_model:
        variables.append(variable("model", 'label_values(nv_inference_count{' + HERE + '}, model)'))
    return {
        "uid": "volley-" + name, "title": title, "tags": ["volley"], "timezone": "browser",
        "editable": True, "schemaVersion": 38, "version": 1, "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"}, "templating": {"list": variables},
        "links": [{"type": "dashboards", "tags": ["volley"], "title": "Volley",
                   "asDropdown": True}],
        "panels": [panel(i, *p) for i, p in enumerate(panels)],
    }


def main():
    stale = []
    for name, *rest in DASHBOARDS:
        path = FOLDER / (name + ".json")
        text = json.dumps(dashboard(name, *rest), indent=2) + "\n"
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(path.name)
    if stale:
        print(f"{', '.join(stale)}: not what the tables say: run tools/make_dashboards.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
