"""What the agents do with each fetch: ingest, monitor, deliver. The Faust app hands them events and nothing else."""

from __future__ import annotations

from streams.deliver_agent import Deliver as Deliver
from streams.ingest_agent import Ingest as Ingest
from streams.monitor_agent import Monitoring as Monitoring
