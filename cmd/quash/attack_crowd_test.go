package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// crowdSieges are of more than there is room for: connections, and calls while
// SlashID does not answer. 5,000 calls that come at once, with bodies of 60 KB, take
// 300 MB until they are refused; those that are let in keep as much again and their
// goroutines.
func crowdSieges() []*siege {
	return []*siege{
		{
			name:   "crowd",
			flags:  []string{"--max-connections=50"},
			bound:  64,
			lifted: []string{"--max-connections=1000000"},
			attacks: []attack{
				{name: "connections", door: overGRPC, do: (*attacker).crowd, fates: wasLeftOpen},
				{name: "connections", door: overREST, do: (*attacker).crowd, fates: wasLeftOpen},
			},
		},
		{
			name:         "overload",
			flags:        []string{fmt.Sprint("--max-in-flight=", maxInFlight)},
			bound:        int64(pick(128, 512)),
			lifted:       []string{"--max-in-flight=1000000"},
			upstreamHeld: true,
			attacks: []attack{
				{name: "calls while SlashID does not answer", door: overGRPC, do: (*attacker).overload, fates: wasRefused + "|" + wasAnswered},
				{name: "calls while SlashID does not answer", door: overREST, do: (*attacker).overload, fates: wasRefused + "|" + wasAnswered, holds: true},
				{name: "calls reset while SlashID does not answer", door: overGRPC, do: (*attacker).resetHeld, fates: wasTaken},
			},
		},
	}
}

// crowd connects beyond what is let in, and stays for a while without a word.
func (a *attacker) crowd() string {
	n := pick(200, 2000)
	held := make([]net.Conn, n)
	each(n, func(i int) {
		var err error
		if held[i], err = a.connect(); err != nil {
			a.fates.add(notLetIn)
			return
		}
		a.fates.add(wasLeftOpen)
	})
	a.stay()
	// 50 each, those of SlashID and of honest callers, and what the process itself needs.
	if open := a.descriptors(a.T); open > 200 && !a.unlimited {
		a.Errorf("%d descriptors are open", open)
	}
	for _, conn := range held {
		if conn != nil {
			_ = conn.Close()
		}
	}
	return fmt.Sprintf("%d connections", n)
}

const maxInFlight = 20

// overload makes calls at once, and waits for answers when each has been refused or
// is on its way to SlashID.
func (a *attacker) overload() string {
	n := pick(500, 5000)
	call := a.callREST
	if a.door == overGRPC {
		conn, err := a.newGRPC()
		if err != nil {
			a.Error(err)
			return ""
		}
		defer conn.Close()
		client := quashv1.NewTokenServiceClient(conn)
		call = func() string { return a.callGRPC(client) }
	}
	var calls sync.WaitGroup
	ended := make(chan string, n)
	for range n {
		calls.Go(func() { ended <- call() })
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for begun := time.Now(); len(ended)+a.upstream.nowInFlight() < n && time.Since(begun) < patience; {
		<-ticker.C
	}
	a.release()
	calls.Wait()
	close(ended)
	for fate := range ended {
		a.fates.add(fate)
	}
	a.expectInFlight()
	return fmt.Sprintf("%d at once", n)
}

func (a *attacker) expectInFlight() {
	if most := a.upstream.mostInFlight(); !a.unlimited && (most == 0 || most > maxInFlight) {
		a.Errorf("SlashID had %d calls at once, want at most %d", most, maxInFlight)
	}
}

const (
	wasRefused  = "OVERLOADED"
	wasAnswered = "answered"
)

func (a *attacker) callGRPC(client quashv1.TokenServiceClient) string {
	_, err := client.Revoke(a.Context(), &quashv1.RevokeRequest{Token: "a.b.c", AllowInvalid: true})
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	if err != nil {
		return err.Error()
	}
	return wasAnswered
}

func (a *attacker) callREST() string {
	conn, err := a.connect()
	if err != nil {
		return notLetIn
	}
	defer conn.Close()
	const body = `{"token":"a.b.c"%60000s}`
	_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: quash\r\nContent-Length: %d\r\n\r\n"+body, dropInPath, len(body)-len("%60000s")+60_000, "")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return fateOf(err)
	}
	_ = resp.Body.Close()
	if reason := resp.Header.Get("Quash-Error-Reason"); reason != "TOKEN_REJECTED" {
		return reason
	}
	return wasAnswered
}

// resetHeld takes back requests of which some are on their way to SlashID, and
// waits there for an answer.
func (a *attacker) resetHeld() string {
	sent := a.resetRequests()
	a.expectInFlight()
	return sent
}
