"""What is looked for when a testbed goes."""

from __future__ import annotations

from pathlib import Path

from tests.testbed.cluster import cgroup_mounts

MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 25 0:26 / /sys/fs/cgroup rw,nosuid - tmpfs cgroup rw,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:9 master:2 - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
"""


def test_cgroups_are_looked_for_in_both_versions_of_hierarchies():
    assert cgroup_mounts(MOUNTINFO) == [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup/unified")]
