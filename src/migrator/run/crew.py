"""Who works for a command: processes of this machine, or the cluster that the command line names."""

from __future__ import annotations

from pathlib import Path

from migrator.extras import require_extra
from migrator.run.cluster_address import read_address, require_runnable
from migrator.run.plan import Plan
from migrator.run.pool import Pool
from migrator.run.workers import Crew
from migrator.target.governor import Pacing, no_pacing


def crew_of(plan: Plan, pacing: Pacing = no_pacing) -> Crew:
    """Raises UsageError where the plan cannot run there."""
    if plan.cluster is None:
        return Pool(plan.settings.parallelism, pacing)
    address = read_address(plan.cluster)
    require_runnable(plan)
    require_extra("cluster", "--cluster", "distributed")
    from migrator.run.cluster import Cluster  # of the extra

    return Cluster(address, plan.target, pacing, Path(plan.settings.state_dir))
