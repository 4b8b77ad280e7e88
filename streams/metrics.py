"""Every metric of the worker in one place: names, units, labels. Labels are bounded: never a cell or a record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

from schemas.alert import AlertReason
from schemas.audit import AuditAction
from schemas.delivery import DeliveryResult, Failure
from schemas.feedback import FeedbackResult
from schemas.feeds import FeedProblem
from schemas.located import KIND_NAMES
from schemas.reasons import RejectReason
from schemas.routes import REDIS_ROUTE

STAGES = ("ingest", "monitor", "deliver")
#: Stands where refused records have their kind.
FEEDBACK_LABEL = "feedback"
#: What a feed answers: all of it, unchanged, no or a wrong token, not now.
FEED_STATUSES = ("200", "304", "401", "503")
OUTCOMES = ("located", "gated", "rejected", "duplicate")
_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG = (60, 600, 3600, 6 * 3600, 86_400, 3 * 86_400, 7 * 86_400, 28 * 86_400)


class Spread(Collector):
    """A histogram that takes in many values at once; prometheus_client's takes them one by one."""

    def __init__(self, name: str, documentation: str, label: str, bounds: Sequence[float]) -> None:
        self._name, self._documentation = name, documentation
        # Named as in the client's own metrics, for the page that lists them all.
        self._labelnames = (label,)
        self._upper_bounds = np.array([*bounds, np.inf])
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, label: str, values: Sequence[float]) -> None:
        """Count values for a label; without any, the series is there all the same."""
        counts = self._counts.setdefault(label, np.zeros(len(self._upper_bounds), dtype=np.int64))
        places = np.searchsorted(self._upper_bounds, np.array(values, dtype=np.float64))
        counts += np.bincount(places, minlength=len(self._upper_bounds))
        self._sums[label] = self._sums.get(label, 0.0) + float(np.sum(values))

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """The family without its series."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The family, with cumulative counts as they are scraped."""
        (family,) = self.describe()
        for label, counts in list(self._counts.items()):
            upto = np.cumsum(counts).tolist()
            buckets = [
                ("+Inf" if bound == np.inf else str(bound), n)
                for bound, n in zip(self._upper_bounds.tolist(), upto, strict=True)
            ]
            family.add_metric([label], buckets, self._sums[label])
        yield family


class Metrics:
    """The worker's metrics on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        new = self.registry
        self.records = Counter("hotspot_records", "Records by outcome", ["kind", "outcome"], registry=new)
        self.rejected = Counter("hotspot_rejected", "Refused messages by reason", ["kind", "reason"], registry=new)
        self.looks = Counter("hotspot_looks", "Looks at a region", ["region"], registry=new)
        self.look_seconds = Histogram(
            "hotspot_look_seconds", "Time that a look took", ["region"], registry=new, buckets=_SHORT
        )
        self.apply_seconds = Histogram(
            "hotspot_apply_seconds",
            "Time to apply one fetch to a region",
            ["region"],
            registry=new,
            buckets=_SHORT,
        )
        self.episodes_open = Gauge("hotspot_episodes_open", "Episodes now open", ["region"], registry=new)
        self.alerts = Counter("hotspot_alerts", "Alert revisions by reason", ["region", "reason"], registry=new)
        self.feedback = Counter("hotspot_feedback", "Feedback by result", ["region", "result"], registry=new)
        self.audit_entries = Counter("hotspot_audit_entries", "Entries of the audit trail", ["action"], registry=new)
        self.mutes_active = Gauge("hotspot_mutes_active", "Mutes that hold now", ["region"], registry=new)
        self.alert_latency = Histogram(
            "hotspot_alert_latency_seconds",
            "From record published to alert written",
            registry=new,
            buckets=_SHORT,
        )
        self.reporting_delay = Spread(
            "hotspot_reporting_delay_seconds", "From event time to record time", "source", _LONG
        )
        new.register(self.reporting_delay)
        self.last_record = Gauge(
            "hotspot_last_record_timestamp_seconds",
            "Latest record time of a source",
            ["source"],
            registry=new,
        )
        self.feed_problem = Gauge(
            "hotspot_feed_problem",
            "1 while a feed is silent or looks broken",
            ["source", "problem"],
            registry=new,
        )
        self.stage_heartbeat = Gauge(
            "hotspot_stage_heartbeat_timestamp_seconds",
            "When a stage last did its round",
            ["stage"],
            registry=new,
        )
        self.loop_pause = Histogram(
            "hotspot_event_loop_pause_seconds",
            "How long the event loop kept a task waiting",
            registry=new,
            buckets=_SHORT,
        )
        self.lag_records = Gauge("hotspot_lag_records", "Messages not yet processed", ["topic"], registry=new)
        self.lag_seconds = Gauge(
            "hotspot_lag_seconds", "Age of the oldest message not yet processed", ["topic"], registry=new
        )
        self.baseline_fitted = Gauge(
            "hotspot_baseline_fitted_timestamp_seconds",
            "As-known-at time of the baseline",
            ["region"],
            registry=new,
        )
        self.calibrated = Gauge(
            "hotspot_calibration_timestamp_seconds",
            "As-known-at time of the calibration",
            ["region"],
            registry=new,
        )
        self.deliveries = Counter(
            "hotspot_deliveries", "Alert revisions settled, by route", ["route", "result"], registry=new
        )
        self.delivery_failures = Counter(
            "hotspot_delivery_failures", "Attempts that failed, by route", ["route", "failure"], registry=new
        )
        self.delivery_seconds = Histogram(
            "hotspot_delivery_seconds", "Time that an attempt took", ["route"], registry=new, buckets=_SHORT
        )
        self.deliveries_waiting = Gauge(
            "hotspot_deliveries_waiting", "Alert revisions held or not delivered yet", ["route"], registry=new
        )
        self.delivery_failing_since = Gauge(
            "hotspot_delivery_failing_since_timestamp_seconds",
            "When the first attempt failed at what has failed longest; 0 for nothing",
            ["route"],
            registry=new,
        )
        self.feed_requests = Counter(
            "hotspot_feed_requests", "Requests for feeds, by route and answer", ["route", "status"], registry=new
        )
        self.ready = Gauge("hotspot_ready", "1 when assigned and recovered", registry=new)
        self.build_info = Gauge("hotspot_build_info", "Always 1", ["version"], registry=new)

    def create_series(
        self, regions: Iterable[str], sources: Iterable[str], routes: Iterable[str] = (), feeds: Iterable[str] = ()
    ) -> None:
        """Make every series before its first event, so that rates exist from the start."""
        for kind in KIND_NAMES:
            for outcome in OUTCOMES:
                self.records.labels(kind, outcome)
        for action in AuditAction:
            self.audit_entries.labels(action.value)
        for label in (*KIND_NAMES, FEEDBACK_LABEL):
            for reason in RejectReason:
                self.rejected.labels(label, reason.value)
        for region in regions:
            self.looks.labels(region)
            self.episodes_open.labels(region)
            self.mutes_active.labels(region)
            for result in FeedbackResult:
                self.feedback.labels(region, result.value)
            for alert_reason in AlertReason:
                self.alerts.labels(region, alert_reason.value)
        for source in sources:
            self.reporting_delay.observe(source, ())
            self.last_record.labels(source)
            for problem in FeedProblem:
                self.feed_problem.labels(source, problem.value)
        for route in routes:
            self.delivery_seconds.labels(route)
            self.deliveries_waiting.labels(route)
            self.delivery_failing_since.labels(route)
            for delivered in DeliveryResult:
                self.deliveries.labels(route, delivered.value)
            for failure in Failure:
                self.delivery_failures.labels(route, failure.value)
        self.deliveries_waiting.labels(REDIS_ROUTE)
        self.delivery_failing_since.labels(REDIS_ROUTE)
        for feed in feeds:
            for status in FEED_STATUSES:
                self.feed_requests.labels(feed, status)
        self.build_info.labels(version("hotspot-monitor")).set(1)


def metric_names() -> set[str]:
    """Names as they are scraped, for the tests of docs, rules and dashboards."""
    names = set()
    for family in Metrics().registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        names.add(f"{family.name}{suffix}")
    return names
