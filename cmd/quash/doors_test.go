package main

// The doors of quash.
const (
	doorGRPC   = "gRPC"
	doorNative = "native"
	doorDropIn = "drop-in"
)

var doors = []string{doorGRPC, doorNative, doorDropIn}

// paths are those of the REST doors.
var paths = map[string]string{doorNative: "/v1/tokens:revoke", doorDropIn: "/token/revoke"}
