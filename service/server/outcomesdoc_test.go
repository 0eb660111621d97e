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

// docs/outcomes.md is written from the outcome table.
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

What happened, whether the token is dead, and what to do about it. The state is
` + "`RevokeFailure.state`" + ` among an error's details, and the header
` + "`Quash-Revocation-State`" + ` on the drop-in route; the reason is ` + "`ErrorInfo.reason`" + `, and
` + "`Quash-Error-Reason`" + `.

| state | is the token dead? |
| --- | --- |
| NOT_APPLIED | This call did nothing to it. |
| IN_PROGRESS | It will be, everywhere: SlashID has accepted the revocation. |
| UNKNOWN | Nobody can say. With ` + "`allow_invalid`" + ` a repetition succeeds either way. |

The state is that of the whole call: where an earlier attempt of it may have been
applied, NOT_APPLIED becomes UNKNOWN. Where nothing at all was sent, UNKNOWN becomes
NOT_APPLIED.

A delay is in ` + "`RetryInfo`" + `, in the trailer ` + "`grpc-retry-pushback-ms`" + ` and in the header
` + "`Retry-After`" + `, which say the same; the trailer is negative where a repetition of the
same call cannot help. Three attempts at the most are quash's own, within the time
that the call has left.

| what happened | gRPC code | reason | state or outcome | quash tries again | ` + "`/v1/tokens:revoke`" + ` | ` + "`/token/revoke`" + ` | what to do |
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
