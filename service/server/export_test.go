package server

// Update is the flag -update, for tests in package server_test: write files instead of
// checking them.
var Update = update
