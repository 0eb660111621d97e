package server

import (
	"embed"
	"net/http"
	"path"
)

// docsPath is the path of the page. Its files are below it.
const docsPath = "/docs"

//go:embed explorer
var explorer embed.FS

// docsHeader restricts the page to its own files and its own quash. Even injected content
// could not send a token from the form elsewhere.
var docsHeader = http.Header{
	"Content-Security-Policy": {"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Referrer-Policy":              {"no-referrer"},
}

// newPages returns the pages of the REST listener by path: /openapi.json and, if docs is set,
// /docs.
func newPages(docs bool) (map[string]*page, error) {
	document, err := openAPI()
	if err != nil {
		return nil, err
	}
	pages := map[string]*page{openAPIPath: newPage(jsonType, document, nil)}
	if !docs {
		return pages, nil
	}
	files, err := explorer.ReadDir("explorer")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		content, err := explorer.ReadFile("explorer/" + file.Name())
		if err != nil {
			return nil, err
		}
		at := path.Join(docsPath, file.Name())
		if file.Name() == "index.html" {
			at = docsPath
		}
		pages[at] = newPage(contentTypes[path.Ext(file.Name())], content, docsHeader)
	}
	return pages, nil
}

// contentTypes replaces package mime, whose results depend on files of the machine.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}
