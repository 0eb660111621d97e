"""Tests revoke.py against a fake server, for answers that quash does not give on demand."""
import concurrent.futures
import pathlib
import sys
import unittest

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from quash import RevokeRequest, RevokeResponse, connect_plaintext, messages
from revoke import RevokeError, revoke


class RevokeTest(unittest.TestCase):
    def connect(self, port):
        channel = connect_plaintext(f"127.0.0.1:{port}")
        self.addCleanup(channel.close)
        return channel

    def serve(self, answer):
        """Starts a server that answers calls of Revoke with answer. Returns a channel to it."""
        method = grpc.unary_unary_rpc_method_handler(
            answer, RevokeRequest.FromString, RevokeResponse.SerializeToString
        )
        server = grpc.server(concurrent.futures.ThreadPoolExecutor())
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("quash.v1.TokenService", {"Revoke": method})]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(lambda: server.stop(None).wait())
        return self.connect(port)

    def failure(self, channel, **options):
        with self.assertRaises(RevokeError) as raised:
            revoke(channel, RevokeRequest(token="a.b.c"), **options)
        return raised.exception.failure

    def test_the_deadline_is_the_timeout_and_5_s(self):
        seconds = []

        def answer(request, context):
            seconds.append(context.time_remaining())
            return RevokeResponse()

        channel = self.serve(answer)
        revoke(channel, RevokeRequest())
        revoke(channel, RevokeRequest(timeout={"seconds": 60}))
        self.assertAlmostEqual(seconds[0], 35, delta=4)
        self.assertAlmostEqual(seconds[1], 65, delta=4)

    def test_no_server(self):
        failure = self.failure(self.connect(1), seconds=0.05)
        self.assertEqual(
            (failure.code, failure.reason, failure.state, failure.correlation_id),
            ("DEADLINE_EXCEEDED", "", "UNKNOWN", ""),
        )

    def test_an_error_without_details_is_retried_with_allow_invalid(self):
        requests = []

        def answer(request, context):
            requests.append(request)
            context.abort(grpc.StatusCode.UNAVAILABLE, "lost")

        failure = self.failure(self.serve(answer))
        self.assertEqual([request.allow_invalid for request in requests], [False, True, True])
        self.assertEqual((failure.code, failure.message, failure.reason), ("UNAVAILABLE", "lost", ""))
        self.assertEqual((failure.state, failure.retryable, failure.retry_delay), ("UNKNOWN", True, 0))

    def test_details_of_a_newer_quash(self):
        status = messages["google.rpc.Status"]()
        status.details.add(type_url="type.googleapis.com/quash.v2.Other", value=b"\xff")
        failure = messages["quash.v1.RevokeFailure"](state=99)
        status.details.add(type_url="type.googleapis.com/quash.v1.RevokeFailure", value=failure.SerializeToString())

        def answer(request, context):
            context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
            context.abort(grpc.StatusCode.ABORTED, "new")

        failure = self.failure(self.serve(answer))
        self.assertEqual((failure.code, failure.state, failure.retryable), ("ABORTED", "UNKNOWN", False))


if __name__ == "__main__":
    unittest.main()
