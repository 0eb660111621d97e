package main

import (
	"fmt"

	"github.com/quashdev/quash/service/server"
)

// browserFlags are what REST does for browsers: nothing, unless one of them is set.
type browserFlags struct {
	Docs              bool     `default:"${docs}" negatable:"" configz:"visible" help:"Serve a page at /docs of REST where people read the API and try it."`
	CORSAllowedOrigin []string `name:"cors-allowed-origin" configz:"visible" help:"An origin whose pages may call REST from a browser, for instance https://app.example.com. Repeatable." placeholder:"ORIGIN"`
}

// check returns what is wrong with the flags.
func (f *browserFlags) check() (problems []string) {
	for _, origin := range f.CORSAllowedOrigin {
		if err := server.CheckOrigin(origin); err != nil {
			problems = append(problems,
				fmt.Sprintf("--cors-allowed-origin must be an origin such as https://app.example.com, and is %q: %s", origin, err))
		}
	}
	return problems
}
