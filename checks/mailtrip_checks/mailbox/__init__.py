"""Mailboxes: one watcher each, whoever waits there."""
