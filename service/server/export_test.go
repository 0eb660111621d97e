package server

// Update is the flag by which tests write what they would otherwise check.
var Update = update
