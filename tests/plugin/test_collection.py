"""What becomes of trip files before anything runs."""

import pytest

from tests.plugin.conftest import Project


def test_each_trip_is_an_item_named_after_it(project: Project) -> None:
    project.trips(3)
    result = project.here("--collect-only", "-q")
    result.stdout.fnmatch_lines(["many.trip.yaml::t00", "many.trip.yaml::t01", "many.trip.yaml::t02"])


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan"])
def test_nothing_is_sent_where_nothing_runs(project: Project, option: str) -> None:
    project.trips(2)
    project.here(option)
    assert project.mails() == (0, 0)


@pytest.mark.parametrize(
    ("selection", "count"),
    [(("-k", "t01"), 1), (("-m", "prod"), 2), (("-m", "not prod"), 1), (("many.trip.yaml::t02",), 1)],
)
def test_only_what_is_selected_is_sent(project: Project, selection: tuple[str, ...], count: int) -> None:
    project.trips(1, name="few.trip.yaml")
    project.write(
        "many.trip.yaml",
        """\
defaults: {send: {via: out, from: a@example.org, to: u0@example.test}, receive: {at: in}}
trips:
  t01: {tags: [prod]}
  t02: {tags: [prod]}
""",
    )
    project.here(*selection).assert_outcomes(passed=count, deselected=0 if "::" in selection[0] else 3 - count)
    assert project.mails() == (count, count)


def test_tags_are_marks_that_strict_markers_knows(project: Project) -> None:
    project.write("a.trip.yaml", "trips: {a: {tags: [prod, mail-in], receive: {at: in, user: u0@example.test}}}\n")
    project.here("--strict-markers", "-m", "prod").assert_outcomes(passed=1)


def test_a_tag_that_is_a_mark_of_pytest_is_refused(project: Project) -> None:
    project.write("a.trip.yaml", "trips: {a: {tags: [skipif], receive: {at: in, user: u0@example.test}}}\n")
    result = project.here()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*a.trip.yaml:1:*skipif*"])


def test_a_broken_file_fails_the_run_and_the_other_files_run_still(project: Project) -> None:
    project.trips(2)
    project.write("broken.trip.yaml", "trips: {a: {sned: {}, receive: {at: in, interval: 0s}}}\n")
    result = project.here()
    result.assert_outcomes(passed=2, errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*broken.trip.yaml:1:*sned*did you mean*send*", "*broken.trip.yaml:1:*interval*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_broken_python_file_still_interrupts_the_run(project: Project) -> None:
    project.trips(1)
    project.write("broken.trip.yaml", "trips: 3\n")
    project.write("test_broken.py", "import nothing_of_that_name\n")
    result = project.here()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert project.mails() == (0, 0)


def test_skip_and_xfail_are_those_of_pytest(project: Project) -> None:
    project.write(
        "a.trip.yaml",
        """\
defaults: {send: {via: out, from: a@example.org, to: reject@example.test}}
trips:
  later: {skip: the server is being moved}
  known: {xfail: the alias is missing still}
""",
    )
    result = project.here("-rsx")
    result.assert_outcomes(skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["*the server is being moved*", "*the alias is missing still*"])


def test_the_failed_ones_run_again_with_lf(project: Project) -> None:
    project.write(
        "a.trip.yaml",
        """\
trips:
  good: {send: {via: out, from: a@example.org, to: u0@example.test}, receive: {at: in}}
  bad: {send: {via: out, from: a@example.org, to: reject@example.test}}
""",
    )
    arguments = ("-p", "no:randomly", "-p", "cacheprovider")
    project.pytester.runpytest_inprocess(*arguments).assert_outcomes(passed=1, failed=1)
    project.pytester.runpytest_inprocess(*arguments, "--lf").assert_outcomes(failed=1)


def test_variables_come_from_the_command_line_and_from_a_hook(project: Project) -> None:
    project.write("a.trip.yaml", 'trips: {a: {receive: {at: in, user: "${var:user}@${var:domain}"}}}\n')
    project.pytester.makeconftest(
        "def pytest_mailtrip_variables(config): return {'user': 'nobody', 'domain': 'example.test'}"
    )
    project.here("--mailtrip-var=user=u0").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--mailtrip-var=Gehe1mXY", "--mailtrip-var: write NAME=VALUE"),
        ("--mailtrip-concurrency=0", "--mailtrip-concurrency: write a whole number above 0"),
        ("--mailtrip-concurrency=many", "--mailtrip-concurrency: write a whole number above 0"),
        ("--mailtrip-grace=-1", "--mailtrip-grace: write seconds, 0 or more"),
        ("--mailtrip-grace=nan", "--mailtrip-grace: write seconds, 0 or more"),
        ("--mailtrip-grace=soon", "--mailtrip-grace: write seconds, 0 or more"),
    ],
)
def test_an_option_that_cannot_be_is_a_usage_error(project: Project, option: str, told: str) -> None:
    project.trips(1)
    result = project.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*argument {told}"])
    assert "Gehe1mXY" not in result.stderr.str().replace(option, "") + result.stdout.str().replace(option, "")


@pytest.mark.parametrize("where", ["--mailtrip-env=new", "ini"])
def test_an_environment_is_chosen_by_option_or_ini(project: Project, where: str) -> None:
    project.write(
        "a.trip.yaml",
        """\
environments: {new: {servers: {gone: {protocol: imap, host: 127.0.0.1, port: 1, password: x}}}}
servers: {gone: smtp://127.0.0.1:2}
trips: {a: {receive: {at: gone, user: u0@example.test}}}
""",
    )
    if where == "ini":
        project.pytester.makeini("[pytest]\nmailtrip_env = new\n")
    result = project.here(*([] if where == "ini" else [where]))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*127.0.0.1:1*"])


def test_an_environment_that_nobody_defines_is_an_error(project: Project) -> None:
    project.trips(1)
    project.here("--mailtrip-env=nwe").assert_outcomes(errors=1)
    assert project.mails() == (0, 0)


def test_a_concurrency_below_one_is_refused(project: Project) -> None:
    result = project.pytester.runpytest_subprocess("--mailtrip-concurrency=0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
