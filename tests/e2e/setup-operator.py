#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays the operator of docs/setup.md in a lab: carries what the hosts' `tepuy setup` say from one to the other.

  setup-operator.py PREFIX apply HOSTS SERVERS   HOSTS "1,2,3,4", of them SERVERS "1,2,3" Consul's servers
  setup-operator.py PREFIX renew HOSTS SERVERS   the same with new certificates
  setup-operator.py PREFIX rotate HOSTS SERVERS  a new gossip key
  setup-operator.py PREFIX rotate-elsewhere HOSTS SERVERS  the same, ended by the second server
  setup-operator.py PREFIX step I STEP           one step on a host, its input from standard input
  setup-operator.py PREFIX killed HOSTS SERVERS  the steps of the last host, each killed after more and more time

All that passes the operator's hands is appended to $SETUP_LOG. Every progress line is printed as "host step item state".
"""
import concurrent.futures
import json
import os
import subprocess
import sys

PREFIX = sys.argv[1]
DATACENTER = "lab"
KILLED = []  # hosts on which every step is killed before it may run to its end


class Failed(Exception):
    pass


def name(i):
    return f"h{i}"


def address(i):
    with open(os.path.join(os.environ["LAB_STATE"], PREFIX, "subnet"), encoding="utf-8") as file:
        return f"{file.read().strip()}.{10 + i}"


def run(i, words, text):
    return subprocess.run(["docker", "exec", "-i", f"{PREFIX}-h{i}", *words], input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def killed(i, step, given):
    """Runs a step again and again, killed as by a power cut, each time after a little more time."""
    for seconds in ("0.01", "0.02", "0.04", "0.08", "0.16", "0.32", "0.64"):
        run(i, ["timeout", "-s", "KILL", seconds, "tepuy", "setup", step], json.dumps(given))


def setup(i, step, given=None):
    """Runs a step on a host; its result, or Failed with its error."""
    text = json.dumps(given or {})
    if i in KILLED:
        killed(i, step, given or {})
    done = run(i, ["tepuy", "setup", step], text)
    with open(os.environ["SETUP_LOG"], "a", encoding="utf-8") as log:
        log.write(f"# {name(i)} {step}\n{text}\n{done.stdout}")
    lines = []
    for line in done.stdout.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            raise Failed(f"{name(i)} {step}: {line}") from error
    for line in lines:
        if "state" in line:
            print(name(i), line["step"], line["item"], line["state"], sep=" ", flush=True)
    if lines and "result" in lines[-1] and done.returncode == 0:
        return lines[-1]["result"]
    raise Failed(f"{name(i)} {step}: {lines[-1:] or done.stdout}")


def everywhere(hosts, step, given):
    """The same step on several hosts at once; results by host."""
    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        running = {i: pool.submit(setup, i, step, given(i)) for i in hosts}
    return {i: running[i].result() for i in hosts}


def who(i, servers):
    return {"name": name(i), "address": address(i), "datacenter": DATACENTER, "server": i in servers}


def authority(servers):
    """The server to ask, after all were asked."""
    found = [i for i in servers if setup(i, "authority", {"datacenter": DATACENTER, "create": False})["ca"]]
    if not found:
        setup(servers[0], "authority", {"datacenter": DATACENTER, "create": True})
        found = [servers[0]]
    return found[0]


def by_host(rows):
    return {int(row["name"][1:]): row for row in rows}


def apply(hosts, servers, renew=False):
    everywhere(hosts, "runtime", lambda i: {"runtime": "docker"})
    everywhere(hosts, "consul-package", lambda i: {})
    identities = everywhere(hosts, "identity", lambda i: who(i, servers))
    chief = authority(servers)
    requests = [{"name": name(i), "address": address(i), "server": i in servers, "csr": identities[i]["csr"],
                 "certificate": (identities[i]["certificate"] or {}).get("pem")} for i in hosts]
    signed = by_host(setup(chief, "sign", {"datacenter": DATACENTER, "renew": renew, "requests": requests})["hosts"])

    def consul(i):
        row = signed[i]
        return {**who(i, servers), "servers": [address(s) for s in servers], "bootstrap_expect": len(servers),
                "certificate": row["certificate"], "ca": row["ca"], "sealed": row["sealed"]}

    running = [i for i in servers if identities[i]["consul"]["configured"]]
    for i in running:
        setup(i, "consul", consul(i))
    for some in ([i for i in servers if i not in running], [i for i in hosts if i not in servers]):
        if some:
            everywhere(some, "consul", consul)
    tokens = by_host(setup(chief, "acl", {"datacenter": DATACENTER, "hosts": [
        {"name": name(i), "certificate": signed[i]["certificate"]} for i in hosts]})["hosts"])
    everywhere(hosts, "agent", lambda i: agent(i, tokens[i]["sealed"]))


def agent(i, sealed):
    return {"name": name(i), "address": address(i), "labels": {"disk": "ssd", "rack": "north side"}, "sealed": sealed}


def certificates(hosts, servers):
    found = everywhere(hosts, "identity", lambda i: who(i, servers))
    return [{"name": name(i), "certificate": found[i]["certificate"]["pem"]} for i in hosts]


def rotate(hosts, servers, last):
    rows = certificates(hosts, servers)
    sealed = by_host(setup(servers[0], "rotate-gossip", {"phase": "install", "hosts": rows})["hosts"])
    everywhere(hosts, "gossip", lambda i: {"sealed": sealed[i]["sealed"]})
    setup(last, "rotate-gossip", {"phase": "finish"})


def numbers(text):
    return [int(i) for i in text.split(",")]


def main():
    verb = sys.argv[2]
    if verb == "step":
        print(json.dumps(setup(int(sys.argv[3]), sys.argv[4], json.load(sys.stdin))))
        return
    hosts, servers = numbers(sys.argv[3]), numbers(sys.argv[4])
    if verb == "killed":
        KILLED.append(hosts[-1])
    if verb in ("rotate", "rotate-elsewhere"):
        rotate(hosts, servers, servers[verb == "rotate-elsewhere"])
    else:
        apply(hosts, servers, renew=verb == "renew")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        print(error, file=sys.stderr)
        sys.exit(1)
