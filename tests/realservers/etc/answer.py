"""Postfix's pipe gives it each mail for an address that answers: `answer.py PORT SENDER ADDRESS`, mail on stdin."""

import smtplib
import sys
from email import message_from_binary_file
from email.message import EmailMessage
from email.policy import SMTP

port, sender, address = sys.argv[1:]
asked = message_from_binary_file(sys.stdin.buffer, policy=SMTP)
if sender and asked.get("Auto-Submitted", "no") == "no":
    answer = EmailMessage(policy=SMTP)
    answer["From"], answer["To"], answer["Subject"] = address, sender, f"Re: {asked['Subject']}"
    answer["In-Reply-To"], answer["Auto-Submitted"] = asked["Message-ID"], "auto-replied"
    answer.set_content("Thank you for your mail.")
    with smtplib.SMTP("127.0.0.1", int(port), timeout=30) as client:
        client.send_message(answer, from_addr="", to_addrs=[sender])
