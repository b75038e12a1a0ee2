# SPDX-License-Identifier: GPL-3.0-or-later
"""The program tepuy against a fake agent: formats, exit statuses, errors."""
import hashlib
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import threading
import unittest

from fake_agent import Exec, FakeAgent, Reply, Stream

TEPUY = None


def node(name, state="running", health="passing", **more):
    answer = {"node": name, "gen": 3, "host": "srv1", "desired": "run", "state": state, "why": "", "log": "", "since": 0,
              "health": health, "address": "192.0.2.11", "ports": {"http": {"port": 80, "host_port": 32768}},
              "recipe": "php-site", "revision": 3, "fingerprint": "f", "checks": [], "connected": True}
    return {**answer, **more}


def service(phase="done", revision=3, nodes=(), **status):
    return {"service": "portal", "index": 42, "spec": {"service": "portal", "revision": revision, "digest": "d", "components": {}},
            "status": {"phase": phase, "revision": revision, "good": revision, "since": 0, "reason": "", "detail": "", **status},
            "nodes": list(nodes)}


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="tepuy-cli-")
        self.socket = os.path.join(self.dir, "agent.sock")
        self.agent = FakeAgent(self.socket)
        self.env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TEPUY_SOCKET": self.socket, "HOME": self.dir,
                    "TERM": "xterm", **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}

    def tearDown(self):
        self.agent.close()
        shutil.rmtree(self.dir)

    def tepuy(self, *args, stdin="", status=None, env=None):
        done = subprocess.run([TEPUY, *args], input=stdin, capture_output=True, text=True, timeout=20,
                              env={**self.env, **(env or {})}, cwd=self.dir)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def on_terminal(self, args, typed=(), rows=24, columns=80, env=None):
        """Runs it on a terminal; typed: (text to wait for, what is typed then). Returns (status, all that was shown)."""
        pid, master = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(TEPUY, [TEPUY, *args], {**self.env, **(env or {})})
        termios.tcsetwinsize(master, (rows, columns)) if hasattr(termios, "tcsetwinsize") else None
        shown, typed, end = b"", list(typed), time.monotonic() + 15
        while time.monotonic() < end:
            if select.select([master], [], [], 0.05)[0]:
                try:
                    data = os.read(master, 65536)
                except OSError:
                    break
                if not data:
                    break
                shown += data
            if typed and typed[0][0] in shown.decode(errors="replace"):
                action = typed.pop(0)[1]
                action(master, pid) if callable(action) else os.write(master, action.encode())
        os.close(master)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


class Usage(Case):
    def test_no_command_is_usage(self):
        done = self.tepuy(status=2)
        self.assertIn("Usage: tepuy COMMAND", done.stderr)

    def test_version(self):
        self.assertRegex(self.tepuy("--version", status=0).stdout, r"^tepuy \d+\.\d+\.\d+\n$")

    def test_every_command_has_help(self):
        names = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", self.tepuy("--help", status=0).stdout, re.M)
        self.assertIn("check add", names)
        for name in names:
            with self.subTest(name):
                self.assertIn("Usage: tepuy " + name, self.tepuy(*name.split(), "--help", status=0).stdout)

    def test_family_lists_its_commands(self):
        self.assertIn("check report", self.tepuy("check", "--help", status=0).stdout)

    def test_did_you_mean_command(self):
        self.assertIn("did you mean 'status'?", self.tepuy("stauts", status=2).stderr)

    def test_did_you_mean_second_word(self):
        self.assertIn("did you mean 'check remove'?", self.tepuy("check", "remvoe", "a", "b", status=2).stderr)

    def test_did_you_mean_option(self):
        self.assertIn("did you mean --json?", self.tepuy("ps", "--jsno", status=2).stderr)

    def test_bad_target(self):
        self.assertIn("write portal, portal/web or portal/web/1", self.tepuy("logs", "Portal/web", status=2).stderr)

    def test_full_disk_is_not_success(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([TEPUY, "--help"], stdout=full, stderr=subprocess.PIPE, env=self.env)
        self.assertEqual(done.returncode, 1)


class Away(Case):
    def test_no_socket_says_what_to_do(self):
        done = self.tepuy("ps", status=1, env={"TEPUY_SOCKET": "/nowhere/agent.sock"})
        self.assertIn("/nowhere/agent.sock does not exist; start it with 'systemctl start tepuy-agent'", done.stderr)

    def test_dead_socket(self):
        path = os.path.join(self.dir, "dead.sock")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
        done = self.tepuy("ps", status=1, env={"TEPUY_SOCKET": path})
        self.assertIn("does not answer at " + path, done.stderr)

    def test_exec_without_agent(self):
        done = self.tepuy("exec", "portal/web/1", "true", status=1, env={"TEPUY_SOCKET": "/nowhere/agent.sock"})
        self.assertIn("systemctl start tepuy-agent", done.stderr)

    def test_version_goes_on_without_agent(self):
        done = self.tepuy("version", "--json", status=0, env={"TEPUY_SOCKET": "/nowhere/agent.sock"})
        self.assertIsNone(json.loads(done.stdout)["agent"])

    def test_probe_is_unknown(self):
        self.tepuy("checks", "portal", status=3, env={"TEPUY_SOCKET": "/nowhere/agent.sock"})

    def test_error_of_the_agent_is_shown(self):
        self.agent.on("GET", "/v1/services", Reply(503, {"error": "Consul is away", "code": "EAGAIN"}))
        self.assertEqual(self.tepuy("ps", status=1).stderr, "tepuy: Consul is away.\n")

    def test_answer_that_is_no_json(self):
        self.agent.on("GET", "/v1/services", Reply(200, text="<html>"))
        self.assertIn("is not what tepuy", self.tepuy("ps", status=1).stderr)


class Reports(Case):
    def services(self, *services):
        self.agent.on("GET", "/v1/services", Reply(200, {"services": list(services)}))

    def test_status(self):
        self.services(service(nodes=[node("web/1"), node("web/2", "failed", "unknown", why="no such package")]))
        lines = self.tepuy("status", status=0).stdout.splitlines()
        self.assertEqual(lines[0], "portal: done, revision 3")
        self.assertRegex(lines[2], r"web/1\.3  srv1  running  passing  -    http 192\.0\.2\.11:32768  -")
        self.assertIn("no such package", lines[3])

    def test_what_nodes_use(self):
        self.services(service(nodes=[node("web/1"), node("web/2")]))
        self.agent.on("GET", "/v1/usage", Reply(200, {"silent": ["srv2"], "nodes": [
            {"instance": "portal/web/1.3", "host": "srv1", "memory": 35651584, "memory_max": 536870912, "cpu_ms": 83500,
             "cpus": 1},
            {"instance": "portal/web/2.3", "host": "another", "memory": 1, "memory_max": 0, "cpu_ms": 0, "cpus": 0}]}))
        self.assertRegex(self.tepuy("ps", status=0).stdout, r"portal/web/1 .* 34M/512M  1m 23s ")
        self.assertRegex(self.tepuy("status", status=0).stdout, r"web/1\.3 .* 34M/512M  1m 23s ")
        first, second = json.loads(self.tepuy("ps", "--json", status=0).stdout)["nodes"]
        self.assertEqual((first["memory"], first["cpus"]), (35651584, 1))
        self.assertNotIn("memory", second)

    def test_status_of_nothing(self):
        self.services()
        self.assertIn("There is no service yet", self.tepuy("status", status=0).stdout)

    def test_status_of_unknown_service(self):
        self.agent.on("GET", "/v1/service/mail", Reply(200, {"service": "mail", "index": 0, "nodes": []}))
        self.assertIn("There is no service mail", self.tepuy("status", "mail", status=1).stderr)

    def test_status_json(self):
        self.agent.on("GET", "/v1/service/portal", Reply(200, service()))
        answer = json.loads(self.tepuy("status", "portal", "--json", status=0).stdout)
        self.assertEqual(answer["services"][0]["status"]["phase"], "done")

    def test_status_watch_json_is_one_line_for_each_change(self):
        self.agent.on("GET", r"/v1/watch\?service=portal",
                      [Stream([service("rolling"), service("done")]), Reply(404, {"error": "gone"})])
        lines = self.tepuy("status", "portal", "--watch", "--json", status=1).stdout.splitlines()
        self.assertEqual([json.loads(l)["status"]["phase"] for l in lines], ["rolling", "done"])

    def test_ps_aligns_what_is_not_ascii(self):
        self.services(service(nodes=[node("web/1", recipe="página"), node("web/2", recipe="sitio9")]))
        lines = self.tepuy("ps", status=0).stdout.splitlines()
        self.assertEqual(lines[1].index("srv1"), lines[2].index("srv1"))

    def test_ps_of_a_component(self):
        self.services(service(nodes=[node("web/1"), node("db/1")]))
        answer = json.loads(self.tepuy("ps", "portal/db", "--json", status=0).stdout)
        self.assertEqual([(n["service"], n["node"]) for n in answer["nodes"]], [("portal", "db/1")])

    def test_nothing_from_a_node_steers_the_terminal(self):
        self.services(service(nodes=[node("web/1", why="\033]0;owned\007\033[2J")], reason="\033[2Jx"))
        self.assertNotIn("\033", self.tepuy("status", status=0).stdout)

    def test_colour_only_on_a_terminal(self):
        self.services(service(nodes=[node("web/1")]))
        self.assertIn("\033[32m", self.on_terminal(["status"])[1])
        self.assertNotIn("\033", self.on_terminal(["status"], env={"NO_COLOR": "1"})[1])

    def test_revisions(self):
        self.agent.on("GET", "/v1/service/portal/revisions", Reply(200, {"revisions": [
            {"revision": 3, "time": 1700000000000, "author": "ana@srv1", "digest": "d",
             "components": {"web": {"recipe": "php-site", "version": "1.0", "nodes": 2}}}]}))
        self.assertRegex(self.tepuy("revisions", "portal", status=0).stdout, r"3 .*ana@srv1 .*web php-site 1.0 ×2")

    def test_version(self):
        self.agent.on("GET", "/v1/version", Reply(200, {
            "version": "0.1.0", "api": 1, "host": "srv1", "address": "192.0.2.11",
            "runtime": {"name": "docker", "version": "20.10"}, "consul": {"version": "1.8.7", "leader": True}}))
        self.assertIn("agent 0.1.0 on srv1 (192.0.2.11), docker 20.10, Consul 1.8.7, leader",
                      self.tepuy("version", status=0).stdout)


class Streams(Case):
    def test_logs_of_a_component_name_the_node(self):
        self.agent.on("GET", "/v1/logs/portal/web.*", Stream([{"node": "web/1", "stream": 1, "text": "hello\n"}]))
        self.assertEqual(self.tepuy("logs", "portal/web", status=0).stdout, "web/1 | hello\n")

    def test_logs_of_one_node_are_bare(self):
        self.agent.on("GET", "/v1/logs/portal/web/1.*", Stream([{"node": "web/1", "stream": 1, "text": "a\033[2Jb"}]))
        self.assertEqual(self.tepuy("logs", "portal/web/1", status=0).stdout, "a?[2Jb\n")

    def test_logs_options_reach_the_agent(self):
        self.agent.on("GET", "/v1/logs.*", Stream([]))
        self.tepuy("logs", "-ftn", "5", "portal", status=0)
        self.assertEqual(self.agent.asked("GET", "/v1/logs")[0][1], "/v1/logs/portal?follow=1&tail=5&timestamps=1")

    def on_two_hosts(self):
        """web/1 is on srv1, whose agent is asked; web/2 on srv2, where nobody answers."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        with open(os.path.join(self.dir, "hosts.yaml"), "w") as f:
            f.write("hosts:\n  srv1: {address: 127.0.0.1}\n  srv2: {address: 127.0.0.1, port: %d}\n" % port)
        nodes = [node("web/1", host="srv1"), node("web/2", host="srv2")]
        self.agent.on("GET", "/v1/service/portal", Reply(200, service(nodes=nodes)))
        self.agent.on("GET", "/v1/version", Reply(200, {"version": "0.1", "host": "srv1"}))

    def test_logs_of_two_hosts_one_of_which_is_away(self):
        self.on_two_hosts()
        self.agent.on("GET", "/v1/logs/portal/web.*", Stream([{"node": "web/1", "stream": 1, "text": "hello\n"}]))
        done = self.tepuy("logs", "portal/web", status=3)
        self.assertEqual(done.stdout, "web/1 | hello\n")
        self.assertRegex(done.stderr, r"\Atepuy: srv2: srv2 refuses connections at 127.0.0.1:\d+; .*\n\Z")

    def test_logs_of_another_host_that_is_away(self):
        self.on_two_hosts()
        done = self.tepuy("logs", "portal/web/2", status=1)
        self.assertIn("srv2 refuses connections", done.stderr)
        self.assertEqual(self.agent.asked("GET", "/v1/logs"), [])

    def test_report_to_two_hosts_one_of_which_is_away(self):
        self.on_two_hosts()
        self.agent.on("POST", "/v1/ttl/portal/web/beat", Reply(204))
        done = self.tepuy("check", "report", "portal/web", "beat", "passing", status=3)
        self.assertIn("srv2 refuses connections", done.stderr)

    def test_logs_when_consul_is_away(self):
        self.agent.on("GET", "/v1/service/portal", Reply(503, {"error": "Consul is away", "code": "EAGAIN"}))
        self.agent.on("GET", "/v1/logs/portal/web.*", Stream([{"node": "web/1", "stream": 1, "text": "hello\n"}]))
        done = self.tepuy("logs", "portal/web", status=0)
        self.assertEqual(done.stdout, "web/1 | hello\n")
        self.assertIn("Only the nodes of one host are asked", done.stderr)

    def test_a_host_that_nobody_can_place(self):
        nodes = [node("web/2", host="srv2")]
        self.agent.on("GET", "/v1/service/portal", Reply(200, service(nodes=nodes)))
        self.agent.on("GET", "/v1/version", Reply(200, {"version": "0.1", "host": "srv1"}))
        self.agent.on("GET", "/v1/hosts", Reply(200, {"hosts": [{"name": "srv1", "address": "192.0.2.1"}]}))
        self.assertIn("Where the host srv2 is, nobody says", self.tepuy("logs", "portal/web/2", status=1).stderr)

    def test_a_reader_that_has_gone_ends_a_stream(self):
        self.agent.on("GET", "/v1/logs/portal/web/1.*",
                      Stream([{"node": "web/1", "stream": 1, "text": "x" * 1000 + "\n"}] * 1000, hold=True))
        done = subprocess.run(["sh", "-c", f"exec {TEPUY} logs -f portal/web/1 | head -n 1"], env=self.env, cwd=self.dir,
                              capture_output=True, timeout=8)
        self.assertEqual((len(done.stdout), done.stderr), (1001, b""))

    def test_empty_lines_keep_a_stream_alive(self):
        self.agent.on("GET", "/v1/events.*", Stream([b"", {"time": 1, "kind": "up", "text": "x", "node": "web/1", "host": "srv1"}]))
        self.assertRegex(self.tepuy("events", "portal", status=0).stdout, r"^\d{4}-.*  web/1  up: x  \(srv1\)\n$")

    def test_events_json(self):
        event = {"time": 1, "host": "srv1", "kind": "up", "text": "x", "node": "web/1", "revision": 3}
        self.agent.on("GET", "/v1/events.*", Stream([event, event]))
        lines = self.tepuy("events", "--json", status=0).stdout.splitlines()
        self.assertEqual([json.loads(l) for l in lines], [event, event])

    def test_line_that_is_no_json(self):
        self.agent.on("GET", "/v1/events.*", Stream([b"{"]))
        self.assertIn("not what tepuy", self.tepuy("events", status=1).stderr)


class Checks(Case):
    def checks(self, *statuses):
        self.agent.on("GET", "/v1/checks/portal/web", Reply(200, {"checks": [
            {"node": "web/1", "id": "http-1", "name": "", "status": s, "since": 0, "output": "HTTP 200\nmore", "kind": "http",
             "added": True} for s in statuses]}))

    def test_exit_status_is_the_worst(self):
        for statuses, wanted in ((["passing"], 0), (["passing", "warning"], 1), (["critical", "unknown"], 2),
                                 (["warning", "unknown"], 3), ([], 3)):
            with self.subTest(statuses):
                self.agent.routes.clear()
                self.checks(*statuses)
                self.tepuy("checks", "portal/web", status=wanted)

    def test_table(self):
        self.checks("passing")
        self.assertRegex(self.tepuy("checks", "portal/web", status=0).stdout, r"web/1  http-1 \+  http  passing  -    HTTP 200\n")

    def test_usage_of_a_probe_is_unknown(self):
        self.tepuy("checks", status=3)
        self.tepuy("checks", "portal", "--wait", "fine", status=3)

    def test_wait_passing(self):
        bad = Reply(200, {"checks": [{"node": "web/1", "id": "a", "status": "critical"}]})
        good = Reply(200, {"checks": [{"node": "web/1", "id": "a", "status": "passing"}]})
        self.agent.on("GET", "/v1/checks/portal/web", [bad, good])
        self.agent.on("GET", r"/v1/watch\?service=portal", Stream([service(), service()], hold=True))
        self.tepuy("checks", "portal/web", "--wait", "passing", status=0)

    def test_wait_has_an_end(self):
        self.checks("critical")
        self.agent.on("GET", r"/v1/watch\?service=portal", Stream([service()], hold=True))
        self.tepuy("checks", "portal/web", "--wait", "passing", "--timeout", "300ms", status=2)

    def test_add_http(self):
        self.agent.on("PUT", "/v1/check/portal/web", Reply(200, {"id": "http-2"}))
        self.tepuy("check", "add", "portal/web", "--http", "/health", "--port", "http", "--interval", "2s", status=0)
        self.assertEqual(self.agent.requests[0][2], {"id": None, "check": {"kind": "http", "path": "/health", "port": "http",
                                                                          "interval": 2000}})

    def test_add_exec(self):
        self.agent.on("PUT", "/v1/check/portal/web", Reply(200, {"id": "x"}))
        self.tepuy("check", "add", "portal/web", "--exec", "--id", "x", "--timeout", "1s", "--", "test", "-f", "/ok", status=0)
        self.assertEqual(self.agent.requests[0][2], {"id": "x", "check": {"kind": "exec", "argv": ["test", "-f", "/ok"],
                                                                          "timeout": 1000}})

    def test_add_tcp_and_ttl(self):
        self.agent.on("PUT", ".*", Reply(200, {"id": "x"}))
        self.tepuy("check", "add", "portal", "--tcp", "http", status=0)
        self.tepuy("check", "add", "portal", "--ttl", "30s", status=0)
        self.assertEqual([r[2]["check"] for r in self.agent.requests], [{"kind": "tcp", "port": "http"}, {"kind": "ttl", "ttl": 30000}])

    def test_add_refuses_what_makes_no_sense(self):
        for args in ([], ["--http", "/", "--tcp", "x"], ["--exec"], ["--http", "/", "--", "true"], ["--tcp", "x", "--port", "y"],
                     ["--ttl", "5s", "--interval", "1s"], ["--http", "/", "word"]):
            with self.subTest(args):
                self.tepuy("check", "add", "portal/web", *args, status=2)
        self.assertEqual(self.agent.requests, [])

    def test_remove(self):
        self.agent.on("DELETE", "/v1/check/portal/http-2", Reply(204))
        self.tepuy("check", "remove", "portal/web", "http-2", status=0)
        self.assertIn("no check ghost that was added", self.tepuy("check", "remove", "portal", "ghost", status=1).stderr)

    def test_report(self):
        self.agent.on("POST", "/v1/ttl/portal/web/1/beat", Reply(204))
        self.tepuy("check", "report", "portal/web/1", "beat", "warning", "--output", "slow", status=0)
        self.assertEqual(self.agent.asked("POST")[0][2], {"status": "warning", "output": "slow"})
        self.tepuy("check", "report", "portal/web/1", "beat", "fine", status=2)


class Changes(Case):
    def watch(self, *states):
        self.agent.on("GET", r"/v1/watch\?service=portal", Stream(list(states), hold=True))

    def test_down_needs_yes_without_a_terminal(self):
        self.agent.on("GET", "/v1/service/portal", Reply(200, service()))
        self.assertIn("give --yes", self.tepuy("down", "portal", status=1).stderr)
        self.assertEqual(self.agent.asked("POST"), [])

    def test_down_follows_until_removed(self):
        self.agent.on("GET", "/v1/service/portal", Reply(200, service(nodes=[node("web/1")])))
        self.agent.on("POST", "/v1/service/portal/down", Reply(200, {"revision": 4}))
        self.watch(service(nodes=[node("web/1")]), service("removing", 4, [node("web/1", desired="drain")]), service("removed", 4))
        done = self.tepuy("down", "portal", "--yes", status=0)
        self.assertEqual(done.stdout, "web/1 (revision 3): healthy (0.0s)\nportal: removing\nweb/1 (revision 3): draining\n"
                                      "portal: removed\n")

    def test_down_asks_on_a_terminal(self):
        self.agent.on("GET", "/v1/service/portal", Reply(200, service(nodes=[node("web/1"), node("web/2")])))
        status, shown = self.on_terminal(["down", "portal"], [("[y/N]", "n\n")])
        self.assertEqual(status, 1)
        self.assertIn("Stop and remove 2 nodes of portal?", shown)
        self.assertEqual(self.agent.asked("POST"), [])

    def test_down_twice(self):
        self.agent.on("GET", "/v1/service/portal", Reply(200, service("removed", 4)))
        self.assertIn("down already", self.tepuy("down", "portal", "--yes", status=0).stdout)
        self.assertEqual(self.agent.asked("POST"), [])

    def test_rollback_to(self):
        self.agent.on("POST", "/v1/service/portal/rollback", Reply(200, {"revision": 5}))
        self.watch(service("done", 5))
        answer = json.loads(self.tepuy("rollback", "portal", "--to", "3", "--yes", "--json", status=0).stdout)
        self.assertEqual(answer, {"service": "portal", "revision": 5, "changed": True, "phase": "done", "reason": ""})
        self.assertEqual(self.agent.asked("POST")[0][2]["revision"], 3)
        self.assertRegex(self.agent.asked("POST")[0][2]["author"], ".@.")

    def test_failure_says_why(self):
        bad = node("web/1", "running", "critical", revision=5, why="not healthy after 60s", log="one\ntwo\n",
                   checks=[{"id": "http-1", "status": "critical", "output": "HTTP 500 Internal Server Error"}])
        self.agent.on("POST", "/v1/service/portal/rollback", Reply(200, {"revision": 5}))
        self.watch(service("rolling", 5, [bad]), service("rolling-back", 5, [node("web/1", desired="stop", state="stopped")]),
                   service("rolled-back", 5, [], reason="web/1 did not become healthy in 60s", detail="the detail"))
        done = self.tepuy("rollback", "portal", "--yes", status=1)
        for text in ("revision 5 rolled back", "web/1 did not become healthy in 60s", "the detail",
                     "HTTP 500 Internal Server Error", "two"):
            self.assertIn(text, done.stderr)

    def test_someone_else_was_faster(self):
        self.agent.on("POST", "/v1/service/portal/rollback", Reply(200, {"revision": 5}))
        self.watch(service("rolling", 6))
        self.assertIn("someone else submitted revision 6", self.tepuy("rollback", "portal", "--yes", status=1).stderr)

    def test_timeout_of_following(self):
        self.agent.on("POST", "/v1/service/portal/rollback", Reply(200, {"revision": 5}))
        self.watch(service("rolling", 5))
        done = self.tepuy("rollback", "portal", "--yes", "--timeout", "200ms", status=1)
        self.assertIn("the agents go on with it", done.stderr)

    def test_agent_restarted_meanwhile(self):
        self.agent.on("POST", "/v1/service/portal/rollback", Reply(200, {"revision": 5}))
        self.agent.on("GET", r"/v1/watch\?service=portal", [Stream([service("rolling", 5)]), Stream([service("done", 5)])])
        self.tepuy("rollback", "portal", "--yes", status=0)

    def test_detach(self):
        self.agent.on("POST", "/v1/service/portal/rollback", Reply(200, {"revision": 5}))
        self.assertIn("revision 5 is accepted", self.tepuy("rollback", "portal", "--yes", "--detach", status=0).stdout)
        self.assertEqual(len(self.agent.requests), 1)

    def test_interrupt_explains(self):
        self.agent.on("POST", "/v1/service/portal/rollback", Reply(200, {"revision": 5}))
        self.watch(service("rolling", 5, [node("web/1", "starting")]))
        status, shown = self.on_terminal(["rollback", "portal", "--yes"], [("starting", "\003")])
        self.assertEqual(status, 130)
        self.assertIn("The agents go on with it", shown)

    def test_terminal_redraws_with_elapsed_time(self):
        gate = threading.Event()
        self.agent.on("POST", "/v1/service/portal/rollback", Reply(200, {"revision": 5}))
        self.watch(service("rolling", 5, [node("web/1", "starting", revision=5)]), gate,
                   service("done", 5, [node("web/1", revision=5)]))
        status, shown = self.on_terminal(["rollback", "portal", "--yes"], [("0.4s", lambda *_: gate.set())])
        self.assertEqual(status, 0)
        self.assertIn("\033[2A", shown)
        self.assertRegex(shown, r"✓\S* web/1 +healthy")

    def test_disconnect_waits_for_the_nodes(self):
        self.agent.on("POST", "/v1/disconnect/portal/web/1", Reply(200, {"nodes": ["web/1"]}))
        self.watch(service(nodes=[node("web/1"), node("web/2")]),
                   service(nodes=[node("web/1", health="maintenance", desired="drain", connected=False), node("web/2")]))
        self.tepuy("disconnect", "portal/web/1", "--deadline", "5s", status=0)
        self.assertEqual(self.agent.asked("POST")[0][2], {"stop": False, "deadline": 5000})

    def test_disconnect_ends_at_the_deadline(self):
        self.agent.on("POST", "/v1/disconnect/portal/web/1", Reply(200, {"nodes": ["web/1"]}))
        self.watch(service(nodes=[node("web/1", health="maintenance", desired="drain", connected=False, sessions=2)]))
        ended = self.tepuy("disconnect", "portal/web/1", "--deadline", "200ms", status=0)
        self.assertIn("2 sessions that it has go on", ended.stderr)

    def test_disconnect_stop(self):
        self.agent.on("POST", "/v1/disconnect/portal/web/1", Reply(200, {"nodes": ["web/1"]}))
        self.watch(service(nodes=[node("web/1", health="maintenance", desired="drain", connected=False)]),
                   service(nodes=[node("web/1", "stopped", desired="stop", connected=False)]))
        self.assertIn("stopped", self.tepuy("disconnect", "portal/web/1", "--stop", status=0).stdout)

    def test_connect(self):
        self.agent.on("POST", "/v1/connect/portal/web", Reply(200, {"nodes": ["web/1"]}))
        self.watch(service(nodes=[node("web/1", connected=False)]), service(nodes=[node("web/1")]))
        self.tepuy("connect", "portal/web", status=0)

    def test_whole_service_cannot_be_disconnected(self):
        self.tepuy("disconnect", "portal", status=2)


class UpCase(Case):
    """A service of one recipe made by `recipe new`."""

    def setUp(self):
        super().setUp()
        self.tepuy("recipe", "new", "hello", status=0)
        self.write("service: portal\ncomponents:\n  web: {recipe: hello}\n")

    def write(self, text):
        with open(os.path.join(self.dir, "service.yaml"), "w") as f:
            f.write(text)

    def spec(self):
        """The spec as up sends it."""
        if not self.agent.asked("POST", "/plan"):
            self.plan([])
            self.tepuy("up", "--dry-run")
        return self.agent.asked("POST", "/plan")[-1][2]["spec"]

    def plan(self, changes):
        changed = any(c["action"] != "keep" for c in changes)
        self.agent.on("POST", "/v1/service/portal/plan", Reply(200, {"changes": changes, "changed": changed}))

    def new(self, *more_routes):
        """There is no such service yet; it will be revision 1."""
        self.agent.on("GET", "/v1/service/portal", Reply(200, {"service": "portal", "index": 0, "nodes": [], "status": {}}))
        self.plan([{"node": "web/1", "action": "create", "why": ["the service is new"]}])
        self.agent.on("HEAD", "/v1/bundle/.*", Reply(404))
        self.agent.on("PUT", "/v1/bundle/.*", Reply(201))
        self.agent.on("PUT", "/v1/service/portal", Reply(200, {"revision": 1, "changed": True}))
        self.agent.on("GET", r"/v1/watch\?service=portal", Stream([
            service("preparing", 1, [node("web/1", "building", "unknown", revision=1)]),
            service("rolling", 1, [node("web/1", "starting", "unknown", revision=1)]),
            service("done", 1, [node("web/1", revision=1)])], hold=True))


class Up(UpCase):
    def test_new_service(self):
        self.new()
        done = self.tepuy("up", "--yes", status=0)
        for text in ("+ web/1  create", "the service is new", "portal: preparing", "web/1: building its image", "portal: done"):
            self.assertIn(text, done.stdout)
        self.assertEqual([r[0] + " " + r[1].split("/")[2] for r in self.agent.requests],
                         ["GET service", "POST service", "HEAD bundle", "PUT bundle", "PUT service", "GET watch?service=portal"])
        put = self.agent.asked("PUT", "/v1/service")[0][2]
        self.assertEqual((put["index"], put["secrets"], put["spec"]["service"]), (0, {}, "portal"))
        self.assertEqual(self.agent.asked("PUT", "/v1/bundle")[0][1].split("/")[-1], put["spec"]["components"]["web"]["bundle"])
        self.assertRegex(put["spec"]["author"], ".@.")

    def test_dry_run_writes_nothing(self):
        self.new()
        self.assertIn("web/1  create", self.tepuy("up", "--dry-run", status=4).stdout)
        self.assertEqual([r[0] for r in self.agent.requests], ["GET", "POST"])

    def test_dry_run_json(self):
        self.new()
        answer = json.loads(self.tepuy("up", "--dry-run", "--json", status=4).stdout)
        self.assertEqual((answer["changed"], answer["changes"][0]["action"]), (True, "create"))

    def test_bundle_that_is_there_is_not_sent(self):
        self.agent.on("HEAD", "/v1/bundle/.*", Reply(204))
        self.new()
        self.tepuy("up", "--yes", status=0)
        self.assertEqual(self.agent.asked("PUT", "/v1/bundle"), [])

    def test_nothing_to_do_is_one_request(self):
        digest = self.spec()["digest"]
        self.agent.requests.clear()
        running = service()
        running["spec"]["digest"] = digest
        self.agent.routes.clear()
        self.agent.on("GET", "/v1/service/portal", Reply(200, running))
        for args in ([], ["--dry-run"], ["--yes"]):
            self.assertEqual(self.tepuy("up", *args, status=0).stdout, "portal: nothing to do.\n")
        self.assertEqual([r[0] for r in self.agent.requests], ["GET"] * 3)

    def large(self, content, changed=1700000000):
        """The recipe's hash after a file of 2 MiB was written, whose change is not recent."""
        path = os.path.join(self.dir, "recipes/hello/files/big")
        with open(path, "wb") as f:
            f.write(content * (2 << 20))
        os.utime(path, (changed, changed))
        self.agent.requests.clear()
        self.tepuy("up", "--dry-run", status=4)
        return self.agent.asked("POST", "/plan")[-1][2]["spec"]["components"]["web"]["bundle"]

    def test_large_recipe_changed_just_now_is_read_again(self):
        self.new()
        self.assertNotEqual(self.large(b"a"), self.large(b"b"))
        self.assertFalse(os.path.exists(os.path.join(self.dir, ".cache/tepuy/bundles.json")))

    def remember_wrongly(self):
        """Has the recipe's hash remembered, then puts another one in its place."""
        bundle = self.large(b"a")
        cache = os.path.join(self.dir, ".cache/tepuy/bundles.json")
        end = time.monotonic() + 10
        while not os.path.exists(cache) and time.monotonic() < end:
            self.tepuy("up", "--dry-run", status=4)
        with open(cache) as f:
            remembered = f.read()
        self.assertIn(bundle, remembered)
        with open(cache, "w") as f:
            f.write(remembered.replace(bundle, "0" * 64))

    def test_large_recipe_is_not_read_again(self):
        self.new()
        self.remember_wrongly()
        self.tepuy("up", "--dry-run", status=4)
        self.assertEqual(self.agent.asked("POST", "/plan")[-1][2]["spec"]["components"]["web"]["bundle"], "0" * 64)
        self.assertNotEqual(self.large(b"b"), "0" * 64)

    def test_what_the_cache_says_is_never_sent(self):
        self.new()
        self.remember_wrongly()
        self.assertIn("run 'tepuy up' again", self.tepuy("up", "--yes", status=1).stderr)
        self.tepuy("up", "--yes", status=0)
        sent = self.agent.asked("PUT", "/v1/bundle")
        self.assertEqual([r[1].split("/")[-1] for r in sent], [hashlib.sha256(sent[0][2]).hexdigest()])

    def test_without_a_terminal_yes_is_needed(self):
        self.new()
        self.assertIn("give --yes", self.tepuy("up", status=1).stderr)
        self.assertEqual(self.agent.asked("PUT"), [])

    def test_question_on_a_terminal(self):
        self.new()
        self.assertEqual(self.on_terminal(["up"], [("Do this? [y/N]", "y\n")])[0], 0)
        self.agent.requests.clear()
        self.assertEqual(self.on_terminal(["up"], [("Do this? [y/N]", "\n")])[0], 1)
        self.assertEqual(self.agent.asked("PUT"), [])

    def test_json_asks_nothing(self):
        self.tepuy("up", "--json", status=2)
        self.new()
        answer = json.loads(self.tepuy("up", "--json", "--yes", status=0).stdout)
        self.assertEqual((answer["revision"], answer["phase"], answer["changed"]), (1, "done", True))

    def test_someone_else_was_first(self):
        self.agent.on("PUT", "/v1/service/portal", Reply(409, {"error": "read again", "code": "ESTALE"}))
        self.new()
        self.assertIn("changed by someone else meanwhile", self.tepuy("up", "--yes", status=1).stderr)

    def test_errors_in_documents_stop_it(self):
        self.write("service: portal\ncomponents:\n  web: {recpie: hello}\n")
        done = self.tepuy("up", "--yes", status=1)
        self.assertIn("did you mean 'recipe'?", done.stderr)
        self.assertEqual(self.agent.requests, [])

    def test_no_file(self):
        self.assertIn("other.yaml", self.tepuy("up", "other.yaml", status=1).stderr)

    def test_directory_means_its_service_file(self):
        self.new()
        self.tepuy("up", self.dir, "--dry-run", status=4)

    def test_submitted_and_not_taken_up_yet_is_followed(self):
        digest = self.spec()["digest"]
        self.agent.routes.clear()
        running = service("done", 2)
        running["spec"].update(digest=digest, revision=3)
        self.agent.on("GET", "/v1/service/portal", Reply(200, running))
        self.plan([{"node": "web/1", "action": "keep", "why": []}])
        self.agent.on("GET", r"/v1/watch\?service=portal", Stream([running, service("done", 3)], hold=True))
        self.tepuy("up", "--yes", status=0)
        self.assertEqual(len(self.agent.asked("GET", "watch")), 1)

    def test_rollout_that_runs_is_followed(self):
        digest = self.spec()["digest"]
        self.agent.routes.clear()
        running = service("rolling", 3)
        running["spec"]["digest"] = digest
        self.agent.on("GET", "/v1/service/portal", Reply(200, running))
        self.plan([{"node": "web/1", "action": "keep", "why": []}])
        self.agent.on("GET", r"/v1/watch\?service=portal", Stream([service("done", 3)], hold=True))
        self.tepuy("up", "--yes", status=0)
        self.assertEqual(self.agent.asked("PUT"), [])

    def test_same_again_after_failure_is_another_try(self):
        digest = self.spec()["digest"]
        self.agent.routes.clear()
        failed = service("failed", 1)
        failed["spec"]["digest"] = digest
        self.agent.on("GET", "/v1/service/portal", Reply(200, failed))
        self.plan([{"node": "web/1", "action": "keep", "why": []}])
        self.new()
        self.tepuy("up", "--yes", status=0)
        self.assertEqual(len(self.agent.asked("PUT", "/v1/service")), 1)


class Secrets(UpCase):
    def setUp(self):
        super().setUp()
        self.write("service: portal\ncomponents:\n  web: {recipe: hello}\nsecrets: {key: {required: true}}\n")
        self.new()

    def test_from_a_file(self):
        with open(os.path.join(self.dir, "key"), "w") as f:
            f.write("hush\n")
        self.tepuy("up", "--yes", "--secret", "key=@key", status=0)
        self.assertEqual(self.agent.asked("PUT", "/v1/service")[0][2]["secrets"], {"key": "hush"})

    def test_never_on_the_command_line(self):
        done = self.tepuy("up", "--yes", "--secret", "key=hush", status=1)
        self.assertIn("not written on the command line", done.stderr)
        self.assertNotIn("hush", done.stderr)

    def test_unknown(self):
        self.assertIn("no secret kye", self.tepuy("up", "--yes", "--secret", "kye", status=1).stderr)

    def test_typed_and_not_shown(self):
        status, shown = self.on_terminal(["up", "--yes"], [("Secret key:", "hush\n")])
        self.assertEqual(status, 0)
        self.assertNotIn("hush", shown)
        self.assertEqual(self.agent.asked("PUT", "/v1/service")[0][2]["secrets"], {"key": "hush"})

    def test_that_is_no_text(self):
        with open(os.path.join(self.dir, "key"), "wb") as f:
            f.write(b"\xff\xfe")
        self.assertIn("not text in UTF-8", self.tepuy("up", "--yes", "--secret", "key=@key", status=1).stderr)


class Documents(Case):
    def test_new_recipe_lints_clean(self):
        self.tepuy("recipe", "new", "hello", status=0)
        self.assertEqual(self.tepuy("recipe", "lint", "recipes/hello", status=0).stdout, "recipes/hello: no errors, no warnings.\n")

    def test_new_recipe_needs_a_name(self):
        self.assertIn("'Hello!' is no name", self.tepuy("recipe", "new", "Hello!", status=2).stderr)

    def test_new_recipe_overwrites_nothing(self):
        self.tepuy("recipe", "new", "hello", status=0)
        self.tepuy("recipe", "new", "hello", status=1)

    def test_lint_tells_all_as_json(self):
        self.tepuy("recipe", "new", "hello", "a", status=0)
        os.mkdir(os.path.join(self.dir, "b"))
        with open(os.path.join(self.dir, "b", "recipe.yaml"), "w") as f:
            f.write("recpie: b\n")
        answer = json.loads(self.tepuy("recipe", "lint", "a", "b", "--json", status=1).stdout)
        self.assertGreater(answer["errors"], 0)
        self.assertEqual({d["file"] for d in answer["diagnostics"]}, {"b/recipe.yaml"})

    def test_show(self):
        self.tepuy("recipe", "new", "hello", status=0)
        self.assertIn("greeting  string", self.tepuy("recipe", "show", "hello", status=0).stdout)
        self.assertEqual(json.loads(self.tepuy("recipe", "show", "recipes/hello", "--json", status=0).stdout)["recipe"], "hello")

    def test_show_of_none(self):
        self.assertIn("There is no recipe ghost", self.tepuy("recipe", "show", "ghost", status=1).stderr)

    def test_schema(self):
        for document in ("recipe", "service", "hosts"):
            self.assertEqual(json.loads(self.tepuy("schema", document, status=0).stdout)["title"], document)
        self.tepuy("schema", "ghost", status=2)

    def test_service_lint(self):
        self.tepuy("recipe", "new", "hello", status=0)
        with open(os.path.join(self.dir, "service.yaml"), "w") as f:
            f.write("service: portal\ncomponents:\n  web: {recipe: ghost}\n")
        self.assertIn("service.yaml:3:", self.tepuy("service", "lint", status=1).stderr)

    def graph(self, *args):
        self.agent.on("GET", "/v1/service/portal", Reply(200, {"service": "portal", "index": 7, "spec": {
            "service": "portal", "components": {
                "db": {"recipe": "postgresql", "version": "1.0", "nodes": 1, "links": {},
                       "body": {"volumes": {"data": {"path": "/srv/portal/db", "mount": "/var/lib/postgresql"}}, "ports": {}}},
                "web": {"recipe": 'a"b\\', "version": "1.0", "nodes": 2, "links": {"database": {"component": "db", "optional": True}},
                        "body": {"volumes": {}, "ports": {"http": {"port": 80, "publish": 8080}}}}}}}))
        return self.tepuy("graph", "portal", *args, status=0).stdout

    def test_graph_of_what_runs(self):
        dot = self.graph()
        for line in ('"web" -> "db" [label="database", style=dashed];', '"//outside" -> "web" [label="http 8080", style=bold];',
                     '"db/data" [label="data\\n/srv/portal/db", shape=cylinder];', 'label="web ×2\\na\\"b\\\\ 1.0"'):
            self.assertIn(line, dot)

    @unittest.skipUnless(shutil.which("dot"), "needs graphviz")
    def test_graph_is_drawn(self):
        self.assertIn("<svg", self.graph("--svg"))

    def test_graph_without_graphviz(self):
        self.env["PATH"] = self.dir
        self.graph()
        self.assertIn("apt install graphviz", self.tepuy("graph", "portal", "--svg", status=1).stderr)


class Session(Case):
    def run_with(self, run):
        self.agent.on("POST", "/v1/exec/portal/web/1", Exec(run))

    def test_output_and_exit_status(self):
        def run(frames):
            frames.send("1", b"out")
            frames.send("2", b"err")
            frames.exit(7)
        self.run_with(run)
        done = self.tepuy("exec", "portal/web/1", "ls", "-l", status=7)
        self.assertEqual((done.stdout, done.stderr), ("out", "err"))
        self.assertEqual(self.agent.requests[0][2]["argv"], ["ls", "-l"])
        self.assertFalse(self.agent.requests[0][2]["tty"])

    def test_input_reaches_the_command(self):
        def run(frames):
            got = b""
            while True:
                kind, data = frames.receive()
                if kind != "0":
                    break
                got += data
            frames.send("1", got.upper())
            frames.exit(0 if kind == "5" else 9)
        self.run_with(run)
        text = "a line\n" * 50000
        self.assertEqual(self.tepuy("exec", "-i", "portal/web/1", "cat", stdin=text, status=0).stdout, text.upper())

    def test_input_is_left_alone_without_i(self):
        def run(frames):
            frames.exit(0 if frames.receive()[0] == "5" else 9)
        self.run_with(run)
        self.tepuy("exec", "portal/web/1", "cat", stdin="x", status=0)

    def test_refusal(self):
        self.agent.on("POST", "/v1/exec/portal/web/1", Reply(404, {"error": "web/1 does not run", "code": "ENOENT"}))
        self.assertEqual(self.tepuy("exec", "portal/web/1", "true", status=1).stderr, "tepuy: web/1 does not run.\n")

    def test_another_host_that_is_away(self):
        Streams.on_two_hosts(self)
        self.agent.on("POST", "/v1/exec/portal/web/2", Reply(421, {"error": "portal/web/2 is not here", "code": "EREMOTE",
                                                                  "hosts": ["srv2"]}))
        done = self.tepuy("exec", "portal/web/2", "true", status=1)
        self.assertRegex(done.stderr, r"\Atepuy: portal/web/2 is on another host: srv2 refuses connections at .*\n\Z")

    def test_cut(self):
        self.run_with(lambda frames: frames.send("1", b"half"))
        done = self.tepuy("exec", "portal/web/1", "true", status=1)
        self.assertIn("closed the session before", done.stderr)

    def test_frame_that_cannot_be(self):
        self.run_with(lambda frames: frames.wfile.write(b"1\xff\xff\xff\xff"))
        self.assertIn("what is no frame", self.tepuy("exec", "portal/web/1", "true", status=1).stderr)

    def test_terminal(self):
        sizes = []

        def run(frames):
            frames.send("1", b"ready$ ")
            while True:
                kind, data = frames.receive()
                if kind == "3":
                    sizes.append(struct.unpack(">II", data))
                    frames.send("1", b"resized")
                elif kind == "0":
                    frames.send("1", b"typed " + data.replace(b"\x03", b"interrupt"))
                    frames.exit(5)
                    return

        def resize(master, pid):
            termios.tcsetwinsize(master, (40, 100)) if hasattr(termios, "tcsetwinsize") else __import__("fcntl").ioctl(
                master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.run_with(run)
        status, shown = self.on_terminal(["exec", "portal/web/1", "sh"], [("ready$", resize), ("resized", "\003")])
        self.assertEqual((status, sizes), (5, [(40, 100)]))
        self.assertIn("typed interrupt", shown)
        self.assertTrue(self.agent.requests[0][2]["tty"])

    def test_terminal_is_restored_after_a_signal(self):
        self.run_with(lambda frames: (frames.send("1", b"ready$ "), frames.receive()))
        modes = {}

        def look(name, then=None):
            def act(master, pid):
                modes[name] = termios.tcgetattr(master)[3] & termios.ECHO
                os.kill(pid, signal.SIGTERM)
            return act
        status, _ = self.on_terminal_keeping(["exec", "portal/web/1", "sh"], "ready$", look("raw"), modes)
        self.assertEqual((status, bool(modes["raw"]), bool(modes["after"])), (143, False, True))

    def on_terminal_keeping(self, args, text, act, modes):
        """As on_terminal, on a terminal that stays open, to look at its modes afterwards."""
        master, slave = pty.openpty()
        child = subprocess.Popen([TEPUY, *args], stdin=slave, stdout=slave, stderr=slave, env=self.env, start_new_session=True)
        shown = b""
        while text.encode() not in shown and select.select([master], [], [], 10)[0]:
            shown += os.read(master, 4096)
        act(master, child.pid)
        status = child.wait(10)
        modes["after"] = termios.tcgetattr(slave)[3] & termios.ECHO
        os.close(master)
        os.close(slave)
        return (128 - status if status < 0 else status), shown


class Completion(Case):
    def bash(self, line):
        script = os.path.join(self.dir, "completion")
        with open(script, "w") as f:
            f.write(self.tepuy("completion", "bash", status=0).stdout)
        program = (f'source {script}; read -ra COMP_WORDS <<< {json.dumps(line)}; [[ {json.dumps(line)} == *" " ]] && COMP_WORDS+=("");'
                   'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tepuy; printf "%s\\n" "${COMPREPLY[@]}"')
        path = os.path.dirname(TEPUY) + ":" + self.env["PATH"]
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, env={**self.env, "PATH": path}, cwd=self.dir)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_commands(self):
        self.assertEqual(self.bash("tepuy st"), ["status"])

    def test_second_words(self):
        self.assertEqual(sorted(self.bash("tepuy check ")), ["add", "remove", "report"])

    def test_options(self):
        self.assertEqual(self.bash("tepuy logs --fo"), ["--follow"])

    def test_choices(self):
        self.assertEqual(self.bash("tepuy checks --wait "), ["passing"])

    def test_targets_from_the_agent(self):
        self.agent.on("GET", "/v1/services", Reply(200, {"services": [service(nodes=[node("web/1"), node("web/2")])]}))
        self.assertEqual(self.bash("tepuy logs portal/"), ["portal/web", "portal/web/1", "portal/web/2"])

    def test_hosts_of_the_document_and_the_cluster(self):
        with open(os.path.join(self.dir, "hosts.yaml"), "w") as f:
            f.write("hosts: {srv1: {address: 192.0.2.1}, srv2: {address: 192.0.2.2}}\n")
        self.agent.on("GET", "/v1/hosts", Reply(200, {"hosts": [{"name": "srv2"}, {"name": "srv3"}]}))
        self.assertEqual(self.bash("tepuy host show "), ["srv1", "srv2", "srv3"])
        self.assertEqual(self.bash("tepuy ps --host srv"), ["srv1", "srv2", "srv3"])
        self.assertEqual(self.bash("tepuy run --hosts srv3"), ["srv3"])

    def test_host_is_offered_where_it_is_taken(self):
        self.assertEqual(self.bash("tepuy logs --ho"), ["--host"])
        self.assertEqual(self.bash("tepuy recipe lint --ho"), [])
        self.assertIn("--host[Talk to", self.tepuy("completion", "zsh", status=0).stdout)

    def test_agent_away_says_nothing(self):
        done = self.tepuy("completion", "targets", env={"TEPUY_SOCKET": "/nowhere"})
        self.assertEqual((done.stdout, done.stderr), ("", ""))

    @unittest.skipUnless(shutil.which("shellcheck"), "needs shellcheck")
    def test_bash_script_is_clean(self):
        text = self.tepuy("completion", "bash", status=0).stdout
        done = subprocess.run(["shellcheck", "-"], input=text, capture_output=True, text=True)
        self.assertEqual(done.stdout, "")

    @unittest.skipUnless(shutil.which("zsh"), "needs zsh")
    def test_zsh_script_parses(self):
        text = self.tepuy("completion", "zsh", status=0).stdout
        done = subprocess.run(["zsh", "-n"], input=text, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    TEPUY = os.path.abspath(sys.argv.pop(1))
    unittest.main()
