package sandbox_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/quashdev/quash/sandbox"
)

// A revocation that the local region applies at once, and another region only later.
func Example() {
	s, err := sandbox.New(sandbox.Config{Regions: []string{"near", "far"}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	token, err := s.Mint(sandbox.MintOptions{})
	if err != nil {
		log.Panic(err)
	}
	if err := s.SetRegion("far", sandbox.RegionSettings{Partitioned: true}); err != nil {
		log.Panic(err)
	}

	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/token/revoke", strings.NewReader(`{"token":"`+token+`"}`))
	r.Header.Set("SlashID-API-Key", sandbox.DefaultAPIKey)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	fmt.Println(w.Code)
	fmt.Println(s.Revoked(token))

	if err := s.SetRegion("far", sandbox.RegionSettings{}); err != nil {
		log.Panic(err)
	}
	fmt.Println(s.Revoked(token))

	// Output:
	// 204
	// map[far:false near:true] <nil>
	// map[far:true near:true] <nil>
}
