"""A task has the memory that its workers may use, and no more rights than a container on one host."""

import re
from typing import Any

import yaml

from chalicelib.settings import Settings
from infra.stage import ROOT
from runner.sandbox.limits import DISK_MIB
from tests.aws.templates import resources, template

# Python, its threads and the seccomp filter (measured: 60 to 150 MiB).
RUNNER_MIB = 150
# A workspace and a /tmp for each job, both in the tmpfs.
FILES_MIB = 2 * DISK_MIB
# GiB that Fargate offers for each size (docs.aws.amazon.com/AmazonECS: task definition parameters).
FARGATE_MEMORY_GIB = {
    "1024": range(2, 9),
    "2048": range(4, 17),
    "4096": range(8, 31),
    "8192": range(16, 61, 4),
    "16384": range(32, 121, 8),
}
# What Docker and Fargate give a container that asks for nothing (docs.docker.com: runtime privilege).
DEFAULT_CAPABILITIES = {
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
}


def task() -> dict[str, Any]:
    """The definition of the task."""
    [definition] = resources("AWS::ECS::TaskDefinition").values()
    return definition


def container() -> dict[str, Any]:
    """Its one container."""
    [only] = task()["ContainerDefinitions"]
    found: dict[str, Any] = only
    return found


def test_a_task_compiles_as_many_jobs_as_it_has_cores() -> None:
    """MAX_WORKERS is set from TaskCpu: a task with one core sees two, and the runner would believe that."""
    env = {each["Name"]: each["Value"] for each in container()["Environment"]}
    assert env["MAX_WORKERS"] == {"Fn::FindInMap": ["Sizes", {"Ref": "TaskCpu"}, "Workers"]}
    sizes = template("runners")["Mappings"]["Sizes"]
    assert set(sizes) == set(template("runners")["Parameters"]["TaskCpu"]["AllowedValues"])
    for cpu, size in sizes.items():
        settings = Settings.from_env({"MAX_WORKERS": size["Workers"]})
        assert settings.workers_on(cores=64) == int(cpu) / 1024, cpu


def test_the_memory_of_a_task_holds_what_its_workers_may_use() -> None:
    """Each size has the least memory of Fargate's that holds the compiles and files of its workers."""
    assert task()["Memory"] == {"Fn::FindInMap": ["Sizes", {"Ref": "TaskCpu"}, "Memory"]}
    compile_mib = Settings.from_env({}).compile_memory_mb
    for cpu, size in template("runners")["Mappings"]["Sizes"].items():
        needed_mib = int(size["Workers"]) * (compile_mib + FILES_MIB) + RUNNER_MIB
        offered_mib = [gib * 1024 for gib in FARGATE_MEMORY_GIB[cpu]]
        assert int(size["Memory"]) in offered_mib, cpu
        assert int(size["Memory"]) == min(mib for mib in offered_mib if mib >= needed_mib), cpu


def test_the_tmpfs_holds_the_files_of_all_workers() -> None:
    """A job's limit on files ends it before the tmpfs is full, so that no other job sees a full disk."""
    [tmpfs] = container()["LinuxParameters"]["Tmpfs"]
    assert tmpfs["Size"] == {"Fn::FindInMap": ["Sizes", {"Ref": "TaskCpu"}, "Tmpfs"]}
    for cpu, size in template("runners")["Mappings"]["Sizes"].items():
        # One more than there are workers: what a job wrote may still be there when the next one starts.
        assert int(size["Tmpfs"]) >= (int(size["Workers"]) + 1) * FILES_MIB, cpu


def test_a_task_has_the_capabilities_of_a_container_on_one_host() -> None:
    """What remains of Fargate's capabilities is what docker-compose.yml adds for the runner."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["runner"]
    assert compose["cap_drop"] == ["ALL"]
    dropped = set(container()["LinuxParameters"]["Capabilities"]["Drop"])
    assert dropped == DEFAULT_CAPABILITIES - set(compose["cap_add"])
    assert "Add" not in container()["LinuxParameters"]["Capabilities"]


def test_the_runner_needs_no_mount_option_that_is_left_out() -> None:
    """The sandbox sets the mode of its folder itself, so the template needs no `mode=`."""
    [tmpfs] = container()["LinuxParameters"]["Tmpfs"]
    assert tmpfs["MountOptions"] == ["exec"]
    sandbox = "".join(path.read_text() for path in (ROOT / "runner" / "sandbox" / "setpriv").glob("*.py"))
    assert re.search(r"\.chmod\(0o711\)", sandbox)
