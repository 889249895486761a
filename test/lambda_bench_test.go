package test

import (
	"archive/zip"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// BenchmarkLambdaColdStart is a function's start up to its first answer, as the
// caller sees it: the emulator starts the program when the first event comes. The
// goals are 100 ms, 64 MB of memory after a join, and 12 MB of zip.
func BenchmarkLambdaColdStart(b *testing.B) {
	w := newLambdaWorld(b)
	w.importKeys(0)
	first := []*joinFunction{}
	for b.Loop() {
		b.StopTimer()
		f := w.startJoin()
		event := f.event(http.MethodGet, api.PathHealth, "")
		b.StartTimer()
		if a := f.send(event); a.status != http.StatusOK {
			b.Fatalf("%d %s", a.status, a.body)
		}
		b.StopTimer()
		if len(first) == 0 {
			first = append(first, f)
		} else {
			f.emulator.Stop()
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/first-healthz")
	f := first[0]
	b.ReportMetric(resident(b, f.emulator.PID()), "MB-after-healthz")
	for range 20 {
		f.granted(w.bitbucket(issuertest.BitbucketJob{}))
	}
	b.ReportMetric(resident(b, f.emulator.PID()), "MB-after-20-joins")
	for name, bootstrap := range map[string]string{"join": bootstrap(b, "join"), "jwks-refresh": bootstrap(b, "jwks-refresh")} {
		info, err := os.Stat(bootstrap)
		lambdaMust(b, err)
		b.ReportMetric(float64(info.Size())/1e6, name+"-MB")
		b.ReportMetric(zipped(b, bootstrap)/1e6, name+"-zip-MB")
	}
}

// BenchmarkLambdaFirstJoin is a start up to the first join's answer, with KMS and
// DynamoDB as moto and DynamoDB Local are: how it compares with other runs is what it tells.
func BenchmarkLambdaFirstJoin(b *testing.B) {
	w := newLambdaWorld(b)
	w.importKeys(0)
	w.startJoin().get(api.PathAuthorities) // the certificates are there
	for b.Loop() {
		b.StopTimer()
		f := w.startJoin()
		r := w.bitbucket(issuertest.BitbucketJob{})
		b.StartTimer()
		start := time.Now()
		f.granted(r)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/first-join")
		b.StopTimer()
		f.emulator.Stop()
		b.StartTimer()
	}
}

// resident is a process's memory in MB (VmRSS).
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	lambdaMust(b, err)
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(kb)[0])
			lambdaMust(b, err)
			return float64(n) / 1000
		}
	}
	b.Fatalf("no VmRSS of %d", pid)
	return 0
}

// zipped is the size of a file as SAM packs it.
func zipped(b *testing.B, file string) float64 {
	b.Helper()
	content, err := os.ReadFile(file)
	lambdaMust(b, err)
	var size counter
	z := zip.NewWriter(&size)
	f, err := z.Create("bootstrap")
	lambdaMust(b, err)
	_, err = f.Write(content)
	lambdaMust(b, err)
	lambdaMust(b, z.Close())
	return float64(size)
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
