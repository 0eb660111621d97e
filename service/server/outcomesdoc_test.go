package server

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/quashdev/quash/service"
)

var update = flag.Bool("update", false, "write docs/outcomes.md instead of checking it")

const outcomesDoc = "../../docs/outcomes.md"

// docs/outcomes.md is generated from the outcome table.
func TestOutcomesDoc(t *testing.T) {
	t.Parallel()
	want := renderOutcomes()
	if *update {
		if err := os.WriteFile(outcomesDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(outcomesDoc); err != nil || string(got) != want {
		t.Errorf("%s is stale (%v); make docs writes it", outcomesDoc, err)
	}
}

func renderOutcomes() string {
	var b strings.Builder
	b.WriteString(`<!-- Written by make docs from the table in service/outcomes.go. -->
# Outcomes

This page lists every result of a call: whether the token is dead, and what to do. It is for
callers, and for operators who read metrics and logs.

| | in the error details | header of the drop-in endpoint |
| --- | --- | --- |
| reason | ` + "`ErrorInfo.reason`" + ` | ` + "`Quash-Error-Reason`" + ` |
| state | ` + "`RevokeFailure.state`" + ` | ` + "`Quash-Revocation-State`" + ` |

| state | is the token dead? |
| --- | --- |
| NOT_APPLIED | This call did nothing to it. |
| IN_PROGRESS | It will be, in every region: SlashID has accepted the revocation. |
| UNKNOWN | It may be dead or alive. A retry with ` + "`allow_invalid`" + ` succeeds in either case. |

The state covers all attempts of the call. NOT_APPLIED becomes UNKNOWN if an earlier attempt
may have been applied. UNKNOWN becomes NOT_APPLIED if nothing was sent.

The retry delay is in ` + "`RetryInfo`" + `, in the trailer ` + "`grpc-retry-pushback-ms`" + ` and in the header
` + "`Retry-After`" + `. The trailer is negative if a retry of the same call cannot help. quash itself
makes up to three attempts, within the time that the call has left.

| what happened | gRPC code | reason | state or outcome | quash retries | ` + "`/v1/tokens:revoke`" + ` | ` + "`/token/revoke`" + ` | what to do |
| --- | --- | --- | --- | --- | --- | --- | --- |
`)
	native, dropIn := newNative(), newDropIn()
	for _, doc := range service.OutcomeDocs() {
		retried := "no"
		if doc.Retried {
			retried = "yes"
		}
		if doc.Error == nil {
			fmt.Fprintf(&b, "| %s | OK | | outcome %s | | %d | %d | %s |\n",
				doc.When, doc.Outcome, http.StatusOK, http.StatusNoContent, doc.Do)
			continue
		}
		st := doc.Error.GRPCStatus()
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %d | %d | %s |\n",
			doc.When, st.Code(), doc.Error.Reason(), doc.Error.State(), retried,
			native.statusOf(st), dropIn.statusOf(st), doc.Do)
	}
	return b.String()
}
