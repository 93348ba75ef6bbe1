"""Prints what fail2ban's own filter and counter make of logs of sshd, with the time of each line as the clock.

fail2ban.py ROOT FILE...: ROOT has an unpacked package of fail2ban; maxretry is 3, findtime 10 minutes. For each file it prints its name, and
"ADDRESS SECONDS" for each ban. Nothing is banned, started or written.
"""
import calendar
import logging
import sys
import time
import types

root, files = sys.argv[1], sys.argv[2:]
sys.dont_write_bytecode = True
sys.path.insert(0, root + "/usr/lib/python3/dist-packages")

from fail2ban.client.filterreader import FilterReader
from fail2ban.server import observer, utils
from fail2ban.server.failmanager import FailManager
from fail2ban.server.filter import FileFilter
from fail2ban.server.mytime import MyTime

logging.disable(logging.CRITICAL)
observer.Observers.Main = None
utils.time = types.SimpleNamespace(time=MyTime.time, sleep=lambda seconds: None)  # of its memory of connections


class Jail:
    """Takes the bans."""

    name, database, filter, idle = "sshd", None, None, False

    def __init__(self):
        self.bans = []

    def putFailTicket(self, ticket):
        self.bans.append((ticket.getID(), int(ticket.getTime())))


def sshd(jail):
    """Returns fail2ban's filter for sshd, as its package configures it."""
    reader = FilterReader("sshd", "sshd", {}, share_config=None, basedir=root + "/etc/fail2ban")
    reader.setBaseDir(root + "/etc/fail2ban")
    reader.read()
    reader.getOptions(None)
    made = FileFilter(jail, useDns="no")
    made.ignoreSelf = False
    use = {
        "addfailregex": made.addFailRegex,
        "addignoreregex": made.addIgnoreRegex,
        "maxlines": made.setMaxLines,
        "prefregex": lambda value: setattr(made, "prefRegex", value),
    }
    for line in reader.convert():
        for value in line[3] if isinstance(line[3], list) else [line[3]]:
            if line[2] in use:
                use[line[2]](value)
    return made


jail = Jail()
reads = sshd(jail)
for name in files:
    jail.bans.clear()
    reads.failManager = FailManager()
    reads.setMaxRetry(3)
    reads.setFindTime(600)
    if reads.mlfidCache:
        reads.mlfidCache.clear()
    with open(name, encoding="utf-8") as log:
        for line in log:
            MyTime.setTime(calendar.timegm(time.strptime(line[:19], "%Y-%m-%dT%H:%M:%S")))
            reads.performSvc(True)
            reads.processLineAndAdd(line.rstrip("\n"))
    print(name)
    for address, seconds in jail.bans:
        print(address, seconds)
