"""What deploy/ holds is held to its linter, and what of it can be run here is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint
from cfnlint.decode import decode_str

import units
from command import ROOT, environment, moved_plan
from confined import SETPRIV

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
TEMPLATE = (DEPLOY / "fargate.yaml").read_text(encoding="utf-8")
#: systemd rates from 0 (safe) to 10, and takes tenths: 2.0.
EXPOSURE = "20"

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


# ---- the image


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_nobody_of_the_host() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]


def test_the_image_has_the_python_of_the_tests() -> None:
    bases = set(re.findall(r"^FROM python:(\d+\.\d+)-", DOCKERFILE, re.MULTILINE))
    (declared,) = re.findall(r'^requires-python = ">=(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert bases == {declared}


def test_what_is_deployed_is_what_was_tested() -> None:
    tested = pins(ROOT / "requirements.lock")
    deployed = pins(DEPLOY / "requirements.lock")
    assert deployed
    assert {name: pin for name, pin in deployed.items() if tested.get(name) != pin} == {}


@pytest.mark.skipif(not os.environ.get("CI"), reason="fetches packages, so only in CI")
def test_the_pip_commands_of_the_image_install_a_migrator_that_answers(tmp_path: Path) -> None:
    program, build = tmp_path / "opt", tmp_path / "build"
    build.mkdir()
    shutil.copy(DEPLOY / "requirements.lock", build)
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*wheel, "--wheel-dir", build / "dist", ROOT], check=True, timeout=120)
    steps = re.findall(r"^RUN (.*(?:venv|pip).*)$", DOCKERFILE, re.MULTILINE)
    assert len(steps) == 3
    for step in steps:
        moved = step.replace("/opt/migrator", str(program)).replace("/build", str(build))
        subprocess.run(["sh", "-ec", moved], check=True, timeout=240)
    said = subprocess.run(
        [program / "bin/migrator", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.startswith("migrator, version ")


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


# ---- Fargate


def test_cfn_lint_finds_nothing_in_the_template() -> None:
    config = ManualArgs(regions=["us-east-1"], include_checks=["I"])
    assert [str(match) for match in lint(TEMPLATE, config=config)] == []


def resources() -> Mapping[str, Any]:
    template, problems = decode_str(TEMPLATE)
    assert problems == []
    return dict(template["Resources"])


def statements(role: str) -> list[Mapping[str, Any]]:
    policies = resources()[role]["Properties"]["Policies"]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


@pytest.mark.parametrize("role", ["TaskRole", "ExecutionRole", "SchedulerRole"])
def test_no_role_has_a_right_on_everything_but_what_knows_no_resources(role: str) -> None:
    wide = [each["Action"] for each in statements(role) if each["Resource"] == "*"]
    assert [action for action in wide if action != "ecr:GetAuthorizationToken"] == []


@pytest.mark.parametrize("role", ["TaskRole", "ExecutionRole", "SchedulerRole"])
def test_each_role_is_taken_on_for_this_account_alone(role: str) -> None:
    for statement in resources()[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_the_run_may_write_its_state_and_not_its_source() -> None:
    (write,) = [each for each in statements("TaskRole") if each["Action"] == "elasticfilesystem:ClientWrite"]
    state = {"Fn::GetAtt": ["StateAccessPoint", "Arn"]}
    assert write["Condition"] == {"ArnEquals": {"elasticfilesystem:AccessPointArn": state}}


def test_the_schedule_hands_over_the_two_roles_of_its_task_to_ecs() -> None:
    (hand,) = [each for each in statements("SchedulerRole") if each["Action"] == "iam:PassRole"]
    assert hand["Resource"] == [{"Fn::GetAtt": ["TaskRole", "Arn"]}, {"Fn::GetAtt": ["ExecutionRole", "Arn"]}]
    assert hand["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


# ---- cron


@pytest.mark.parametrize(("code", "mailed"), [(0, ""), (1, "exit 1\nsaid\n")])
def test_cron_mails_a_run_that_did_not_succeed(tmp_path: Path, code: int, mailed: str) -> None:
    program = tmp_path / "bin" / "migrator"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho said >&2\nexit {code}\n")
    program.chmod(0o755)
    (line,) = re.findall(r"^[0-9*]+ .* migrator (.*)$", (DEPLOY / "crontab").read_text(), re.MULTILINE)
    assert "%" not in line  # crontab(5): a line's end
    command = line.replace("/opt/migrator", str(tmp_path))
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == (mailed, "")


# ---- systemd: only its tools of analysis, never systemd itself


@needs_systemd
def test_systemd_has_nothing_to_say_of_the_units(tmp_path: Path) -> None:
    done = units.analyze("verify", *map(str, units.moved(tmp_path)))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_the_service_is_confined() -> None:
    unit = str(units.UNITS / "migrator@.service")
    done = units.analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


@needs_systemd
def test_the_timer_has_a_next_time() -> None:
    (when,) = units.settings("OnCalendar", "timer")
    assert "Next elapse" in units.analyze("calendar", when).stdout


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
def test_the_command_of_the_unit_works_with_what_the_unit_leaves_it(tmp_path: Path, moto_url: str) -> None:
    done = confined(tmp_path, moto_url)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "source").iterdir()] == ["madmall.sqlite"]


@needs_systemd
@pytest.mark.skipif(not shutil.which("setpriv") or not shutil.which("strace"), reason="strace is not installed")
def test_a_run_makes_no_system_call_that_the_unit_forbids(tmp_path: Path, moto_url: str) -> None:
    trace = tmp_path / "trace"
    done = confined(tmp_path, moto_url, "strace", "-f", "-qq", "-o", str(trace))
    assert done.returncode == 0, done.stderr
    called = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(encoding="utf-8", errors="replace"), re.MULTILINE))
    assert {"execve", "openat", "fsync"} <= called
    # Only root has SQLite call fchown (os_unix.c: robustFchown asks who it is); the unit's user is not.
    assert called - units.allowed_calls() - {"fchown"} == set()


def confined(folder: Path, url: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    """The unit's command line on a plan that ships, with a source that is read-only."""
    source = folder / "source" / "madmall.sqlite"
    source.parent.mkdir()
    shutil.copy(ROOT / "fixtures" / "madmall.sqlite", source)
    source.chmod(0o444)
    source.parent.chmod(0o555)
    plan = moved_plan("madmall", folder, source)
    plan.write_text(plan.read_text() + "  state_dir: ${STATE_DIRECTORY:-.migrator}\n")
    command = [each.replace("/etc/migrator/shop/plan.yaml", str(plan)) for each in units.exec_start("shop")]
    assert command[0] == "/opt/migrator/bin/migrator"
    own = {"AWS_ENDPOINT_URL_DYNAMODB": url, "STATE_DIRECTORY": str(folder / "state"), "ENVIRONMENT": folder.name}
    launcher = [sys.executable, str(ROOT / "tests" / "confined.py"), *prefix, sys.executable, "-m", "migrator"]
    return subprocess.run(
        [*SETPRIV, *launcher, *command[1:]],
        cwd=folder,
        env={**environment(folder), "PYTHONDONTWRITEBYTECODE": "1", **own},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
