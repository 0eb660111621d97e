package sandbox

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestRegionsApplyEachRevocationAfterTheirLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{Regions: []string{"near", "far"}, ReplicationLag: 3 * time.Second})
		first, second := mint(t, s, MintOptions{}), mint(t, s, MintOptions{})
		wantStatus(t, revoke(t.Context(), s, first), http.StatusNoContent)
		<-time.After(time.Second)
		wantStatus(t, revoke(t.Context(), s, second), http.StatusNoContent)
		<-time.After(2*time.Second - time.Nanosecond)
		wantRevoked(t, s, first, "near")
		<-time.After(time.Nanosecond)
		synctest.Wait()
		wantRevoked(t, s, first, "near", "far")
		wantRevoked(t, s, second, "near")
		<-time.After(time.Second)
		synctest.Wait()
		wantRevoked(t, s, second, "near", "far")
	})
}

func TestNewLagAppliesToPendingRevocations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{Regions: []string{"near", "far"}, ReplicationLag: time.Second})
		token := mint(t, s, MintOptions{})
		wantStatus(t, revoke(t.Context(), s, token), http.StatusNoContent)
		setRegion(t, s, "far", RegionSettings{Lag: time.Minute})
		<-time.After(59 * time.Second)
		wantRevoked(t, s, token, "near")
		setRegion(t, s, "far", RegionSettings{Lag: 59 * time.Second})
		wantRevoked(t, s, token, "near", "far")
	})
}

func TestPartitionAndHeal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: time.Second})
		token := mint(t, s, MintOptions{})
		wantStatus(t, revoke(t.Context(), s, token), http.StatusNoContent)
		setRegion(t, s, "ap-south", RegionSettings{Lag: time.Second, Partitioned: true})
		<-time.After(time.Hour)
		wantRevoked(t, s, token, "us-east", "eu-west")

		setRegion(t, s, "ap-south", RegionSettings{Lag: time.Second})
		wantRevoked(t, s, token, "us-east", "eu-west", "ap-south")

		setRegion(t, s, "ap-south", RegionSettings{Lag: time.Hour, Partitioned: true})
		wantRevoked(t, s, token, "us-east", "eu-west", "ap-south")
	})
}

func TestRemoteRegionsFollowTheLocalOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{Regions: []string{"near", "far"}, ReplicationLag: time.Second})
		setRegion(t, s, "near", RegionSettings{Lag: 10 * time.Second})
		token := mint(t, s, MintOptions{})
		wantStatus(t, revoke(t.Context(), s, token, consistencyTimeoutHeader, "1"), http.StatusRequestTimeout)
		wantRevoked(t, s, token)
		<-time.After(9 * time.Second)
		synctest.Wait()
		wantRevoked(t, s, token, "near")
		<-time.After(time.Second)
		synctest.Wait()
		wantRevoked(t, s, token, "near", "far")
	})
}

func TestExpiredEntriesAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger([]string{"near", "far"}, time.Hour)
		defer l.close()
		accept := func(i int) {
			if _, err := l.accept(strconv.Itoa(i), time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range minSweep {
			accept(i)
		}
		<-time.After(30 * time.Second)
		accept(minSweep) // nothing has expired: the next sweep is at twice the entries
		if len(l.entries) != minSweep+1 || l.sweepAt != 2*minSweep {
			t.Fatalf("%d entries, the next sweep at %d", len(l.entries), l.sweepAt)
		}
		<-time.After(30 * time.Second)
		for i := range minSweep {
			accept(-1 - i)
		}
		if want := minSweep + 1; len(l.entries) != want || len(l.regions[1].queue) != want {
			t.Errorf("%d entries and %d queued, want %d", len(l.entries), len(l.regions[1].queue), want)
		}
	})
}
