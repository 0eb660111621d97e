"""Revokes a token, which it reads from standard input or from a file, and prints the outcome:

  python3 main.py [--addr HOST:PORT] [--token-file FILE] [--all-regions] [--timeout SECONDS]
                  [--allow-invalid] [--plaintext | --ca-file FILE [--cert-file FILE --key-file FILE]]

The exit status is 0 if the token is dead, 1 if it is not or if that is unknown, and 2 if the
command line is invalid. A token is never an argument, because every user of the machine can
read those.
"""
import argparse
import pathlib
import re
import sys

import grpc

from quash import RevokeRequest, connect, connect_plaintext, enum_name
from revoke import RevokeError, revoke


class Parser(argparse.ArgumentParser):
    def error(self, message):
        # Do not print message: it quotes the argument, which may be a token.
        self.exit(2, "the command line is invalid; see the comment at the top of main.py\n")


def seconds(text):
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError("not a number of seconds")
    return int(text)


def read_flags():
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--addr", default="127.0.0.1:9090")
    parser.add_argument("--token-file", type=pathlib.Path)
    parser.add_argument("--all-regions", action="store_true")
    parser.add_argument("--timeout", type=seconds, default=30)
    parser.add_argument("--allow-invalid", action="store_true")
    parser.add_argument("--plaintext", action="store_true")
    for name in ("--ca-file", "--key-file", "--cert-file"):
        parser.add_argument(name, type=pathlib.Path)
    return parser.parse_args()


def open_channel(flags):
    if flags.plaintext:
        return connect_plaintext(flags.addr)
    pems = [path and path.read_bytes() for path in (flags.ca_file, flags.key_file, flags.cert_file)]
    return connect(flags.addr, grpc.ssl_channel_credentials(*pems))


def read_token(path):
    data = path.read_bytes() if path else sys.stdin.buffer.read()
    return data.decode("utf-8", "replace").strip()


# The answers to "is the token dead?".
STATES = {
    "NOT_APPLIED": "not by this call",
    "IN_PROGRESS": "soon: SlashID accepted the revocation",
    "UNKNOWN": "unknown",
}


def when_to_retry(failure):
    if failure.state == "IN_PROGRESS":
        return "not needed: SlashID continues"
    how = " with --allow-invalid, which succeeds either way" if failure.state == "UNKNOWN" else ""
    if failure.retryable:
        return f"in {failure.retry_delay:.10g} s{how}"
    return f"now{how}" if how else "after the cause is fixed"


def report(failure):
    lines = [
        ("dead?", f"{STATES[failure.state]} ({failure.state})"),
        ("reason", f"{failure.reason or failure.code}: {failure.message}"),
        *(("violation", f"{field} {description}") for field, description in failure.violations),
        ("retry", when_to_retry(failure)),
        ("correlation id", failure.correlation_id or "none"),
    ]
    for name, value in lines:
        print(f"{name:16}{value}", file=sys.stderr)


def main():
    flags = read_flags()
    with open_channel(flags) as channel:
        request = RevokeRequest(
            token=read_token(flags.token_file),
            consistency="CONSISTENCY_ALL_REGIONS" if flags.all_regions else "CONSISTENCY_LOCAL_REGION",
            timeout={"seconds": flags.timeout},
            allow_invalid=flags.allow_invalid,
        )
        try:
            response = revoke(channel, request)
        except RevokeError as error:
            report(error.failure)
            return 1
        print(f"{'dead?':16}yes ({enum_name(response, 'outcome')})")
        print(f"{'correlation id':16}{response.correlation_id}")
        return 0


if __name__ == "__main__":
    sys.exit(main())
