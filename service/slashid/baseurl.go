package slashid

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// ParseBaseURL parses a base URL: http or https, a host, and optionally a port and a path.
// It accepts http, which sends tokens in plaintext; callers decide whether to allow it.
func ParseBaseURL(text string) (*url.URL, error) {
	scheme, _, _ := strings.Cut(text, "://")
	if scheme = strings.ToLower(scheme); scheme != "http" && scheme != "https" {
		return nil, errors.New("it must start with https:// (or http://)")
	}
	u, err := url.Parse(text)
	if err != nil {
		// The error of url.Parse quotes the whole text, which may hold a password.
		return nil, errors.New("it is not a URL")
	}
	switch {
	case u.Hostname() == "":
		return nil, errors.New("it has no host")
	case !isPort(u.Port()):
		return nil, errors.New("its port must be a number from 1 to 65535")
	case u.User != nil:
		return nil, errors.New("it must not contain credentials")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("it must not have a query or a fragment")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), revokePath):
		return nil, fmt.Errorf("it must not include the endpoint's path %s", revokePath)
	}
	return u, nil
}

func isPort(port string) bool {
	if port == "" {
		return true // the default of the scheme
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
