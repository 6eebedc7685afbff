"""Every mistake is told with its line, its column, its key, and what to write instead."""

from __future__ import annotations

import itertools
import os
import stat
from typing import TYPE_CHECKING

import pytest
import yaml

from mailtrip_checks.definitions import Context, DefinitionError, Definitions, yaml_file

if TYPE_CHECKING:
    from tests.checks.definitions.conftest import Folder

SEND = "send: {via: embedded, from: a@x, to: b@x}"
RECEIVE = "receive: {at: embedded, user: u}"
OK = f"trips:\n  ok: {{{SEND}}}\n"

FILES = {
    "an empty file": (b"", "1:1: is empty; write at least `trips:` with one trip"),
    "only a comment": (b"# nothing\n", "1:1: is empty"),
    "a list": (b"- a\n", "1:1: is not a mapping; write keys such as `servers:` and `trips:`"),
    "one word": (b"trips", "1:1: is not a mapping"),
    "no trips": (b"servers: {a: smtp://h}\n", "1:1: trips: has no trip; write one under `trips:`"),
    "empty trips": (b"trips: {}\n", "1:8: trips: has no trip"),
    "blank trips": (b"trips:\n", "1:1: trips: has no value; indent what belongs to it below it"),
    "latin-1": (b"a: 1\nb: \xe9\n", "2:4: is not UTF-8 text; save the file as UTF-8"),
    "utf-16": ("a: 1".encode("utf-16"), "1:1: is not UTF-8 text"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0", "1:1: is not UTF-8 text"),
    "a control character": (b"a: 1\nb: x\0\n", "2:5: has the control character U+0000; write only text"),
    "a tab": (b"trips:\n\tone: 1\n", "2:1: a tab cannot indent; write spaces"),
    "a tab behind blanks": (b"trips:\n  one:\n  \tsend: 1\n", "3:3: a tab cannot indent; write spaces"),
    "two documents": (b"a: 1\n---\nb: 1\n", "2:1: a second document begins here; write all in one"),
    "an open brace": (b"trips: {a: 1\n", "2:1: is not valid YAML: the brackets or braces opened before are not closed"),
    "an open quote": (b'trips: "a\n', "2:1: is not valid YAML: the file ends inside a value; close its quotes"),
    "an @ in front": (b"trips: @x\n", "1:8: is not valid YAML: put quotes around a value that begins with this"),
    "a * in front": (b"trips: *hunter2\n", "1:8: trips: a value that begins with `*` is an alias, and its anchor"),
    "a second colon": (b"trips: a: b\n", "1:9: is not valid YAML: a second `: ` in one line"),
    "a lost line": (b"trips:\n  a: {}\nb\n", "4:1: is not valid YAML: a key without its `: `"),
    "a list in a mapping": (b"- a\nb: 1\n", "2:1: is not valid YAML: a list goes on with `- `"),
    "a column too few": (
        b"trips:\n   a: {}\n  b: {}\n",
        "3:3: is not valid YAML: keys of one mapping begin in the same",
    ),
    "a bad directive": (b"%YAML x\n---\na: 1\n", "1:7: is not valid YAML from here on; check indents"),
    "a reference in braces": (
        b"trips:\n  a: {receive: {password: ${env:P}}}\n",
        '2:27: put quotes around it: "${\u2026}"; a bare `{` or `}` ends a value',
    ),
    "a reference in brackets": (b"trips: [${env:P}]\n", '1:9: put quotes around it: "${\u2026}"'),
}

KEYS = {
    "a key twice": (f"{OK}  ok: 1\n", "3:3: trips.ok: is there already, in line 2; keep one of the two"),
    "a merge key": (
        f"{OK}  two: {{{SEND}, <<: 1}}\n",
        "3:52: trips.two: `<<` is not part of YAML 1.2; put what trips share",
    ),
    "a YAML tag": (
        f"{OK}  two: {{{SEND}, skip: !a b}}\n",
        "3:58: trips.two.skip: has a YAML tag; leave out the `!\u2026`",
    ),
    "a list as a key": (f"{OK}  [a]: 1\n", "3:3: trips: has a key that is no plain text"),
    "an unknown section": (f"{OK}server: {{}}\n", "3:1: server: is no key that there is; did you mean `servers`?"),
    "an unlike section": (
        f"{OK}zzz: {{}}\n",
        "3:1: zzz: is no key that there is; there are defaults, environments, servers, trips",
    ),
    "a trip in the first column": (
        f"{OK}two:\n  {SEND}\n",
        "3:1: two: is no key that there is; if it is a trip, indent it below `trips:`",
    ),
    "a trip whose keys stand too far left": (
        f"{OK}  two:\n",
        "3:3: trips.two: has no value; indent what belongs to it below it",
    ),
    "a trip that is null": (f"{OK}  two: null\n", "3:3: trips.two: is no mapping; write one"),
    "a trip that is a word": (f"{OK}  two: x\n", "3:8: trips.two: is no mapping; write one, as in `{key: value}`"),
    "an empty trip": (
        f"{OK}  two: {{}}\n",
        "3:3: trips.two: has neither `send` nor `receive`; write at least one of the two",
    ),
    "a name with ::": (f'{OK}  "a::b": {{{SEND}}}\n', "3:3: trips: cannot be a trip's name; leave out `::`"),
    "a name with []": (f'{OK}  "a[b]": {{{SEND}}}\n', "3:3: trips: cannot be a trip's name"),
    "a name with a backslash": (f"{OK}  a\\b: {{{SEND}}}\n", "3:3: trips: cannot be a trip's name"),
    "a reserved server": (f"servers: {{mx: smtp://h}}\n{OK}", "1:11: servers.mx: is a reserved name; use another"),
    "a server with a colon": (f'servers: {{"a:b": smtp://h}}\n{OK}', "1:11: servers: cannot be a server's name"),
    "a server as a list": (f"servers: {{a: [x]}}\n{OK}", "1:14: servers.a: is a list; write a mapping"),
    "a server as null": (f"servers: {{a: null}}\n{OK}", "1:11: servers.a: is null; write a mapping"),
    "servers as a list": (f"servers: [a]\n{OK}", "1:10: servers: is a list; write a mapping, as in `{key: value}`"),
    "a server as a word": (f"servers: {{a: b}}\n{OK}", "1:14: servers.a: is no server; write a URL such as"),
    "an unused server's key": (
        f"servers: {{a: {{hots: h}}}}\n{OK}",
        "1:15: servers.a.hots: is no key that there is; did",
    ),
    "an environment's key": (
        f"environments: {{new: {{defaults: {{timeuot: 1s}}}}}}\n{OK}",
        "1:33: environments.new.defaults.timeuot: is no key that there is; did you mean `timeout`?",
    ),
    "an environment's server": (
        f"environments: {{new: {{servers: {{embedded: smtp://h}}}}}}\n{OK}",
        "1:32: servers.embedded: is a reserved name",
    ),
    "a default": (f"defaults: {{timeout: 5}}\n{OK}", "1:21: defaults.timeout: `5` is no duration; write 5s"),
}

TRIP_KEYS = {
    "via": "belongs under `send`; write it there",
    "also": "belongs under `receive`; write it there",
    "outcome": "belongs under `expect`; write it there",
    "zzzz": "is no key that there is; there are description, expect",
}

# What follows `  one: ` in a file's second line, so that its first column is 8.
TRIPS = {
    "no sender": ("{send: {via: embedded, to: b@x}}", "2:15: send.from: is missing; write `from: probe@example.org`"),
    "no recipient": ("{send: {via: embedded, from: b@x}}", "2:15: send.to: is missing; write `to: probe@example.com`"),
    "no at": (f"{{{SEND}, receive: {{}}}}", "2:61: receive.at: is missing; write a server's name or URL"),
    "an unknown server": (
        "{send: {via: ot, from: a@x, to: b@x}}",
        "2:21: send.via: `ot` is no server; there is embedded",
    ),
    "a server nearly": (
        "{send: {via: embeded, from: a@x, to: b@x}}",
        "2:21: send.via: `embeded` is no server; did you mean `embedded`?",
    ),
    "a host that is no server": (
        "{send: {via: mail.example.com, from: a@x, to: b@x}}",
        "2:21: send.via: `mail.example.com` is no server; there is embedded, or write smtp://mail.example.com",
    ),
    "a mailbox's host that is no server": (
        "{receive: {at: imap.example.com, user: u}}",
        "2:23: receive.at: `imap.example.com` is no server; there is embedded, or write imap://imap.example.com",
    ),
    "a maildrop's host that is no server": (
        "{receive: {at: pop.example.com, user: u}}",
        "2:23: receive.at: `pop.example.com` is no server; there is embedded, or write pop3://pop.example.com",
    ),
    "a provider by a name of its own": (
        "{send: {via: {provider: hotmail}, from: a@x, to: b@x}}",
        "2:32: send.via.provider: `hotmail` is not one of gmail, outlook; did you mean `outlook`?",
    ),
    "a provider by another name": (
        "{send: {via: {provider: GoogleMail}, from: a@x, to: b@x}}",
        "2:32: send.via.provider: `GoogleMail` is not one of gmail, outlook; did you mean `gmail`?",
    ),
    "an attachment as a word": (
        "{send: {via: embedded, from: a@x, to: b@x, attachments: x.pdf}}",
        "2:64: send.attachments: is one value; write [{path: x.pdf}]",
    ),
    "an attachment as a word in a list": (
        "{send: {via: embedded, from: a@x, to: b@x, attachments: [x.pdf]}}",
        "2:65: send.attachments.1: is one value; write {path: x.pdf}",
    ),
    "an attachment with blanks in its name": (
        "{send: {via: embedded, from: a@x, to: b@x, attachments: [my x.pdf]}}",
        "2:65: send.attachments.1: is one value; write {path: FILE}",
    ),
    "an attachment outside a list": (
        "{send: {via: embedded, from: a@x, to: b@x, attachments: {size: 1B}}}",
        "2:64: send.attachments: is a mapping; write [{path: FILE}]",
    ),
    "repeat as a list": (f"{{{SEND}, repeat: [3]}}", "2:60: repeat: is a list; write a number, as in `repeat: 3`"),
    "a percentile of no channel": (
        f"{{{SEND}, expect: {{p95: 2s}}}}",
        "2:61: expect.p95: belongs under a channel; write it there, as in `total: {p95: 2s}`",
    ),
    "a percentile that warns": (
        f"{{{SEND}, repeat: 3, expect: {{smtp: {{p99: {{warn: 1ms}}}}}}}}",
        "2:84: expect.smtp.p99: is a mapping; write the one duration past which the trip fails",
    ),
    "a list as via": (
        "{send: {via: [a], from: a@x, to: b@x}}",
        "2:21: send.via: is a list; write one server name, URL",
    ),
    "an unknown scheme": (
        '{send: {via: "smpt://h", from: a@x, to: b@x}}',
        "2:21: send.via: has a scheme that is not known; did you mean `smtp`?",
    ),
    "a foreign scheme": (
        '{send: {via: "https://h", from: a@x, to: b@x}}',
        "2:21: send.via: has a scheme that is not known; did you mean `smtps`?",
    ),
    "a path in a URL": (
        '{receive: {at: "imaps://u:p@h/INBOX"}}',
        "2:23: receive.at: is no server's URL; write smtp://",
    ),
    "a word as a port": ('{receive: {at: "imaps://u:p@h:x"}}', "2:23: receive.at: is no server's URL; write smtp://"),
    "a port too high": (
        '{receive: {at: "imaps://u:p@h:99999"}}',
        "2:23: receive.at.port: it is no whole number from 1",
    ),
    "a URL without host": ('{receive: {at: "imaps://u:p@"}}', "2:23: receive.at.host: it is no host; write a name or"),
    "a bare %": (
        '{receive: {at: "imaps://u:p%zz@h"}}',
        "2:23: receive.at: has a bare % in user or password; write it as",
    ),
    "percent-encoded latin-1": (
        '{receive: {at: "imaps://u:p%E9@h"}}',
        "2:23: receive.at: has user or password percent-",
    ),
    "an empty password": ('{receive: {at: "imaps://u:@h"}}', "2:23: receive.at.password: is empty; set the variable"),
    "smtp under at": (
        '{receive: {at: "smtp://h"}}',
        "2:23: receive.at: speaks smtp, but `receive.at` needs imap or pop3",
    ),
    "imap under via": (
        '{send: {via: "imap://h", from: a@x, to: b@x}}',
        "2:21: send.via: speaks imap, but `send.via` needs smtp; name another server",
    ),
    "embedded of no kind": (
        '{receive: {at: "embedded:x"}}',
        "2:23: receive.at: is no in-process server; write embedded",
    ),
    "no protocol": (
        "{receive: {at: {host: h, password: p, user: u}}}",
        "2:23: receive.at: has no protocol; write `protocol: imap` or `protocol: pop3`",
    ),
    "no host": ("{send: {via: {port: 25}, from: a@x, to: b@x}}", "2:21: send.via: has no host; write `host: mail"),
    "a scheme as protocol": (
        "{receive: {at: {protocol: imaps, host: h, password: p, user: u}}}",
        "2:34: receive.at.protocol: `imaps` is not one of smtp, sendmail, imap, pop3, listen; did you mean `imap`?",
    ),
    "a host with a port": (
        '{send: {via: {host: "h:25"}, from: a@x, to: b@x}}',
        "2:28: send.via.host: `h:25` is no host",
    ),
    "a login in a host": (
        '{send: {via: {host: "u:Gehe1mXY@h"}, from: a@x, to: b@x}}',
        "2:28: send.via.host: is no host",
    ),
    "a TLS port alone": (
        "{send: {via: {host: h, port: 465}, from: a@x, to: b@x}}",
        "2:37: send.via.port: 465 is for TLS from the first byte; write `security: tls` too",
    ),
    "oauth2 without a source": (
        "{receive: {at: embedded, user: u, oauth2: {}}}",
        "2:42: receive.oauth2: names no source of a token; write",
    ),
    "oauth2 with two sources": (
        "{receive: {at: embedded, user: u, oauth2: {token: t, token_command: [x]}}}",
        "2:61: receive.oauth2.token_command: stands beside `token`, but there is one source",
    ),
    "oauth2 with a token and a scope": (
        "{receive: {at: embedded, user: u, oauth2: {token: t, scope: mail}}}",
        "2:61: receive.oauth2.scope: says something only beside `token_url`; leave it out",
    ),
    "oauth2 with an address that is no URL": (
        "{receive: {at: embedded, user: u, oauth2: {token_url: login.example.com, client_id: c, refresh_token: r}}}",
        "2:62: receive.oauth2.token_url: is no token endpoint; write a URL such as https://",
    ),
    "oauth2 with a password in its address": (
        "{receive: {at: embedded, user: u, oauth2: {token_url: 'https://a:b@c', client_id: c, refresh_token: r}}}",
        "2:62: receive.oauth2.token_url: is no token endpoint; write a URL such as https://",
    ),
    "oauth2 in plain text": (
        "{receive: {at: embedded, user: u, oauth2: {token_url: 'http://l.example', client_id: c, refresh_token: r}}}",
        "2:62: receive.oauth2.token_url: would send secrets in plain text; write https://",
    ),
    "oauth2 without a client": (
        "{receive: {at: embedded, user: u, oauth2: {token_url: 'https://login.example', refresh_token: r}}}",
        "2:50: receive.oauth2: has no `client_id`, which every token endpoint wants; write it",
    ),
    "oauth2 without a grant": (
        "{receive: {at: embedded, user: u, oauth2: {token_url: 'https://login.example', client_id: c}}}",
        "2:50: receive.oauth2: has nothing that grants a token; write `refresh_token`, or `client_secret`",
    ),
    "oauth2 with a command that is a text": (
        "{receive: {at: embedded, user: u, oauth2: {token_command: get token}}}",
        "2:66: receive.oauth2.token_command: is no command; write its words as a list",
    ),
    "oauth2 with a command without a program": (
        "{receive: {at: embedded, user: u, oauth2: {token_command: ['']}}}",
        "2:66: receive.oauth2.token_command: has no program in front",
    ),
    "auth oauth2 without oauth2": (
        "{receive: {at: 'imaps://h', user: u, auth: oauth2}}",
        "2:18: receive: has `auth: oauth2` but no token; write `oauth2:",
    ),
    "oauth2 and a password": (
        "{receive: {at: 'imaps://h', user: u, oauth2: {token: t}, password: p}}",
        "2:45: receive.oauth2: stands beside `password`; say by `auth: oauth2` or `auth: password`",
    ),
    "auth of another protocol": (
        "{receive: {at: embedded, user: u, auth: apop}}",
        "2:48: receive.auth: apop is no way to log in to imap; write none, password, plain or oauth2",
    ),
    "a server's auth of another": (
        "{receive: {at: {protocol: imap, host: h, auth: login, user: u, password: p}}}",
        "2:55: receive.at.auth: login is no way to log in to imap; write none, password, plain or oauth2",
    ),
    "no password": (
        '{receive: {at: "imaps://u@h"}}',
        '2:18: receive: has no password; write `password: "${env:NAME}"`',
    ),
    "auth without password": (
        '{send: {via: "smtp://h", from: a@x, to: b@x, auth: plain}}',
        "2:15: send: has no password; write `password:",
    ),
    "no user": (
        '{receive: {at: "imaps://:p@h"}}',
        "2:18: receive: has no user, and there is no `send.to` to take it from",
    ),
    "two kinds of trust": (
        "{send: {via: {host: h, verify: false, fingerprint: x}, from: a@x, to: b@x}}",
        "2:59: send.via.fingerprint: `x` is no fingerprint; write sha256: and 64 hexadecimal digits",
    ),
    "trust twice": (
        f"{{send: {{via: {{host: h, verify: false, fingerprint: sha256:{'0' * 64}}}, from: a@x, to: b@x}}}}",
        "2:39: send.via.verify: stands beside `fingerprint`, but only one of the two can decide; keep one",
    ),
    "a CA that is not there": (
        "{send: {via: {host: h, ca: no.pem}, from: a@x, to: b@x}}",
        "2:35: send.via.ca: `no.pem` is no file; write a path relative to a.trip.yaml",
    ),
    "a rate": (
        "{send: {via: {host: h, rate: 20}, from: a@x, to: b@x}}",
        "2:37: send.via.rate: `20` is no rate; write it",
    ),
    "connections": (
        "{send: {via: {host: h, connections: 4}, from: a@x, to: b@x}}",
        "2:44: send.via.connections: is one value; write a mapping",
    ),
    "no connection": (
        "{send: {via: {host: h, connections: {user: 0}}, from: a@x, to: b@x}}",
        "2:51: send.via.connections.user: `0` is no whole number from 1 to 100000; write one",
    ),
    "neither true nor false": (
        f"{{{SEND}, fresh: yes}}",
        "2:59: fresh: `yes` is neither true nor false; write one of the",
    ),
    "a priority": (f"{{{SEND}, priority: 6}}", "2:62: priority: `6` is no whole number from 1 to 5; write one"),
    "a duration": (
        f"{{{SEND}, timeout: 1 s}}",
        "2:61: timeout: `1 s` is no duration; write it as 250ms, 30s, 2m30s or 1h",
    ),
    "a number as a duration": (f"{{{SEND}, timeout: 30}}", "2:61: timeout: `30` is no duration; write 30s"),
    "no time": (f"{{{SEND}, timeout: 0s}}", "2:61: timeout: `0s` would never wait; write 100ms or more"),
    "below zero": (f"{{{SEND}, timeout: -1s}}", "2:61: timeout: `-1s` is no duration"),
    "too long": (f"{{{SEND}, timeout: 721h}}", "2:61: timeout: `721h` is longer than 30 days; write less"),
    "an SMTP leg too long": (
        "{send: {via: embedded, from: a@x, to: b@x, timeout: 901s}}",
        "2:60: send.timeout: `901s` is more than an SMTP leg may take; write 900s or less",
    ),
    "a tag": (f"{{{SEND}, tags: [Prod]}}", "2:59: tags.1: `Prod` is no tag; write lower-case letters, digits and -"),
    "a tag that is a word of -m": (f"{{{SEND}, tags: [a, not]}}", "2:62: tags.2: `not` is no tag"),
    "a tag that is a mark": (
        f"{{{SEND}, tags: [skip]}}",
        "2:59: tags: `skip` is a mark that pytest or a plugin defines",
    ),
    "tags in one": (f"{{{SEND}, tags: prod}}", "2:58: tags: is one value; write a list, as in `[a, b]`"),
    "a tag that is null": (f"{{{SEND}, tags: [null]}}", "2:58: tags.1: is null; write one value"),
    "skip without a reason": (f"{{{SEND}, skip: true}}", "2:58: skip: `true` tells nobody why; write the reason"),
    "an empty reason": (f'{{{SEND}, xfail: ""}}', "2:59: xfail: is empty; write a value"),
    "an address with a name": (
        '{send: {via: embedded, from: "A <a@x>", to: b@x}}',
        "2:37: send.from: `A <a@x>` is no mail address; write it as name@example.com",
    ),
    "a line break in an address": (
        '{send: {via: embedded, from: "a@x\\nRCPT", to: b@x}}',
        "2:37: send.from: `a@x\ufffdRCPT` is no mail address",
    ),
    "one of several addresses": (
        "{send: {via: embedded, from: a@x, to: [b@x, c]}}",
        "2:52: send.to.2: `c` is no mail addr",
    ),
    "no addresses": (
        "{send: {via: embedded, from: a@x, to: []}}",
        "2:46: send.to: is empty; write at least one address",
    ),
    "a helo": (
        "{send: {via: embedded, from: a@x, to: b@x, helo: a b}}",
        "2:57: send.helo: `a b` is no HELO name; write",
    ),
    "a line break in the subject": (
        '{send: {via: embedded, from: a@x, to: b@x, subject: "a\\nb"}}',
        "2:60: send.subject: holds a line break or control character; write one line",
    ),
    "a header of ours": (
        "{send: {via: embedded, from: a@x, to: b@x, headers: {Message-Id: x}}}",
        "2:61: send.headers.Message-Id: cannot be set here: mailtrip needs it to know its mail",
    ),
    "no header": (
        "{send: {via: embedded, from: a@x, to: b@x, headers: {X A: x}}}",
        "2:61: send.headers.X A: is no header's name; write printable ASCII",
    ),
    "a line break in a header": (
        '{send: {via: embedded, from: a@x, to: b@x, headers: {X-A: "x\\ny"}}}',
        "2:66: send.headers.X-A: holds a line break or control character",
    ),
    "no attachment": (
        "{send: {via: embedded, from: a@x, to: b@x, attachments: [{name: a}]}}",
        "2:65: send.attachments.1: needs `path: FILE` or `size: 5MB`; write one",
    ),
    "two attachments in one": (
        "{send: {via: embedded, from: a@x, to: b@x, attachments: [{size: 1B, path: a.trip.yaml}]}}",
        "2:65: send.attachments.1: has both `path` and `size`; keep one",
    ),
    "a size": (
        "{send: {via: embedded, from: a@x, to: b@x, attachments: [{size: 5}]}}",
        "2:72: send.attachments.1.size: `5` is no size; write it as 100kB, 5MB or 1MiB",
    ),
    "a size too large": (
        "{send: {via: embedded, from: a@x, to: b@x, attachments: [{size: 5000MB}]}}",
        "2:72: send.attachments.1.size: `5000MB` is not between 1B and 1000MB",
    ),
    "an attachment's path": (
        '{send: {via: embedded, from: a@x, to: b@x, attachments: [{path: ""}]}}',
        "2:72: send.attachments.1.path: names no file; write a path",
    ),
    "raw": (
        "{send: {via: embedded, from: a@x, to: b@x, raw: x}}",
        "2:51: send.raw: is not supported yet; leave it out",
    ),
    "until and receive": (
        f"{{send: {{via: embedded, from: a@x, to: b@x, until: rcpt}}, {RECEIVE}}}",
        "2:58: send.until: sends nothing that could arrive; leave `receive` out",
    ),
    "many mailboxes": (
        f"{{{SEND}, receive: [{{at: embedded}}]}}",
        "2:61: receive: a list of mailboxes is not supported yet",
    ),
    "receive as a word": (f"{{{SEND}, receive: embedded}}", "2:61: receive: is one value; write a mapping"),
    "the sender's mailbox": (
        f"{{{SEND}, receive: {{at: embedded, mailbox: A@x}}}}",
        "2:85: receive.mailbox: is the sender's address; name the folder of the recipient",
    ),
    "no login for what is sent": (
        f"{{{SEND}, receive: {{at: embedded, auth: none}}}}",
        "2:82: receive.auth: none cannot look for the mail that `send` sends; give a password",
    ),
    "a POP3 folder": (
        '{receive: {at: "embedded:pop3", user: u, mailbox: Junk}}',
        "2:58: receive.mailbox: POP3 has one maildrop and no folders; leave it out, or use IMAP",
    ),
    "a POP3 move": (
        '{receive: {at: "embedded:pop3", user: u, delete: {move_to: Junk}}}',
        "2:57: receive.delete: POP3 cannot move a mail; write true or false, or use IMAP",
    ),
    "a POP3 search": (
        '{receive: {at: "embedded:pop3", user: u, search: server}}',
        "2:57: receive.search: POP3 has no SEARCH; write new or all, or use IMAP",
    ),
    "a delete of no kind": (
        "{receive: {at: embedded, user: u, delete: {to: x}}}",
        "2:50: receive.delete: is none of its forms; write true, false or {move_to: FOLDER}",
    ),
    "a folder that is a mark": (
        "{receive: {at: embedded, user: u, delete: {move_to: \\Junk}}}",
        "2:50: receive.delete: names no folder; write its name, or `\\Trash` for the one so marked",
    ),
    "an outcome that follows": (
        f"{{{SEND}, expect: {{outcome: accepted}}}}",
        "2:70: expect.outcome: `accepted` follows by itself where a leg is left out; leave this key out",
    ),
    "a later outcome": (
        f"{{{SEND}, expect: {{outcome: bounced}}}}",
        "2:70: expect.outcome: `bounced` is not supported yet",
    ),
    "a delivery without receive": (
        f"{{{SEND}, expect: {{outcome: delivered}}}}",
        "2:70: expect.outcome: cannot be delivered without `receive`; leave it out, or add `receive`",
    ),
    "a rejection without send": (
        f"{{{RECEIVE}, expect: {{outcome: rejected}}}}",
        "2:61: expect.outcome: cannot be rejected without `send`; leave it out, or add `send`",
    ),
    "a reply to nothing": (
        f"{{{SEND}, expect: {{reply: 550}}}}",
        "2:68: expect.reply: stands without a rejection; write",
    ),
    "a reply that defers": (
        f"{{{SEND}, expect: {{outcome: rejected, reply: 450}}}}",
        "2:87: expect.reply: `450` is no reply that rejects; write 550, 5.7.1 or /regex/",
    ),
    "a reply that is no expression": (
        f"{{{SEND}, expect: {{outcome: rejected, reply: /(/}}}}",
        "2:87: expect.reply: `/(/` is no regular expression; check its brackets",
    ),
    "a limit without its leg": (
        f"{{{SEND}, expect: {{total: 3s}}}}",
        "2:68: expect.total: is not measured without `receive`; leave it out, or add `receive`",
    ),
    "a limit without sending": (
        f"{{{RECEIVE}, expect: {{smtp: 3s}}}}",
        "2:58: expect.smtp: is not measured without `send`; leave it out, or add `send`",
    ),
    "an empty limit": (f"{{{SEND}, expect: {{smtp: {{}}}}}}", "2:67: expect.smtp: limits nothing; write a duration"),
    "a late warning": (
        f"{{{SEND}, expect: {{smtp: {{warn: 3s, fail: 2s}}}}}}",
        "2:74: expect.smtp.warn: is not below `fail`, so it would never warn; write less",
    ),
    "a percentile": (f"{{{SEND}, expect: {{smtp: {{p95: 3s}}}}}}", "2:68: expect.smtp.p95: is a percentile of one run"),
    "a later limit": (f"{{{SEND}, expect: {{hops: 3}}}}", "2:61: expect.hops: is not supported yet; leave it out"),
    "an open reference": (f'{{{SEND}, skip: "${{env:A"}}', "2:58: skip: has a `${` without its `}`; write ${env:NAME}"),
    "a reference of no kind": (
        f'{{{SEND}, skip: "${{A}}"}}',
        "2:58: skip: has a `${\u2026}` of no kind that there is; write",
    ),
    "a comma in braces": (
        "{receive: {at: embedded, user: u, password: a,bcd}}",
        "2:54: trips.one.receive: has a text without `: ` where a key is due; put quotes around a value with a comma",
    ),
    "a mapping as a password": (
        "{receive: {at: embedded, user: u, password: {a: b}}}",
        "2:52: receive.password: is a mapping; write one value, in quotes if it holds any of",
    ),
    "a line break in a password": (
        '{receive: {at: embedded, user: u, password: "a\\nb"}}',
        "2:52: receive.password: holds a line break or NUL, which no login can carry; give one line",
    ),
}


@pytest.mark.parametrize(("text", "told"), FILES.values(), ids=FILES.keys())
def test_a_file_that_is_none_is_told(folder: Folder, text: bytes, told: str) -> None:
    assert folder.complaint(text).startswith(f"a.trip.yaml:{told}")


@pytest.mark.parametrize(("text", "told"), KEYS.values(), ids=KEYS.keys())
def test_a_mistake_in_a_file_is_told(folder: Folder, text: str, told: str) -> None:
    assert folder.complaint(text).startswith(f"a.trip.yaml:{told}")


@pytest.mark.parametrize(("trip", "told"), TRIPS.values(), ids=TRIPS.keys())
def test_a_mistake_in_a_trip_is_told(folder: Folder, trip: str, told: str) -> None:
    folder.reserved_tags = frozenset({"skip"})
    assert folder.complaint(f"trips:\n  one: {trip}\n").startswith(f"a.trip.yaml:{told}")


@pytest.mark.parametrize(("key", "told"), TRIP_KEYS.items())
def test_a_key_in_the_wrong_place_is_sent_to_its_own(folder: Folder, key: str, told: str) -> None:
    complaint = folder.complaint(f"trips:\n  one:\n    {SEND}\n    {key}: x\n")
    assert complaint.startswith(f"a.trip.yaml:4:5: {key}: {told}")


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order(folder: Folder) -> None:
    mistakes = folder.mistakes("""\
servers:
  out: {host: h, pasword: x}
defaults: {timeout: 1}
trips:
  one:
    send: {via: ot, from: a, to: b@x, subjct: x}
    receive: {at: embedded, interval: 0s}
    expect: {total: x}
  two: {}
  three:
    matrix: {a: []}
    send: {via: out, priority: 1}
""")
    places = [(mistake.line, mistake.column, mistake.key) for mistake in mistakes]
    assert places == [
        (2, 18, "servers.out.pasword"),
        (3, 21, "defaults.timeout"),
        (6, 17, "send.via"),
        (6, 27, "send.from"),
        (6, 39, "send.subjct"),
        (7, 39, "receive.interval"),
        (8, 21, "expect.total.fail"),
        (9, 3, "trips.two"),
        (11, 17, "matrix.a"),
        (12, 22, "send.priority"),
    ]


def test_a_wrong_value_is_not_also_called_missing(folder: Folder) -> None:
    assert folder.complaint(f"trips: {{one: {{{SEND.replace('a@x', 'a')}}}}}").count("send.from") == 1


def test_an_inherited_limit_holds_only_where_it_can(folder: Folder) -> None:
    one, two = folder.read(
        "defaults: {expect: {total: 30s, smtp: 3s}}\n"
        f"trips: {{one: {{{SEND}}}, two: {{{RECEIVE}, expect: {{mailbox: 1s}}}}}}"
    )
    assert [limit.channel for limit in one.expect.limits] == ["smtp"]
    assert [limit.channel for limit in two.expect.limits] == ["mailbox"]


def test_a_missing_file_is_told(folder: Folder) -> None:
    folder.write("a.trip.yaml", "")
    (folder.root / "a.trip.yaml").unlink()
    (folder.root / "a.trip.yaml").mkdir()
    for name in ("a.trip.yaml", "b.trip.yaml"):
        with pytest.raises(DefinitionError, match=r"1:1: cannot be read \(.*\); check that it is there"):
            Definitions(Context(None, {}, {}, folder.root)).trips(folder.root / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_told(folder: Folder) -> None:
    path = folder.write("mailtrip.yaml", "servers: {}")
    path.chmod(stat.S_IWUSR)
    assert "mailtrip.yaml:1:1: cannot be read (Permission denied)" in folder.complaint(OK)


def test_deep_nesting_and_multiplying_aliases_are_refused(folder: Folder) -> None:
    assert "is nested more than 20 deep" in str(folder.mistakes("trips: " + "[" * 30 + "]" * 30))
    assert "is an alias, and its anchor" in str(folder.mistakes("trips: &a [*a]"))
    assert "is nested more than 20 deep" in folder.complaint("[" * 100_000)
    letters = "abcdefgh"
    levels = [f"&{new} [{', '.join([f'*{old}'] * 20)}]" for old, new in itertools.pairwise(letters)]
    mistakes = folder.mistakes(f"trips: [&a [x], {', '.join(levels)}]")
    assert "repeats too many values; do not let aliases repeat aliases" in str(mistakes)


@pytest.mark.parametrize("text", [text for text, _ in FILES.values()], ids=FILES.keys())
def test_without_libyaml_a_broken_file_is_told_too(
    folder: Folder, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_file, "_LOADER", yaml.BaseLoader)
    assert folder.mistakes(text)


def test_a_key_that_there_is_not_is_told_though_its_value_is_not_filled_in(folder: Folder) -> None:
    told = folder.complaint(f"servers: {{unused: {{protocol: imap, hots: '${{env:NO}}'}}}}\n{OK}")
    assert told == "a.trip.yaml:1:36: servers.unused.hots: is no key that there is; did you mean `host`?"


def test_a_server_may_be_named_as_a_key_and_its_mistakes_are_those_of_a_server(folder: Folder) -> None:
    told = folder.complaint(f"servers: {{connections: {{protocol: imap, hots: h}}}}\n{OK}")
    assert told == "a.trip.yaml:1:41: servers.connections.hots: is no key that there is; did you mean `host`?"


def test_all_mistakes_of_a_list_leave_the_keys_beside_it_as_they_are(folder: Folder) -> None:
    found = folder.mistakes("trips: {one: {send: {via: embedded, to: [a, b]}}}")
    assert [one.key for one in found] == ["send.from", "send.to.1", "send.to.2"]
