"""The messages of quash.v1.TokenService, and a channel with options for revocations."""
import json
import pathlib

import grpc
from google.protobuf import descriptor_pb2, json_format, message_factory

# messages maps full names to the classes of quash's messages and of the details of its errors.
# quash.json is generated from the protos: copy it together with this file.
_text = pathlib.Path(__file__).with_name("quash.json").read_text("utf-8")
messages = message_factory.GetMessages(json_format.Parse(_text, descriptor_pb2.FileDescriptorSet()).file)

# Do not print or log a RevokeRequest: Python prints its token.
RevokeRequest = messages["quash.v1.RevokeRequest"]
RevokeResponse = messages["quash.v1.RevokeResponse"]

_service_config = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": "quash.v1.TokenService"},
}
_options = [
    ("grpc.service_config", json.dumps(_service_config)),
    ("grpc.service_config_disable_resolution", 1),
    # gRPC does not report its own retries, and after an unreported attempt the state of the
    # token is unknown. revoke.py retries instead.
    ("grpc.enable_retries", 0),
    # Pings detect dead connections. quash allows one every 10 s. The last option is the number
    # of pings between two calls; 0 sets no limit.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC's default is two minutes: the client would not notice for that long that quash is
    # available again.
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


def connect(target, credentials=None):
    """Returns a channel to target: host:port, or dns:///host:port for all addresses of a host.

    Create it once and reuse it: it keeps one connection to each address. It uses TLS with
    gRPC's own list of CAs, or those in the file $GRPC_DEFAULT_SSL_ROOTS_FILE_PATH, unless you
    pass other credentials.
    """
    return grpc.secure_channel(target, credentials or grpc.ssl_channel_credentials(), _options)


def connect_plaintext(target):
    """Returns a channel without TLS, for tests on the same machine."""
    return grpc.insecure_channel(target, _options)


def enum_name(message, field):
    """Returns the name of an enum value, or its number if quash.json does not contain it."""
    number = getattr(message, field)
    value = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return value.name if value else str(number)
